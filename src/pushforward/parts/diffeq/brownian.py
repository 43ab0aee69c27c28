"""A Brownian path that can be asked for at any times, in any order, and always answers the same.

Nothing of the path is kept. The interval [t0, t1] is halved again and again, and what the path does at a midpoint, given
both ends, is a function of the seed, the row, the component and the node of the tree: a virtual Brownian tree (Li, Wong, Chen
and Duvenaud, 2020, https://arxiv.org/abs/2001.01328). Of each interval of length h are known the increment W and the
space-time area H = 1/h int (W(s) - W(left) - (s - left)/h W) ds, which is N(0, h/12) and independent of W. With
z ~ N(0, h/16) and n ~ N(0, h/12) its halves have (Foster, Lyons and Oberhauser, 2020, https://arxiv.org/abs/1904.06998)

    W_1 = W/2 + (3/2 H + z),  W_2 = W/2 - (3/2 H + z),     H_1 = H/4 - z/2 + n/2,  H_2 = H/4 - z/2 - n/2.

At r in [0, 1] of an interval at the bottom, with q = 1 - r, the path given W and H of that interval is normal with

    mean r W + 6 rq H and variance h (rq - 3 r^2 q^2),  area: mean r^2 H, variance h (r - r^4)/12,  covariance -h r^3 q/2,

and two numbers for each such interval make it so. Then what is known of the path at any one time, and at any times that
are farther apart than `tolerance`, has exactly the distribution of Brownian motion (compare Jelincic, Foster and Kidger, 2024,
https://arxiv.org/abs/2405.06464).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.random import mix
from pushforward.core.registry import register
from pushforward.core.shapes import as_size

from .wiener import Place

DEEPEST = 40


@register
class BrownianPath:
    """W on [t0, t1] with W(t0) = 0, for each row a path of shape `shape` that depends on the seed and on `start` + row only.

    `tolerance` is the length at the bottom of the tree, 1/65536 of the whole by default: at two times closer than that the
    path is still right at each, but the two are not jointly normal as they should be. A query costs
    log2((t1 - t0) / tolerance) times the numbers of the path, whatever was asked before, and no memory is kept. Numbers are
    computed in float64. Raises `ConfigError` for times outside [t0, t1].

    >>> path = BrownianPath(0.0, 1.0, shape=2, seed=0)
    >>> early, late = path.evaluate(torch.tensor([0.3, 0.3])), path.evaluate(torch.tensor([0.7, 0.9]))
    >>> bool((path.evaluate(torch.tensor([0.3])) == early[:1]).all())
    True
    """

    def __init__(self, t0: float, t1: float, shape: int | Sequence[int] = (), seed: int = 0,
                 tolerance: float | None = None, start: int = 0):  # fmt: skip
        tolerance = (t1 - t0) / 65536 if tolerance is None else tolerance
        if not (math.isfinite(t0) and math.isfinite(t1) and t1 > t0 and tolerance > 0):
            raise ConfigError(f"expected finite t0 < t1 and tolerance > 0, got {t0}, {t1} and {tolerance}")
        self.t0, self.t1, self.shape, self.seed, self.start = t0, t1, as_size(shape), seed, start
        self.levels = max(0, math.ceil(math.log2((t1 - t0) / tolerance)))
        if self.levels > DEEPEST:
            raise ConfigError(f"expected tolerance of at least {(t1 - t0) / 2**DEEPEST:.3g}, where float64 ends to tell the "
                              f"times apart, got {tolerance}")  # fmt: skip
        self.tolerance = (t1 - t0) / 2**self.levels
        self._streams: Tensor | None = None
        self._last: tuple[Tensor | float, bool, tuple[Tensor, Tensor]] | None = None

    def evaluate(self, t: Tensor) -> Tensor:
        """W(t) `(n, *shape)` at t `(n,)`, row i at time t[i]."""
        if t.ndim != 1:
            raise ShapeError(f"expected t of shape (n,), a time for each row, got {tuple(t.shape)}")
        self._check(t)
        return self._shaped(self._at(t, t, False)[0], t)

    def begin(self, low: float, high: float, step: float | None) -> None:
        """Refuse a solve that goes outside the path, or whose steps are shorter than its tolerance."""
        self._inside(low, high)
        if step is not None and step < self.tolerance * (1 - 1e-9):
            raise ConfigError(f"expected steps of at least the tolerance of the path, {self.tolerance:.3g}, got {step:.3g}; "
                              "give BrownianPath a smaller tolerance")  # fmt: skip

    def seek(self, place: Place | None) -> None:
        """Times are enough to tell the steps apart."""
        if place is None:
            self._last = None

    def increment(self, t0: Tensor | float, t1: Tensor | float, like: Tensor | None = None) -> Tensor:
        """W(t1) - W(t0), `(n, *shape)`; times are `(n,)`, or numbers, and then n, dtype and device are those of `like`."""
        like = self._like(t1, like)
        start = self._at(t0, like, False)[0]
        return self._shaped(self._at(t1, like, False)[0] - start, like)

    def increment_and_area(self, t0: Tensor | float, t1: Tensor | float,
                           like: Tensor | None = None) -> tuple[Tensor, Tensor]:  # fmt: skip
        """W(t1) - W(t0), and the space-time area H of the path between them, seen from t0; `(n, *shape)` each."""
        like = self._like(t1, like)
        (w0, i0), (w1, i1) = self._at(t0, like, True), self._at(t1, like, True)
        h = torch.as_tensor(t1, dtype=torch.float64, device=like.device) - t0
        h = h.detach().reshape(-1, 1)
        mean = torch.where(
            h == 0, w1 - w0, (i1 - i0 - h * w0) / torch.where(h == 0, 1.0, h)
        )  # of W(s) - W(t0) over the step
        return self._shaped(w1 - w0, like), self._shaped(mean - 0.5 * (w1 - w0), like)

    def _like(self, t: Tensor | float, like: Tensor | None) -> Tensor:
        if like is None and not isinstance(t, Tensor):
            raise ShapeError("expected times of shape (n,), or `like` beside times that are numbers, got numbers alone; "
                             "pass like=y")  # fmt: skip
        return t if like is None else like  # type: ignore[return-value]

    def _check(self, t: Tensor | float) -> None:
        if isinstance(t, Tensor):
            if (
                t.numel() and t.device.type == "cpu"
            ):  # elsewhere it would wait for the device; `begin` has checked a solve
                self._inside(*(float(x) for x in t.detach().aminmax()))
        else:
            self._inside(t, t)

    def _inside(self, low: float, high: float) -> None:
        slack = 1e-6 * (self.t1 - self.t0)  # what float32 makes of the ends
        if not (self.t0 - slack <= low and high <= self.t1 + slack):
            raise ConfigError(f"expected times from {self.t0} to {self.t1}, where the path was made, got {low:.6g} to {high:.6g}; "
                              "make a longer BrownianPath")  # fmt: skip

    def _shaped(self, x: Tensor, like: Tensor) -> Tensor:
        return x.reshape(len(like), *self.shape).to(like.dtype)

    def _at(self, t: Tensor | float, like: Tensor, area: bool) -> tuple[Tensor, Tensor]:
        """W(t) and int_{t0}^t W ds, `(n, D)` each in float64; the latter zero unless asked for."""
        if self._last is not None and self._last[1] == area and self._same(t, self._last[0], like):
            return self._last[2]
        self._check(t)
        with torch.no_grad():
            found = self._descend(t, like, area)
        self._last = t, area, found
        return found

    def _same(self, t: Tensor | float, kept: Tensor | float, like: Tensor) -> bool:
        """Whether it is the last question again: most steps begin where the one before ended."""
        if self._last is None or len(self._last[2][0]) != len(like) or self._last[2][0].device != like.device:
            return False
        if isinstance(t, Tensor) and isinstance(kept, Tensor):
            return t is kept or (t.device.type == "cpu" and torch.equal(t, kept))
        return not isinstance(t, Tensor) and not isinstance(kept, Tensor) and t == kept

    def _descend(self, t: Tensor | float, like: Tensor, area: bool) -> tuple[Tensor, Tensor]:
        rows, length = len(like), 2.0**self.levels
        place = torch.as_tensor(t, dtype=torch.float64, device=like.device).expand(rows).sub(self.t0)
        place = place.div(self.t1 - self.t0).clamp(0.0, 1.0).mul(length)
        leaf = place.floor().clamp(max=length - 1)
        r = (place - leaf).unsqueeze(1)
        depth = torch.arange(self.levels, -1, -1, device=like.device).unsqueeze(1)
        index = leaf.long() >> depth  # (levels + 1, n): the interval of each level that holds t
        nodes = torch.cat([torch.zeros_like(index[:1]), index + (1 << depth.flip(0))])
        first, second = (normals.unbind(0) for normals in _normals(self._rows(like), nodes))
        w, h = first[0], second[0] * math.sqrt(1 / 12)
        before, total, size = torch.zeros_like(w), torch.zeros_like(w), 1.0
        right = (index[1:] & 1).to(w.dtype).unsqueeze(2).unbind(0)
        for z, n, side in zip(first[1:-1], second[1:-1], right):
            turn = torch.add(h * 1.5, z, alpha=math.sqrt(size) / 4)
            middle, half = 0.25 * h - z * (math.sqrt(size) / 8), n * (math.sqrt(size / 12) / 2)
            one, size = 0.5 * w + turn, 0.5 * size
            if area:
                total = total + side * size * (before + 0.5 * one + middle + half)
            before = before + side * one
            w, h = torch.where(side > 0, 0.5 * w - turn, one), torch.where(side > 0, middle - half, middle + half)
        inner, area_inner = _within(w, h, first[-1], second[-1], r, size)
        if area:
            total = (total + r * size * (before + 0.5 * inner + area_inner)) * (self.t1 - self.t0) ** 1.5
        return (before + inner) * math.sqrt(self.t1 - self.t0), total

    def _rows(self, like: Tensor) -> Tensor:
        """The streams of the components of every row, `(n, D)`."""
        kept = self._streams
        if kept is None or len(kept) < len(like) or kept.device != like.device:
            rows = torch.arange(self.start, self.start + len(like), device=like.device).unsqueeze(1)
            component = torch.arange(self.shape.numel(), device=like.device)
            kept = self._streams = _mix(_mix(rows + mix(self.seed, 0xB0)) + component)
        return kept[: len(like)]


def _within(w: Tensor, h: Tensor, z: Tensor, n: Tensor, r: Tensor, size: float) -> tuple[Tensor, Tensor]:
    """Increment and area of the path from the left end of an interval of length `size` to the part r of it."""
    q = 1 - r
    rest = (1 - 3 * r * q).sqrt()
    value = r * w + 6 * r * q * h + z * (size * r * q).sqrt() * rest
    # The second row of the Cholesky factor, from which the variance has been cancelled where it may be zero.
    own = ((r - r**4) / 12 - r**5 * q / (4 * rest**2)).clamp(min=0).sqrt()
    return value, r**2 * h + math.sqrt(size) * (n * own - z * (r**5 * q).sqrt() / (2 * rest))


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


_GOLDEN, _FIRST, _SECOND = (_signed(w) for w in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def _mix(x: Tensor) -> Tensor:
    """One step of SplitMix64 on every int64 (Steele, Lea and Flood, 2014); multiplication wraps around."""
    x = x * _GOLDEN + _GOLDEN
    x = (x ^ (x >> 30 & (1 << 34) - 1)) * _FIRST  # the mask makes the shift one without sign
    x = (x ^ (x >> 27 & (1 << 37) - 1)) * _SECOND
    return x ^ (x >> 31 & (1 << 33) - 1)


def _normals(streams: Tensor, nodes: Tensor) -> tuple[Tensor, Tensor]:
    """Two independent standard normals, `(levels, n, D)` each, for streams `(n, D)` and nodes `(levels, n)`."""
    bits = _mix(streams + _mix(nodes).unsqueeze(2))
    high, low = (bits >> 32 & 0xFFFFFFFF).double(), (bits & 0xFFFFFFFF).double()
    radius, angle = high.add_(0.5).mul_(2.0**-32).log_().mul_(-2).sqrt_(), low.mul_(2 * math.pi * 2.0**-32)
    return radius * angle.cos(), radius * angle.sin()
