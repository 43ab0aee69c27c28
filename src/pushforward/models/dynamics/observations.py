"""What the models of irregular series share: points in the order of time, and units in which they move by about one.

A context is a set: its points come in any order, its padding may stand anywhere and hold anything. What a filter or a
recurrent network reads is a sequence, so the points are sorted, and what is not observed is cut out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pushforward.core.errors import ConfigError, DataError, ShapeError
from pushforward.core.process import Context


@dataclass(frozen=True)
class Sequences:
    """Points in the order of time: t `(n, T)`, y and observed `(n, T, channels)`.

    Real points come first; padding repeats the last real time (or the start, where there is no point), its y is 0 and
    nothing of it is observed.
    """

    t: Tensor
    y: Tensor
    observed: Tensor

    @property
    def real(self) -> Tensor:
        """Which points are real, `(n, T)`."""
        return self.observed.any(-1)

    @property
    def count(self) -> Tensor:
        """How many numbers of each row are observed, `(n,)`."""
        return self.observed.flatten(1).sum(1)


class Units(nn.Module):
    """The units of a model of series: (t - start) / unit of time, and (y - location) / scale of each channel.

    The unit of time is the time in which the standardised data move by one standard deviation, so that drifts are of
    order one whether t counts seconds or years. With `log_scale` y is the logarithm of the data, which must be positive.
    Times before the start count as the start.
    """

    start: Tensor
    unit: Tensor
    gap: Tensor
    loc: Tensor
    scale: Tensor

    def __init__(self, channels: int, log_scale: bool):
        super().__init__()
        self.channels, self.log_scale = channels, log_scale
        self.start, self.unit = nn.Buffer(torch.tensor(0.0)), nn.Buffer(torch.tensor(1.0))
        self.gap = nn.Buffer(torch.tensor(1.0))  # the typical time between two points, in units
        self.loc, self.scale = nn.Buffer(torch.zeros(channels)), nn.Buffer(torch.ones(channels))

    def fit(self, t: Tensor, x: Tensor, observed: Tensor) -> float:
        """Take the units from t `(n, T)`, x and observed `(n, T, channels)`; returns the span of time, in units."""
        if not observed.flatten(0, 1).any(0).all():
            raise DataError(
                "expected observations of every channel, got a channel without any; leave the channel out of the data"
            )
        y = self._logarithm(x.double(), observed)
        number = observed.sum((0, 1))
        loc = torch.where(observed, y, 0.0).sum((0, 1)) / number
        variance = torch.where(observed, y - loc, 0.0).square().sum((0, 1)) / number
        scale = torch.where(variance > 0, variance.sqrt(), 1.0)
        real, t = observed.any(-1), t.double()
        start, end = t[real].min(), t[real].max()
        moved = (y.diff(dim=1) / scale).abs()
        both = observed[:, 1:] & observed[:, :-1]
        spent = (t.diff(dim=1)[..., None] * both).sum()
        distance = torch.where(both, moved, 0.0).sum()
        known = bool(spent > 0) and bool(distance > 0)
        unit = spent / distance if known else torch.where(end > start, end - start, 1.0)
        gaps = t.diff(dim=1)[real[:, 1:]]
        gap = gaps.mean() / unit if len(gaps) else torch.ones(())
        for name, value in (("start", start), ("unit", unit), ("gap", gap), ("loc", loc), ("scale", scale)):
            getattr(self, name).copy_(value)
        return float((end - start) / unit)

    def time(self, t: Tensor) -> Tensor:
        """Time since the start, in units; what is before the start counts as the start."""
        return ((t - self.start) / self.unit).clamp(min=0.0)

    def read(self, context: Context) -> Sequences:
        """Sort, standardise and cut a context; raises `ShapeError` where it does not fit."""
        t, y, observed = self._checked(context)
        real = observed.any(-1)
        order = torch.where(real, t, torch.inf).argsort(dim=1, stable=True)
        t, real = self.time(t.gather(1, order)), real.gather(1, order)
        place = order[..., None].expand_as(y)
        y, observed = y.gather(1, place), observed.gather(1, place)
        last = torch.where(real, t, 0.0).amax(1, keepdim=True) if t.shape[1] else t
        y = (self._logarithm(torch.where(observed, y, 1.0), observed) - self.loc) / self.scale
        return Sequences(torch.where(real, t, last), torch.where(observed, y, 0.0), observed)

    def require_finite(self, context: Context) -> None:
        """Raise `DataError` for an observed number, or its time, that is infinite or NaN."""
        t, y, observed = self._checked(context)
        bad = int((observed & ~(y.isfinite() & t.isfinite()[..., None])).sum())
        if bad:
            raise DataError(f"expected finite times and numbers where the mask is True, got {bad} that are not; "
                            "leave them out of the mask")  # fmt: skip

    def log_volume(self, context: Context) -> Tensor:
        """log |d data / d y|, summed over the observed numbers of each row: what turns a density back into the data's units."""
        _, x, observed = self._checked(context)
        each = self.scale.log() + (torch.where(observed, x, 1.0).log() if self.log_scale else 0.0)
        return torch.where(observed, each, 0.0).flatten(1).sum(1)

    def require_targets(self, x_target: Tensor, n: int) -> Tensor:
        """The target times in units, `(n, targets)`; `ShapeError` where they do not fit."""
        if x_target.ndim != 3 or len(x_target) != n or x_target.shape[-1] != 1:
            raise ShapeError(f"expected x_target of shape ({n}, targets, 1), got {tuple(x_target.shape)}; "
                             "give each series its target times, in a last dimension of one")  # fmt: skip
        return self.time(x_target[..., 0])

    def _checked(self, context: Context) -> tuple[Tensor, Tensor, Tensor]:
        x, y, mask = context.x, context.y, context.mask
        points = y.shape[:2]
        if (
            y.ndim != 3
            or y.shape[-1] != self.channels
            or x.shape != (*points, 1)
            or mask.shape not in (points, y.shape)
        ):
            raise ShapeError(f"expected a context of x (n, points, 1), y (n, points, {self.channels}) and mask (n, points) or "
                             f"(n, points, {self.channels}), got {tuple(x.shape)}, {tuple(y.shape)} and {tuple(mask.shape)}; "
                             "one series is a batch of one")  # fmt: skip
        return x[..., 0], y, mask if mask.ndim == 3 else mask[..., None].expand_as(y)

    def _logarithm(self, x: Tensor, observed: Tensor) -> Tensor:
        if not self.log_scale:
            return x
        if bool((observed & ~(x > 0)).any()):
            raise DataError("expected positive data for log_scale=True, got zeros, negatives or NaN; "
                            "build the model with log_scale=False")  # fmt: skip
        return torch.where(observed, x, 1.0).log()


