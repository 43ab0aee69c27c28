r"""From one data set to another: flow matching with any source, and the Schroedinger bridge between the two.

    x_t = (1 - t) data + t source + sigma sqrt(t (1 - t)) eps,     t = 0 is data

over pairs (data, source) of a coupling. With sigma = 0 this is flow matching between two data sets. With sigma > 0 and the pairs of entropic
transport, eps = 2 sigma^2 for the cost |data - source|^2, it is the Schroedinger bridge: of all processes between the two, the
one nearest to a Brownian motion of that sigma ([SF]2M; Tong et al. 2024, https://arxiv.org/abs/2307.03672).
The network predicts E[source - data | x_t] and E[eps | x_t], two bounded targets from which all follows:

    data   = x_t - t gap - sigma sqrt(t (1 - t)) eps             source = data + gap
    dx/dt  = gap + sigma (1 - 2 t) / (2 sqrt(t (1 - t))) eps     the flow with the same marginals
    score  = -eps / (sigma sqrt(t (1 - t)))
    dx     = (data - x_t) / t ds + sigma dw                      from the source to the data, s = 1 - t; the other way alike
"""

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.objective import Loss
from pushforward.core.random import RowGenerator
from pushforward.core.registry import device_of, register
from pushforward.core.shapes import as_size, expand_right, flatten_batch, flatten_condition, match_dtype
from pushforward.parts.data import Table
from pushforward.parts.nn import TimeMLP
from pushforward.parts.numerics.assignment import entropic_plan

from .coupling import between, couple, within_labels

BridgeCoupling = Literal["independent", "optimal", "entropic"]
Way = Literal["sde", "ode"]

EDGE = 1e-3  # training keeps this far from both ends, where eps says nothing


