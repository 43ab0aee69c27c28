"""Forecasts by a neural CDE: the state reads what was seen up to now, and then moves on with time alone.

z(t) follows dz = f(z) dX along a causal path X of the observations. After the last of them nothing of X changes but its
channel of time, so the equation goes on as dz = f(z) e_t dt, an autonomous one, and at every time a linear layer reads mean and
spread off z. Kidger, Morrill, Foster and Lyons, 2020, https://arxiv.org/abs/2005.08926; Morrill, Kidger, Yang and Lyons, 2021,
https://arxiv.org/abs/2106.11028, on causal paths.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Independent, Normal
from torch.nn import functional

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.objective import Loss, Objective
from pushforward.core.process import Context, Process
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.models.flows.columns import seeded
from pushforward.parts.data import Series, SeriesBatch
from pushforward.parts.diffeq.interpolation import PiecewisePolynomial

from .conditioning import channel_mask
from .control_field import fixed_path
from .neural_cde import NeuralCDE

STEPS = 32  # from the last observation to a target


@register
class CDEForecaster(Process):
    """p(x(t) | what was seen before t), from a `NeuralCDE` with a causal path and the head "regress".

    Given the context, channels and targets are independent: means and bands are what it is for. A target between observations
    knows those before it and not those after. Before the first observation, and without any, it is the channels' own mean
    and spread. A training step predicts the `horizon` points after each of `starts` random moments of each series.

    Raises `ConfigError` for a network that is not causal or has another head, or settings below 1.

    >>> model = neural_cde_series(channels=2, hidden=8, width=8)
    >>> context = Context.of(torch.linspace(0, 1, 4).expand(3, 4)[..., None], torch.ones(3, 4, 2))
    >>> model.predict(context, torch.full((3, 5, 1), 2.0)).mean.shape
    torch.Size([3, 5, 2])
    """

    def __init__(self, network: NeuralCDE, horizon: int = 10, starts: int = 4):
        super().__init__()
        if (
            min(horizon, starts) < 1
            or not network.causal
            or network.head != "regress"
            or network.outputs != network.channels
        ):
            raise ConfigError(f"expected horizon and starts of at least 1, and a causal network with the head 'regress' and an output for each "
                              f"channel, got {horizon}, {starts}, causal={network.causal}, {network.head!r} and {network.outputs} of "
                              f"{network.channels}; use neural_cde_series")  # fmt: skip
        self.x_dim, self.y_dim = 1, network.channels
        self.network, self.horizon, self.starts = network, horizon, starts

    @property
    def objective(self) -> Objective:
        """What `fit` minimises: minus the log-likelihood per number of the points after random moments."""
        return forecast_likelihood

    def standardise(self, data: Series) -> None:
        """Take the units of the network from the data, those of its outputs being those of the channels."""
        network = self.network
        network.standardise(data.unlabelled())
        network.y_loc.copy_(network.x_loc)
        network.y_scale.copy_(network.x_scale)

    def predict(self, context: Context, x_target: Float[Tensor, "n m 1"]) -> Independent:
        """p(x(t)) at each of the times `x_target`, of event shape (m, channels). Raises `ShapeError` for what does not fit."""
        fits = context.y.ndim == 3 and context.x.shape == (*context.y.shape[:2], 1)
        if not fits or context.y.shape[2] != self.y_dim or x_target.shape != (len(context.x), x_target.shape[1], 1):
            raise ShapeError(f"expected a context of x (n, points, 1) and y (n, points, {self.y_dim}) and x_target (n, targets, 1), got "
                             f"{tuple(context.x.shape)}, {tuple(context.y.shape)} and {tuple(x_target.shape)}")  # fmt: skip
        network, target = self.network, x_target[..., 0]
        n, m = target.shape
        batch = in_order(context)
        real = batch.observed.any(-1)
        place = (real[:, None] & (batch.t[:, None] <= target[..., None])).sum(2) - 1  # the last point not after it
        known = place >= 0
        states = network.states(batch)
        rows = torch.arange(n, device=target.device)[:, None]
        start, since = states[place.clamp(min=0), rows], batch.t[rows, place.clamp(min=0)]
        gap = torch.where(known, (target - since) / network.t_scale, 0.0)
        z = self._go_on(start.flatten(0, 1), gap.reshape(-1, 1), STEPS)[0]
        mean, raw = network.read_out(z).unflatten(0, (n, m)).chunk(2, -1)
        scale = torch.where(known[..., None], self._scale(raw), 1.0)
        mean = torch.where(known[..., None], mean, 0.0)
        return Independent(Normal(network.y_loc + network.y_scale * mean, network.y_scale * scale), 2)

    def _go_on(self, z: Tensor, gaps: Tensor, steps: int = 1) -> Tensor:
        """z after each of the `gaps` `(rows, k)` of time, which ascend and in which nothing is seen: `(k, rows, hidden)`."""
        network = self.network
        knots = torch.cat([torch.zeros_like(gaps[:, :1]), gaps], 1).to(z.dtype)
        rise = torch.stack(
            [knots[:, :-1], torch.ones_like(gaps, dtype=z.dtype), *2 * [torch.zeros_like(gaps, dtype=z.dtype)]], 2
        )
        path = PiecewisePolynomial(knots, functional.pad(rise[..., None], (0, network.path_channels - 1)))
        return fixed_path(network.field, path, z, network.solver, steps)[steps::steps]

    @staticmethod
    def _scale(raw: Tensor) -> Tensor:
        return 1e-3 + functional.softplus(raw)


def in_order(context: Context) -> SeriesBatch:
    """The points of a context in the order of time, with what is not real cut to padding at the end; times may repeat."""
    mask = channel_mask(context)
    real = mask.any(-1)
    order = context.x[..., 0].masked_fill(~real, torch.inf).argsort(dim=1, stable=True)
    if order.shape[1] == 0:  # a path wants a point to begin at
        t = context.x.new_zeros(len(context.x), 1)
        return SeriesBatch(t, t[..., None].expand(-1, -1, context.y.shape[2]), torch.zeros_like(t, dtype=torch.bool)[..., None]
                           .expand(-1, -1, context.y.shape[2]))  # fmt: skip
    wide = order[..., None].expand(mask.shape)
    t, observed = context.x[..., 0].gather(1, order), mask.gather(1, wide)
    last = torch.where(real, context.x[..., 0], -torch.inf).amax(1, keepdim=True)
    t = torch.where(real.gather(1, order), t, torch.where(last.isfinite(), last, 0.0))
    return SeriesBatch(t, torch.where(observed, context.y.gather(1, wide), 0.0), observed)


def forecast_likelihood(model: CDEForecaster, batch: SeriesBatch, generator: RowGenerator) -> Loss:
    """Minus the log-likelihood per number of the `horizon` points after each of `starts` random moments of every series."""
    network, (n, points, _) = model.network, batch.x.shape
    place, ahead = (
        torch.arange(points, device=batch.t.device),
        torch.arange(1, model.horizon + 1, device=batch.t.device),
    )
    real = batch.observed.any(-1)
    last = torch.where(real, place, 0).amax(1, keepdim=True)
    seen_before = real.cumsum(1) > 0
    eligible = seen_before & (place < last)
    keys = generator.uniform(model.starts, points).masked_fill(~eligible[:, None], -1.0)
    start = keys.argmax(2)  # (n, starts)
    after = start[..., None] + ahead
    index, rows = after.clamp(max=points - 1), torch.arange(n, device=batch.t.device)[:, None, None]
    use = batch.observed[rows, index] & ((after < points) & eligible.any(1)[:, None, None])[..., None]
    t = torch.cat([batch.t[rows[..., 0], start][..., None], batch.t[rows, index]], 2)
    z = network.states(batch)[start, rows[..., 0]]
    gaps = ((t[..., 1:] - t[..., :1]) / network.t_scale).flatten(0, 1)
    numbers = network.read_out(model._go_on(z.flatten(0, 1), gaps)).transpose(0, 1).unflatten(0, (n, model.starts))
    mean, raw = numbers.chunk(2, -1)
    target = (batch.x[rows, index] - network.y_loc) / network.y_scale
    each = Normal(mean, model._scale(raw), validate_args=False).log_prob(target) - network.y_scale.log()
    likelihood = torch.where(use, each, 0.0).sum() / use.sum().clamp(min=1)
    return Loss(-likelihood, {"log_likelihood_per_number": likelihood.detach()})


def neural_cde_series(data: Series | None = None, *, channels: int | None = None, hidden: int = 32, width: int = 64,
                      layers: int = 2, horizon: int = 10, starts: int = 4, seed: int = 0) -> CDEForecaster:  # fmt: skip
    """A `CDEForecaster` sized for a `Series` and standardised by it, or for a number of `channels`.

    Raises `ConfigError` for data and channels both or neither.

    >>> neural_cde_series(channels=3).y_dim
    3
    """
    if (data is None) == (channels is None):
        raise ConfigError("expected data or channels=, one of the two, got " + ("neither" if data is None else "both"))
    own = data.channels if data is not None else int(channels or 0)
    with seeded(seed):
        network = NeuralCDE(own, own, hidden, width, layers, "linear", "regress", counts=True, causal=True)
        model = CDEForecaster(network, horizon, starts)
    if data is not None:
        model.standardise(data)
    return model