class Grid(NamedTuple):
    """Steps from 0 through the times of each row: where they start and how long they are, `(n, M)`.

    `arrival` `(n, M)` is the column of times that a step leads to, or -1 if it ends in between; `place` `(n, T)` is the step that
    leads to each column.
    """

    start: Tensor
    length: Tensor
    arrival: Tensor
    place: Tensor


def step_grid(t: Tensor, real: Tensor, longest: float) -> Grid:
    """Steps of at most `longest` through the times t `(n, T)`, which do not descend, as far as they are `real` `(n, T)`.

    A row takes the steps it would take alone: equal ones to each of its times, of length zero to a time that it is at already.
    Then it rests, in steps of length zero, while others still walk. One question to the device: how many steps the
    longest row takes.

    >>> grid = step_grid(torch.tensor([[0.0, 1.0], [0.5, 0.5]]), torch.tensor([[True, True], [True, False]]), 0.5)
    >>> grid.length, grid.arrival
    (tensor([[0.0000, 0.5000, 0.5000],
            [0.5000, 0.0000, 0.0000]]), tensor([[ 0, -1,  1],
            [ 0, -1, -1]]))
    """
    if not t.numel():
        return Grid(t[:, :0], t[:, :0], t[:, :0].long(), t.long())
    before = torch.cat([torch.zeros_like(t[:, :1]), t[:, :-1]], 1)
    gaps = t - before
    own = torch.where(real, (gaps / longest - 1e-4).ceil().clamp(min=1), 0).to(torch.float64)
    ends = own.cumsum(1)
    total = float(ends[:, -1].max())
    require_affordable(total)
    step = torch.arange(int(total), dtype=torch.float64, device=t.device).expand(len(t), -1).contiguous()
    column = torch.searchsorted(ends, step, right=True)
    walking, column = column < t.shape[1], column.clamp(max=t.shape[1] - 1)
    number = own.gather(1, column).clamp(min=1)
    within = step - ends.gather(1, column) + number
    length = torch.where(walking, gaps.gather(1, column) / number.to(t.dtype), 0.0)
    start = torch.where(walking, before.gather(1, column) + within.to(t.dtype) * length, t[:, -1:])
    arrival = torch.where(walking & (within == number - 1), column, -1)
    return Grid(start, length, arrival, (ends - 1).clamp(min=0).long())


def require_affordable(steps: float, most: int = 100_000) -> None:
    """Refuse more than `most` steps: the times are in other units than the model's."""
    if not steps <= most:
        raise ConfigError(f"expected times that {most} steps reach, got {steps:.3g} steps; build the model from data with these "
                          "times, so that it knows their unit, or take a longer step")  # fmt: skip


def require_sizes(sizes: dict[str, int], hidden: Sequence[int]) -> None:
    """Raise `ConfigError` for a size below 1."""
    if min((*sizes.values(), *hidden)) < 1:
        raise ConfigError(
            f"expected sizes of at least 1, got {sizes} and hidden {list(hidden)}; raise what is too small"
        )
