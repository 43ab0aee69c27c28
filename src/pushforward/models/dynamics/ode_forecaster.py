"""Forecasts by a neural ODE of what is observed itself: dx/dt = f(x), learned from pieces of the series.

x(t) ~ N(phi(t - t_i, x_i), a^2 + b^2 (t - t_i)), where phi follows f from an observed x_i, and the spread grows with the time since.
Every point is a start of its own (multiple shooting; Bock and Plitt, 1984, https://doi.org/10.1016/S1474-6670(17)61205-9), since
a single path through a long series forgets where it began. Chen et al., 2018, https://arxiv.org/abs/1806.07366.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Independent, LogNormal, Normal
from torch.nn.functional import softplus

from pushforward.core.errors import ConfigError, DataError, ShapeError
from pushforward.core.objective import Loss, Objective
from pushforward.core.process import Context, Process
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.core.solver import Solver
from pushforward.models.flows.columns import seeded
from pushforward.parts.data import Series, SeriesBatch
from pushforward.parts.diffeq import Dopri5, solve
from pushforward.parts.nn import VectorField

from .conditioning import channel_mask
from .solver_named import solver_named

SMALLEST_SCALE = 1e-3


@register
class ODEForecaster(Process):
    """Forecasts by following a vector field of the observed channels from the last point at which all of them are known.

    Given the context, the channels and targets are independent: means and bands are what it is for. A target before the
    first such point is reached backwards in time; a context without such a point gives the channels' own mean and spread.
    With `log` the field moves the logarithms, and predictions are log-normal: for positive numbers that live on ratios, such
    as populations. A training step shoots from `starts` points of each series, over at most `horizon` points each.

    Raises `ConfigError` for settings below 1, `DataError` for numbers without a logarithm.

    >>> model = neural_ode_series(channels=2)
    >>> context = Context.of(torch.zeros(1, 4, 1), torch.ones(1, 4, 2))
    >>> model.predict(context, torch.ones(1, 3, 1)).mean.shape
    torch.Size([1, 3, 2])
    """

    x_loc: Tensor
    x_scale: Tensor
    t_scale: Tensor

    def __init__(self, field: VectorField, log: bool = False, horizon: int = 10, starts: int = 4,
                 solver: Solver | None = None, rtol: float = 1e-3, atol: float = 1e-4):  # fmt: skip
        super().__init__()
        if min(horizon, starts) < 1:
            raise ConfigError(f"expected horizon and starts of at least 1, got {horizon} and {starts}; raise them")
        self.x_dim, self.y_dim = 1, field.features
        self.field, self.log, self.horizon, self.starts = field, log, horizon, starts
        self.solver, self.rtol, self.atol = solver or Dopri5(), rtol, atol
        self.raw_noise = nn.Parameter(torch.full((2, self.y_dim), -2.0))  # a and b, before softplus
        self.x_loc, self.x_scale = nn.Buffer(torch.zeros(self.y_dim)), nn.Buffer(torch.ones(self.y_dim))
        self.t_scale = nn.Buffer(torch.ones(()))

    @property
    def objective(self) -> Objective:
        """What `fit` minimises: minus the log-likelihood per number of the points after random starts."""
        return shooting_likelihood

    def standardise(self, data: Series) -> None:
        """Take location and scale of every channel, of its logarithms with `log`, and the mean time between points."""
        self._require_positive(data.x, data.observed)
        units = Series(
            data.t, self._seen(data.x, data.observed), data.observed, channel_names=data.channel_names
        ).units()
        self.x_loc.copy_(units.mean)
        self.x_scale.copy_(units.std)
        gaps = data.t[:, 1:] - data.t[:, :-1]
        self.t_scale.copy_(gaps[gaps > 0].mean() if bool((gaps > 0).any()) else torch.ones(()))

    def predict(self, context: Context, x_target: Float[Tensor, "n m 1"]) -> Independent:
        """p(x(t)) at each of the times `x_target`, of event shape (m, channels)."""
        fits = context.y.ndim == 3 and context.x.shape == (*context.y.shape[:2], 1)
        if not fits or context.y.shape[2] != self.y_dim or x_target.shape != (len(context.x), x_target.shape[1], 1):
            raise ShapeError(f"expected a context of x (n, points, 1) and y (n, points, {self.y_dim}) and x_target (n, targets, 1), got "
                             f"{tuple(context.x.shape)}, {tuple(context.y.shape)} and {tuple(x_target.shape)}")  # fmt: skip
        mask = channel_mask(context)
        self._require_positive(context.y, mask)
        full, target = mask.all(-1), x_target[..., 0]
        some = full.any(1, keepdim=True)
        # One more point, at the channels' means, is the start of a row that has none, and keeps empty contexts from being a case.
        t = torch.cat([torch.where(full, context.x[..., 0], 0.0), target.new_zeros(len(full), 1)], 1)
        x = torch.nn.functional.pad(torch.where(full[..., None], self._standard(context.y, mask), 0.0), (0, 0, 0, 1))
        full = torch.cat([full, ~some], 1)
        # For each target the latest full point that is not after it, or else the earliest of all.
        before = full[:, None] & (t[:, None] <= target[..., None])
        latest = torch.where(before, t[:, None], -torch.inf).argmax(2)
        earliest = torch.where(full, t, torch.inf).argmin(1, keepdim=True)
        start = torch.where(before.any(2), latest, earliest)
        values = x.gather(1, start[..., None].expand(*start.shape, self.y_dim))
        gap = torch.where(some, (target - t.gather(1, start)) / self.t_scale, 0.0)
        ahead, back = self._shoot(values, gap.clamp(min=0.0)), self._shoot(values, gap.clamp(max=0.0))
        mean = torch.where((gap < 0)[..., None], back, ahead)
        scale = self.x_scale * torch.where(some[..., None], self._spread(gap.abs()), 1.0)
        loc = self.x_loc + self.x_scale * mean
        return Independent(LogNormal(loc, scale) if self.log else Normal(loc, scale), 2)

    def _shoot(self, values: Tensor, gap: Tensor) -> Tensor:
        """phi(gap, values) for values `(n, m, channels)` and gaps `(n, m)` of one sign."""
        each, span = values.flatten(0, 1), gap.flatten()
        times = torch.stack([torch.zeros_like(span), span], 1)
        return solve(self.field, each, times, solver=self.solver, rtol=self.rtol, atol=self.atol).last_y.reshape(
            values.shape
        )

    def _spread(self, gap: Tensor) -> Tensor:
        a, b = SMALLEST_SCALE + softplus(self.raw_noise)
        return (a.square() + b.square() * gap[..., None]).sqrt()

    def _seen(self, x: Tensor, observed: Tensor) -> Tensor:
        """What the field moves: x, or its logarithm; 0 where it was not observed."""
        return torch.where(observed, torch.where(observed, x, 1.0).log() if self.log else x, 0.0)

    def _standard(self, x: Tensor, observed: Tensor) -> Tensor:
        return (self._seen(x, observed) - self.x_loc) / self.x_scale

    def _require_positive(self, x: Tensor, observed: Tensor) -> None:
        if self.log and bool((x[observed] <= 0).any()):
            raise DataError(f"expected numbers above 0 for log=True, got {float(x[observed].min()):g}; use log=False")


def shooting_likelihood(model: ODEForecaster, batch: SeriesBatch, generator: RowGenerator) -> Loss:
    """Minus the log-likelihood per number of the `horizon` points after each of `starts` random points of every series."""
    observed, x = batch.observed, model._standard(batch.x, batch.observed)
    n, points, channels = x.shape
    place, ahead = torch.arange(points, device=x.device), torch.arange(1, model.horizon + 1, device=x.device)
    last = torch.where(observed.any(-1), place, 0).amax(1, keepdim=True)
    eligible = observed.all(-1) & (place < last)  # a start is known in full, and something follows it
    keys = generator.uniform(model.starts, points).masked_fill(~eligible[:, None], -1.0)
    start = keys.argmax(2)  # (n, starts)
    after = start[..., None] + ahead  # (n, starts, horizon): the points that follow
    inside, index = after < points, after.clamp(max=points - 1)
    rows = torch.arange(n, device=x.device)[:, None, None]
    target, seen = x[rows, index], observed[rows, index] & (inside & eligible.any(1)[:, None, None])[..., None]
    gap = (batch.t[rows, index] - batch.t[rows[..., 0], start][..., None]) / model.t_scale
    times = torch.cat([torch.zeros_like(gap[..., :1]), gap], 2).flatten(0, 1)
    begin = x[rows[..., 0], start].flatten(0, 1)
    solution = solve(model.field, begin, times, solver=model.solver, rtol=model.rtol, atol=model.atol)
    mean = solution.y[1:].transpose(0, 1).reshape(n, model.starts, model.horizon, channels)
    each = Normal(mean, model._spread(gap), validate_args=False).log_prob(target) - model.x_scale.log()
    if model.log:  # the density of a number, not of its logarithm
        each = each - (model.x_loc + model.x_scale * target)
    likelihood = torch.where(seen, each, 0.0).sum() / seen.sum().clamp(min=1)
    return Loss(-likelihood, {"log_likelihood_per_number": likelihood.detach()})


def neural_ode_series(data: Series | None = None, *, channels: int | None = None, hidden: Sequence[int] = (64, 64),
                      log: bool = False, horizon: int = 10, starts: int = 4, solver: str | Solver = "Dopri5",
                      seed: int = 0) -> ODEForecaster:  # fmt: skip
    """An `ODEForecaster` sized for a `Series` and standardised by it, or for a number of `channels`.

    Raises `ConfigError` for data and channels both or neither.

    >>> neural_ode_series(channels=3, log=True).y_dim
    3
    """
    if (data is None) == (channels is None):
        raise ConfigError("expected data or channels=, one of the two, got " + ("neither" if data is None else "both"))
    width = data.channels if data is not None else int(channels or 0)
    if width < 1:
        raise ConfigError(f"expected at least 1 channel, got {width}")
    with seeded(seed):
        model = ODEForecaster(VectorField(width, hidden), log, horizon, starts, solver_named(solver))
    if data is not None:
        model.standardise(data)
    return model
