"""Latent SDE: a hidden diffusion behind irregular series, learned by variational inference on paths.

    prior      dz = h(z) dt + g(z) dW,               z(0) ~ p,     y_i ~ N(decoder(z(t_i)), s^2)
    posterior  dz = (h(z) + g(z) u) dt + g(z) dW,    z(0) ~ q,     u = u(t, z, what is still to come)
    ELBO = E_q sum_i log p(y_i | z(t_i)) - KL(q(z(0)), p(z(0))) - E_q 1/2 int |u|^2 dt

The last term is the KL of the two laws on paths, which share g, by Girsanov's theorem; u = (f - h) / g for f the drift of the
posterior. Li, Wong, Chen and Duvenaud, 2020, Scalable Gradients for Stochastic Differential Equations,
https://arxiv.org/abs/2001.01328.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, LogNormal, MixtureSameFamily, Normal, kl_divergence
from torch.nn.functional import pad, softplus

from pushforward.core.errors import ConfigError
from pushforward.core.objective import Loss, Objective
from pushforward.core.process import Context, Process
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.core.term import Term
from pushforward.parts.data import Series, SeriesBatch
from pushforward.parts.diffeq import DiffusionTerm, EulerMaruyama, ODETerm, Status, WienerIncrements, solve
from pushforward.parts.nn import MLP, SeriesGRU

from .observations import Sequences, Units, require_affordable, require_sizes

LEAST = 1e-2  # of g and of the noise, in units of the standardised data: both divide
PREDICTION_SEED = 20200105


class _Guide(NamedTuple):
    """What the posterior knows at each node of the grid: context `(n, S, c)`, nearness of the next point and whether there is one."""

    context: Tensor
    near: Tensor  # (n, S, 1)
    some: Tensor  # (n, S, 1)


class _Shared:
    """The noise of a few rows, repeated for all."""

    def __init__(self, noise: WienerIncrements, rows: int):
        self.noise, self.rows, self.shape = noise, rows, noise.shape
        self.begin, self.seek = noise.begin, noise.seek

    def increment(self, t0: Tensor | float, t1: Tensor | float, like: Tensor) -> Tensor:
        """W(t1) - W(t0), `(n, *shape)`."""
        return self.noise.increment(t0, t1, like[: self.rows]).repeat(len(like) // self.rows, 1)

    def increment_and_area(self, t0: Tensor | float, t1: Tensor | float, like: Tensor) -> tuple[Tensor, Tensor]:
        """The same, and the space-time area."""
        both = self.noise.increment_and_area(t0, t1, like[: self.rows])
        return both[0].repeat(len(like) // self.rows, 1), both[1].repeat(len(like) // self.rows, 1)


@register
class LatentSDE(Process):
    """A hidden diffusion of `latent` numbers with a decoder: draws, interpolates and forecasts irregular series with bands.

    h, the control u and the decoder are networks with tanh layers of widths `hidden`, h with a learned pull to 0; each number of g
    depends on its own number of z only. A recurrent network reads the points backwards, so that u at a time sees all that is
    still to come; before training u is 0, and beyond the last point it always is: there the prior goes on.

    Paths move on a grid that is the same for all rows, `steps` Euler-Maruyama steps for the span of the data, with straight
    lines in between; on that grid the ELBO is a bound without error of discretisation. z(start) holds before the start.
    `predict` is *joint over the targets*: a mixture over `paths` posterior paths, the same at every call unless a generator is
    given. An empty context gives the prior. With `log_scale` all this is about the logarithm of positive data. With `gradient`
    "checkpointed" the memory of training grows with the root of the number of steps.

    Raises `ConfigError` for sizes below 1.

    >>> sde = LatentSDE(2, latent=3, steps=10)
    >>> context = Context.of(torch.rand(4, 6, 1), torch.randn(4, 6, 2))
    >>> sde.predict(context, torch.linspace(0, 2, 5).expand(4, 5)[..., None]).sample().shape
    torch.Size([4, 5, 2])
    """

    step: Tensor

    def __init__(self, channels: int, latent: int = 4, context_size: int = 32, hidden: Sequence[int] = (64,), steps: int = 64,
                 paths: int = 32, log_scale: bool = False, gradient: Literal["direct", "checkpointed"] = "direct"):  # fmt: skip
        super().__init__()
        require_sizes(
            {"channels": channels, "latent": latent, "context_size": context_size, "steps": steps, "paths": paths},
            hidden,
        )
        self.x_dim, self.y_dim, self.latent, self.steps, self.paths = 1, channels, latent, steps, paths
        if gradient not in ("direct", "checkpointed"):
            raise ConfigError(
                f"expected gradient 'direct' or 'checkpointed', got {gradient!r}; an adjoint of noise is not exact"
            )
        self.gradient: Literal["direct", "checkpointed"] = gradient
        self.units = Units(channels, log_scale)
        self.step = nn.Buffer(torch.tensor(1.0 / steps))
        self.encoder = SeriesGRU(2 * channels + 1, context_size)
        self.start = MLP(context_size, 2 * latent, (), zero_last=True)
        self.prior, self.pull = MLP(latent, latent, hidden, "tanh", zero_last=True), nn.Parameter(torch.zeros(latent))
        self.control = MLP(latent + context_size + 1, latent, hidden, "tanh", zero_last=True)
        self.decoder = MLP(latent, channels, hidden, "tanh")
        self.spread_enter = nn.Parameter(torch.randn(2, latent, 8))
        self.spread_leave, self.spread_level = nn.Parameter(torch.zeros(latent, 8)), nn.Parameter(torch.zeros(latent))
        self.initial_mean, self.initial_scale = nn.Parameter(torch.zeros(latent)), nn.Parameter(torch.zeros(latent))
        self.raw_noise = nn.Parameter(torch.full((channels,), -1.0))

    @property
    def objective(self) -> Objective:
        """What `fit` minimises: minus the ELBO, in nats per observed number."""
        return negative_path_elbo

    @property
    def noise(self) -> Tensor:
        """Standard deviations of the observation noise, `(channels,)`, in the model's units."""
        return LEAST + softplus(self.raw_noise)

    def standardise(self, data: Series) -> None:
        """Take the units of time and of each channel, and the step of the grid, from the observed part of `data`."""
        span = self.units.fit(data.t, data.x, data.observed)
        self.step.fill_((span or 1.0) / self.steps)

    def prior_drift(self, z: Float[Tensor, "n latent"]) -> Float[Tensor, "n latent"]:
        """h(z) = net(z) - rate z."""
        return self.prior(z) - softplus(self.pull) * z

    def diffusion(self, z: Float[Tensor, "n latent"]) -> Float[Tensor, "n latent"]:
        """g(z), positive, number j a function of z_j."""
        weight, bias = self.spread_enter
        each = torch.tanh(z[..., None] * weight + bias)
        return LEAST + softplus((each * self.spread_leave).sum(-1) + self.spread_level)

    def prior_start(self, n: int) -> Normal:
        """p(z(0)), `(n, latent)`."""
        scale = LEAST + softplus(self.initial_scale + 0.54)
        return Normal(self.initial_mean.expand(n, -1), scale.expand(n, -1), validate_args=False)

    def elbo(self, context: Context, generator: RowGenerator) -> Float[Tensor, " n"]:
        """The evidence lower bound of the observed numbers of each row, in nats and the data's units, by one path."""
        series = self.units.read(context)
        return self._bound(series, generator)[0] - self.units.log_volume(context)

    def predict(self, context: Context, x_target: Float[Tensor, "n targets 1"], *,
                generator: torch.Generator | None = None) -> MixtureSameFamily:  # fmt: skip
        """p(y at `x_target` `(n, targets, 1)` | context): its draws are a path and its noise, `(n, targets, channels)`.

        Raises `ShapeError` and `DataError` for a context or targets that do not fit.
        """
        self.units.require_finite(context)
        series, tau = self.units.read(context), self.units.require_targets(x_target, len(context.x))
        n, k = len(tau), self.paths
        random = RowGenerator.of(generator, n * k, device=tau.device) if generator is not None else None
        ends = torch.cat([tau, series.t], 1)
        z, _, _ = self._posterior_paths(series, float(ends.max()) if ends.numel() else 0.0, random, k)
        each = self._decode(self._read_off(z, tau.repeat_interleave(k, 0))).unflatten(0, (n, k))
        loc, scale = self.units.loc + self.units.scale * each, (self.units.scale * self.noise).expand_as(each)
        family = LogNormal if self.units.log_scale else Normal
        return MixtureSameFamily(Categorical(logits=tau.new_zeros(n, k)), Independent(family(loc, scale), 2))

    def _bound(self, series: Sequences, random: RowGenerator) -> tuple[Tensor, Tensor, Tensor]:
        """ELBO in the model's units, KL of the starts and KL of the paths, each `(n,)`."""
        z, kl_start, kl_path = self._posterior_paths(series, float(series.t.max()) if series.t.numel() else 0.0, random)
        mean = self._decode(self._read_off(z, series.t))
        each = Normal(mean, self.noise, validate_args=False).log_prob(series.y)
        likelihood = torch.where(series.observed, each, 0.0).flatten(1).sum(1)
        return likelihood - kl_start - kl_path, kl_start, kl_path

    def _posterior_paths(self, series: Sequences, end: float, random: RowGenerator | None,
                         paths: int = 1) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """z at the nodes of the grid until `end`, `(n paths, S + 1, latent)`, and the two KL of each path."""
        n, step = len(series.t), float(self.step)
        require_affordable(end / step)
        nodes = max(1, -int(-end // step)) + 1
        guide, begin = self._read_context(
            series, step * torch.arange(nodes - 1, dtype=series.t.dtype, device=series.t.device)
        )
        guide, begin = _Guide(*(part.repeat_interleave(paths, 0) for part in guide)), begin.repeat_interleave(paths, 0)
        some = series.observed.flatten(1).any(1, keepdim=True).repeat_interleave(paths, 0)
        p = self.prior_start(n * paths)
        mean, raw = self.start(begin).chunk(2, -1)
        q = Normal(torch.where(some, p.mean + mean, p.mean), torch.where(some, p.stddev * torch.exp(raw.clamp(-6.0, 3.0)), p.stddev),
                   validate_args=False)  # fmt: skip
        # By default every row sees the same draws, so that its prediction does not depend on its place in the batch.
        source = random or RowGenerator(PREDICTION_SEED, paths, device=series.t.device)
        first = source.normal(self.latent, dtype=series.t.dtype)
        noise = WienerIncrements(self.latent + 1, source.fork(1).seed, source.start)
        if random is None:
            first, noise = first.repeat(n, 1), _Shared(noise, paths)
        terms = self._terms(guide, step, DiffusionTerm(self._spread, noise))
        begin = pad(q.mean + q.stddev * first, (0, 1))
        solution = solve(
            terms, begin, [step * k for k in range(nodes)], solver=EulerMaruyama(), gradient=self.gradient, throw=False
        )
        # A path that ran away makes the loss NaN, which `fit` answers by going back; its last good state would hide it.
        kl = torch.where(solution.status == Status.SUCCESS, solution.last_y[:, -1], torch.nan)
        return solution.y[..., :-1].transpose(0, 1), kl_divergence(q, p).sum(1), kl

    def _terms(self, guide: _Guide, step: float, noise: DiffusionTerm) -> list[Term]:
        """The posterior of the state (z, 1/2 int |u|^2 dt), whose last number has no noise."""
        rows, last = torch.arange(len(guide.some), device=guide.some.device), guide.some.shape[1] - 1

        def drift(t: Tensor, state: Tensor) -> Tensor:
            z, at = state[:, :-1], (t / step).round().long().clamp(max=last)
            known = torch.cat([z, guide.context[rows, at], guide.near[rows, at]], 1)
            u = torch.where(guide.some[rows, at], self.control(known), 0.0)
            return torch.cat([self.prior_drift(z) + self.diffusion(z) * u, 0.5 * u.square().sum(1, keepdim=True)], 1)

        return [ODETerm(drift), noise]

    def _spread(self, t: Tensor, state: Tensor) -> Tensor:
        return pad(self.diffusion(state[:, :-1]), (0, 1))

    def _read_context(self, series: Sequences, grid: Tensor) -> tuple[_Guide, Tensor]:
        """What is still to come at each time of the grid `(S,)`, and at the start, from the network that reads backwards."""
        n, points = series.t.shape
        count = series.observed.any(-1).sum(1, keepdim=True)
        if not points:
            nothing = series.t.new_zeros(n, len(grid), self.encoder.hidden)
            return _Guide(nothing, nothing[..., :1], nothing[..., :1] > 0), nothing[:, 0]
        place = torch.arange(points, device=grid.device).expand(n, points)
        back = (count - 1 - place) % points  # the real points in reverse, then the padding; its own inverse
        gaps = series.t.diff(dim=1, append=series.t[:, -1:])
        inputs = torch.cat([series.y, series.observed.to(series.t.dtype), gaps[..., None]], -1)
        turned = inputs.gather(1, back[..., None].expand_as(inputs))
        states = self.encoder(turned, gaps, place < count)
        states = states.gather(1, back[..., None].expand_as(states))
        times = torch.where(place < count, series.t, torch.inf)
        following = torch.searchsorted(times, grid.expand(n, -1).contiguous(), right=True)
        some = (following < count)[..., None]
        following = following.clamp(max=points - 1)
        context = states.gather(1, following[..., None].expand(-1, -1, states.shape[-1]))
        near = torch.exp(grid - series.t.gather(1, following)).unsqueeze(-1)
        start = states[:, 0]
        return _Guide(torch.where(some, context, 0.0), torch.where(some, near, 0.0), some), start

    def _read_off(self, z: Tensor, t: Tensor) -> Tensor:
        """z at times t `(n, m)`, on straight lines between the nodes."""
        place = (t / self.step).clamp(max=z.shape[1] - 1)
        left = place.floor().long().clamp(max=z.shape[1] - 2)
        weight = (place - left)[..., None]
        index = left[..., None].expand(-1, -1, self.latent)
        return torch.lerp(z.gather(1, index), z.gather(1, index + 1), weight)

    def _decode(self, z: Tensor) -> Tensor:
        return self.decoder(z.flatten(0, 1)).unflatten(0, z.shape[:2])


def negative_path_elbo(model: Any, batch: SeriesBatch, generator: RowGenerator) -> Loss:
    """Minus the ELBO of a batch of series per observed number, in nats and the data's units."""
    context = batch.context()
    series = model.units.read(context)
    bound, start, path = model._bound(series, generator)
    elbo = (bound - model.units.log_volume(context)).sum() / series.count.sum().clamp(min=1)
    return Loss(-elbo, {"elbo": elbo.detach(), "kl_start": start.detach().mean(), "kl_path": path.detach().mean()})


def latent_sde(data: Series | None = None, *, channels: int | None = None, latent: int = 4, context_size: int = 32,
               hidden: Sequence[int] = (64,), steps: int = 64, paths: int = 32, log_scale: bool = False,
               gradient: Literal["direct", "checkpointed"] = "direct", seed: int = 0) -> LatentSDE:  # fmt: skip
    """Build a latent SDE for series with the units of `data`, or for `channels` in units of one.

    The same `seed` gives the same first weights. Raises `ConfigError` for data and channels both or neither.

    >>> from pushforward.parts.data import Series
    >>> latent_sde(Series.of(torch.arange(20.0), torch.randn(4, 20, 2).cumsum(1))).y_dim
    2
    """
    if (data is None) == (channels is None):
        raise ConfigError("expected data or channels=, one of the two, got " + ("neither" if data is None else "both"))
    size = data.channels if data is not None else channels or 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sde = LatentSDE(size, latent, context_size, hidden, steps, paths, log_scale, gradient)
    if data is not None:
        sde.standardise(data)
    return sde