@register
class BridgeFlow(Distribution):
    """Draws of the data, made from draws of a source; and back.

    Args:
        network: `network(x, t, condition)` with two outputs for each number of x `(n, *event)`, t `(n,)` in [0, 1]: the gap and eps.
        source: `(m, *event)`, the rows that paths begin from, in the user's units.
        sigma: of the Brownian motion, in model units: 0 for a flow.
        coupling: "independent", "optimal", or "entropic", the one for sigma > 0. Each is taken within a batch, which biases it towards
            the independent one: take large batches.
        loc, scale: z = (x - loc) / scale for data and source alike, so that distances are those of one space; numbers.
        classes, condition: the condition of the data is a label below `classes`, or so many numbers, or (both 0) there is none. All
            rows of source are then moved to data of a given condition, and pairs are those within it (see `coupling.py`).

    Raises `ConfigError` for an entropic coupling without sigma and the like.

    >>> model = BridgeFlow(TimeMLP(2, hidden=16, outputs=4), torch.randn(100, 2), sigma=0.5)
    >>> model.sample(3).shape, model.transport(torch.zeros(5, 2), steps=10).shape
    (torch.Size([3, 2]), torch.Size([5, 2]))
    """

    source: Tensor
    coupling: BridgeCoupling

    def __init__(self, network: nn.Module, source: Tensor, *, sigma: float = 0.0, coupling: BridgeCoupling | None = None,
                 loc: float = 0.0, scale: float = 1.0, classes: int = 0, condition: int = 0):  # fmt: skip
        super().__init__()
        if min(classes, condition) < 0 or (classes and condition):
            raise ConfigError(f"expected a number of classes or of numbers of the condition, got {classes} and {condition}; leave one out")  # fmt: skip
        own: BridgeCoupling = coupling or ("entropic" if sigma else "optimal")
        if own not in get_args(BridgeCoupling) or (own == "entropic" and not sigma):
            raise ConfigError(f"expected a coupling among {', '.join(get_args(BridgeCoupling))}, entropic with sigma > 0 only, "
                              f"got {own!r} and sigma={sigma}")  # fmt: skip
        if not (0 <= sigma < math.inf and 0 < scale < math.inf and math.isfinite(loc)):
            raise ConfigError(f"expected sigma of at least 0 and a positive scale, got {sigma} and {scale}")
        if source.ndim < 2 or len(source) < 2 or not torch.isfinite(source).all():
            raise ShapeError(
                f"expected at least two finite rows of source (m, *event), got shape {tuple(source.shape)}"
            )
        self.network, self.sigma, self.coupling, self.loc, self.scale = network, float(sigma), own, loc, scale
        self.event_shape, self.log_prob_kind = as_size(source.shape[1:]), "none"
        self.condition_shape = as_size(()) if classes else as_size(condition) if condition else None
        self.reparameterised = False
        self.source = nn.Buffer((source.detach() - loc) / scale)

    @property
    def objective(self) -> "Callable[[Any, Any, RowGenerator], Loss]":
        """The squared errors of the gap and of eps; rows of source are drawn anew for every batch."""
        return bridge_matching

    def predicted(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """E[source - data | x_t] and E[eps | x_t], each of the shape of x `(n, *event)` in model units; t is `(n,)`."""
        gap, eps = self.network(x, t, condition).chunk(2, 1)
        return gap, eps

    def flow(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """dx/dt of the flow that has the marginals of the bridge, in model units."""
        gap, eps = self.predicted(x, t, condition)
        if not self.sigma:
            return gap
        return gap + self.sigma * expand_right((1 - 2 * t) / (2 * (t * (1 - t)).sqrt()), x) * eps

    def score(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """grad log p_t(x), in model units. Raises `ConfigError` without noise."""
        if not self.sigma:
            raise ConfigError(
                "expected a bridge with sigma > 0 for its score, got sigma=0; a flow alone does not know it"
            )
        return -self.predicted(x, t, condition)[1] / expand_right(self.sigma * (t * (1 - t)).sqrt(), x)

    def transport(self, x: Tensor, condition: Tensor | None = None, *, steps: int = 50, way: Way | None = None,
                  to: Literal["data", "source"] = "data", end: float = 1.0,
                  generator: torch.Generator | None = None) -> Tensor:  # fmt: skip
        """Move x `(*batch, *event)`, in the user's units, from the source to the data, or from the data `to="source"`.

        A condition `(*batch, *condition)` is that of the data, wherever the way begins.

        `way`: "sde" with noise (by default where sigma > 0), or "ode" along the flow, by Heun's method. `end` in (0, 1] is the
        share of the way to go. No gradients.
        """
        flat, batch = flatten_batch(x, self.event_shape)
        given = flatten_condition(condition, self.condition_shape, batch)
        own = way or ("sde" if self.sigma else "ode")
        if own not in get_args(Way) or to not in ("data", "source") or steps < 1 or not 0 < end <= 1:
            raise ConfigError(f"expected way among ode and sde, to among data and source, at least one step and end in (0, 1], got "
                              f"{own!r}, {to!r}, {steps} and {end}")  # fmt: skip
        if own == "sde" and not self.sigma:
            raise ConfigError('expected sigma > 0 for way="sde", got sigma=0; use way="ode"')
        rows = RowGenerator.of(generator, len(flat), device=device_of(self))
        with torch.no_grad():
            z = (match_dtype(flat, self.source.dtype) - self.loc) / self.scale
            moved = self._walk(z, given, steps, own, to == "source", end, rows)
        return (moved * self.scale + self.loc).reshape(x.shape)

    def _walk(self, x: Tensor, given: Tensor | None, steps: int, way: Way, back: bool, end: float,
              rows: RowGenerator) -> Tensor:  # fmt: skip
        for k in range(steps):
            done, more = end * k / steps, end * (k + 1) / steps
            t, s = (done, more) if back else (1 - done, 1 - more)
            x = self._noisy(x, given, t, s, back, rows) if way == "sde" else self._smooth(x, given, t, s)
        return x

    def _smooth(self, x: Tensor, given: Tensor | None, t: float, s: float) -> Tensor:
        t_inside, s_inside = (min(max(v, EDGE), 1 - EDGE) if self.sigma else v for v in (t, s))
        v = self.flow(x, x.new_full((len(x),), t_inside), given)
        ahead = self.flow(x + (s - t) * v, x.new_full((len(x),), s_inside), given)
        return x + (s - t) * (v + ahead) / 2

    def _noisy(self, x: Tensor, given: Tensor | None, t: float, s: float, back: bool, rows: RowGenerator) -> Tensor:
        """A step of the Brownian bridge from x to the end that is expected: exact as long as that end stays what it is."""
        t_inside = min(max(t, EDGE), 1 - EDGE)
        gap, eps = self.predicted(x, x.new_full((len(x),), t_inside), given)
        goal = x - t * gap - self.sigma * math.sqrt(t * (1 - t)) * eps
        far, near = t, s  # distances to the goal
        if back:
            goal, far, near = goal + gap, 1 - t, 1 - s
        spread = self.sigma * math.sqrt(max(near * (far - near) / far, 0.0))
        return x + (far - near) / far * (goal - x) + spread * rows.normal(*self.event_shape, dtype=x.dtype)

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        index = generator.integers(len(self.source))
        moved = self._walk(self.source[index], condition, 50, "sde" if self.sigma else "ode", False, 1.0, generator)
        return moved * self.scale + self.loc


def bridge_matching(model: BridgeFlow, batch: Any, generator: RowGenerator) -> Loss:
    """E|gap - gap_theta|^2 + E|eps - eps_theta|^2 over t, a batch of data and as many draws of the source."""
    data = (match_dtype(batch.x, model.source.dtype) - model.loc) / model.scale
    given = (
        flatten_condition(batch.condition, model.condition_shape, data.shape[:1])
        if model.condition_shape is not None
        else None
    )
    own = model.source[generator.integers(len(model.source))]
    source = pair(data, own, model.coupling, model.sigma, generator, given)
    t = EDGE + (1 - 2 * EDGE) * generator.uniform(dtype=data.dtype)
    eps = generator.normal(*model.event_shape, dtype=data.dtype)
    wide = expand_right(t, data)
    gap, noise = model.predicted(
        (1 - wide) * data + wide * source + model.sigma * (wide * (1 - wide)).sqrt() * eps, t, given
    )
    flow_error = (gap - (source - data)).square().mean()
    noise_error = (noise - eps).square().mean() if model.sigma else flow_error.new_zeros(())
    return Loss(flow_error + noise_error, {"gap": flow_error.detach(), "eps": noise_error.detach()})


def pair(data: Tensor, source: Tensor, coupling: BridgeCoupling, sigma: float, generator: RowGenerator,
         condition: Tensor | None = None) -> Tensor:  # fmt: skip
    """The rows of source `(n, *event)` in the order in which they meet the data; entropic plans are drawn from."""
    if coupling != "entropic":
        return couple(data, source, "conditional_optimal" if coupling == "optimal" else coupling, condition)
    u = generator.uniform(dtype=data.dtype)

    def drawn(rows: Tensor, given: Tensor | None) -> Tensor:
        reached = entropic_plan(between(data[rows], source[rows], given), 2 * sigma**2).cumsum(1)
        return torch.searchsorted(reached, u[rows, None] * reached[:, -1:])[:, 0].clamp(max=len(rows) - 1)

    if condition is not None and not condition.is_floating_point():
        return source[within_labels(condition, lambda rows: drawn(rows, None))]
    return source[drawn(torch.arange(len(data), device=data.device), condition)]


def bridge(data: Tensor | Table, *, source: Tensor, sigma: float = 0.0, coupling: BridgeCoupling | None = None,
           width: int = 128, classes: int = 0) -> BridgeFlow:  # fmt: skip
    """A `BridgeFlow` from `source` `(m, features)` to `data` `(n, features)`, sized and scaled by both.

    Both are divided by one number, their joint standard deviation; `sigma` is in these units. Without it the model is a flow with
    optimal pairs, with it the Schroedinger bridge. A `Table` with given columns makes them the condition; with `classes` it is
    a label instead. Train it on the data: `pf.fit(model, data)`.

    >>> import pushforward as pf
    >>> moons, circle = pf.data.toy("two_moons", 200), pf.data.toy("eight_gaussians", 200)
    >>> bridge(circle, source=moons, sigma=0.3).coupling
    'entropic'
    """
    given = data.condition if isinstance(data, Table) else None
    values = data.values if isinstance(data, Table) else data
    if values.ndim != 2 or source.ndim != 2 or values.shape[1] != source.shape[1]:
        raise ShapeError(f"expected data and source of shapes (n, features) and (m, features), got {tuple(values.shape)} and "
                         f"{tuple(source.shape)}; build BridgeFlow for other events")  # fmt: skip
    both = torch.cat([values, source])
    loc = both.mean().item()
    scale = (both - both.mean(0)).square().mean().sqrt().item()
    features, condition = values.shape[1], 0 if given is None or classes else given[0].numel()
    network = TimeMLP(features, hidden=width, outputs=2 * features, classes=classes or None, condition=condition)
    return BridgeFlow(
        network, source, sigma=sigma, coupling=coupling, loc=loc, scale=scale, classes=classes, condition=condition
    )
