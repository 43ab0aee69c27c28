"""Latent ODE: a hidden path that starts at random and then follows an ordinary differential equation.

z(0) ~ N(0, I), dz/dt = f(z), x(t_i) ~ N(g(z(t_i)), s^2);   q(z(0) | points) = N(mu, sigma^2) by a recurrent encoder;
ELBO = E_q sum_i log p(x_i | z(t_i)) - KL(q, p) <= log p(x_1 .. x_T).
Chen et al., 2018, https://arxiv.org/abs/1806.07366, section 5; Rubanova et al., 2019, https://arxiv.org/abs/1907.03907.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from torch.nn.functional import softplus

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.objective import Loss, Objective
from pushforward.core.process import Context, Process
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.core.solver import Solver
from pushforward.models.flows.columns import seeded
from pushforward.parts.data import Series, SeriesBatch
from pushforward.parts.diffeq import Dopri5, solve
from pushforward.parts.nn import MLP, SeriesEncoder, VectorField

from .conditioning import CONTEXTS, channel_mask, condition_on
from .solver_named import solver_named

SMALLEST_SCALE = 1e-3  # of q and of the noise, in units of the standardised values: without it a density has no bound
FIRST_NOISE = 0.1  # where it is learned: small, or the model would begin to call everything noise and make no use of z
PREDICTION_SEED = 20180619


@register
class LatentODE(Process):
    """A generative model of whole series: interpolates, extrapolates and forecasts, with bands.

    `encoder` maps (t, x, observed) to 2 x latent numbers, `field` is f(t, z), `decoder` maps z to the channels. The path begins
    at the earliest time of the data (`t_loc`), and solves run from there, to both sides. Times are in units of the length of
    the data's range, values in standard deviations of their channel. `noise` is the s of the data in these units; None learns
    one for each channel.

    `predict` is *joint over the targets* given the context: a mixture over `draws` latent starts, whose means are whole paths.
    It is the same at every call unless a generator is given. An empty context gives the prior.

    `context` says which points the encoder sees in training: "all"; "random", none to all of them, equally likely; or "past",
    those until a random time. The likelihood is always that of all points, so the objective is a lower bound on
    log p(series) in each case. `kl_weight` other than 1 makes it a weighted one, which is no bound where it is below.

    Raises `ConfigError` for impossible settings, `ShapeError` for a context or targets that do not fit.

    >>> process = latent_ode(channels=2, latent=3)
    >>> context = Context.of(torch.rand(4, 6, 1), torch.randn(4, 6, 2))
    >>> prediction = process.predict(context, torch.linspace(0, 2, 50).expand(4, 50)[..., None])
    >>> prediction.mean.shape, prediction.sample().shape
    (torch.Size([4, 50, 2]), torch.Size([4, 50, 2]))
    """

    x_loc: Tensor
    x_scale: Tensor
    t_loc: Tensor
    t_scale: Tensor

    def __init__(self, encoder: nn.Module, field: VectorField, decoder: MLP, noise: float | None = None,
                 context: str = "random", kl_weight: float = 1.0, draws: int = 32, solver: Solver | None = None,
                 rtol: float = 1e-3, atol: float = 1e-4):  # fmt: skip
        super().__init__()
        if context not in CONTEXTS or draws < 1 or kl_weight < 0 or (noise is not None and noise <= SMALLEST_SCALE):
            raise ConfigError(f"expected a context among {', '.join(CONTEXTS)}, noise above {SMALLEST_SCALE:g} or None, at least 1 draw and "
                              f"kl_weight of at least 0, got {context!r}, {noise}, {draws} and {kl_weight:g}; correct them")  # fmt: skip
        self.x_dim, self.y_dim, self.latent = 1, decoder.outputs, field.features
        self.encoder, self.field, self.decoder = encoder, field, decoder
        self.context, self.kl_weight, self.draws = context, kl_weight, draws
        self.solver, self.rtol, self.atol = solver or Dopri5(), rtol, atol
        start = torch.full((self.y_dim,), FIRST_NOISE if noise is None else noise)
        raw = torch.log(torch.expm1(start - SMALLEST_SCALE))
        self.raw_noise = nn.Parameter(raw) if noise is None else nn.Buffer(raw)
        self.x_loc, self.x_scale = nn.Buffer(torch.zeros(self.y_dim)), nn.Buffer(torch.ones(self.y_dim))
        self.t_loc, self.t_scale = nn.Buffer(torch.zeros(())), nn.Buffer(torch.ones(()))

    @property
    def objective(self) -> Objective:
        """What `fit` minimises: minus the ELBO, in nats per observed number."""
        return negative_elbo

    @property
    def noise(self) -> Float[Tensor, " channels"]:
        """The standard deviation of the noise of each channel, in the units of the data."""
        return self.x_scale * self._noise()

    def standardise(self, data: Series) -> None:
        """Take location and scale of every channel, and the range of times, from a `Series`."""
        units = data.units()
        self.x_loc.copy_(units.mean)
        self.x_scale.copy_(units.std)
        self.t_loc.fill_(units.start)
        self.t_scale.fill_(units.end - units.start or 1.0)

    def posterior(self, context: Context) -> Normal:
        """q(z(0) | context), `(n, latent)`; the prior for a row whose context is empty."""
        x, mask = context.y, channel_mask(context)
        t = (context.x[..., 0] - self.t_loc) / self.t_scale
        values = torch.where(mask, (x - self.x_loc) / self.x_scale, 0.0)
        mean, raw = self.encoder(t, values, mask).chunk(2, -1)
        some = mask.flatten(1).any(1)[:, None]
        mean = torch.where(some, mean, 0.0)
        return Normal(mean, torch.where(some, SMALLEST_SCALE + softplus(raw), 1.0), validate_args=False)

    def decode(self, z: Float[Tensor, "n latent"], t: Float[Tensor, "n m"]) -> Float[Tensor, "n m channels"]:
        """The noiseless values at times t of the paths that start at z, in the units of the data."""
        return self.x_loc + self.x_scale * self._decode(z, (t - self.t_loc) / self.t_scale, both_sides=True)

    def predict(self, context: Context, x_target: Float[Tensor, "n m 1"], *,
                generator: torch.Generator | None = None) -> MixtureSameFamily:  # fmt: skip
        """p(x(t) | context) at times `x_target`: its draws are `(n, m, channels)`, a path and its noise."""
        self._check(context, x_target)
        n, k, q = len(x_target), self.draws, self.posterior(context)
        z = q.mean[:, None] + q.stddev[:, None] * self._starts(n, q.mean, generator)
        each = self.decode(z.flatten(0, 1), x_target[..., 0].repeat_interleave(k, 0)).unflatten(0, (n, k))
        parts = Independent(Normal(each, self.noise.expand(each.shape)), 2)
        return MixtureSameFamily(Categorical(logits=each.new_zeros(n, k)), parts)

    def sample_paths(self, count: int, t: Float[Tensor, " m"], *,
                     generator: torch.Generator | None = None) -> Float[Tensor, "count m channels"]:  # fmt: skip
        """Noiseless paths of the prior at times t; row i depends on the seed and on i only."""
        source = RowGenerator.of(generator, count, device=t.device)
        with torch.no_grad():
            return self.decode(source.normal(self.latent, dtype=self.x_loc.dtype), t.expand(count, -1))

    def elbo(
        self, batch: SeriesBatch, generator: RowGenerator, *, context: Context | None = None
    ) -> Float[Tensor, " n"]:
        """The evidence lower bound of each series, in nats and in the units of the data, by one draw from q.

        Without a context the encoder sees all points.
        """
        likelihood, divergence = self._bound(batch, generator, context or batch.context())
        return likelihood - divergence

    def log_likelihood(self, batch: SeriesBatch, generator: RowGenerator, *, samples: int = 64) -> Float[Tensor, " n"]:
        """log p of each series by importance sampling from q: an estimate, on average too low, by less with more samples.

        log (1/K) sum_k p(x | z_k) p(z_k) / q(z_k) (Burda et al., 2016, https://arxiv.org/abs/1509.00519, equation 8).
        """
        q = self.posterior(batch.context())
        noise = generator.normal(samples, self.latent, dtype=q.mean.dtype)
        z = q.mean[:, None] + q.stddev[:, None] * noise
        prior = -0.5 * z.square().sum(-1)
        ours = -0.5 * noise.square().sum(-1) - q.stddev.log().sum(-1)[:, None]  # the constant is that of the prior
        rows = torch.arange(len(batch.t), device=z.device).repeat_interleave(samples)
        likelihood = self._log_p(z.flatten(0, 1), batch.t[rows], batch.x[rows], batch.observed[rows])
        weights = likelihood.unflatten(0, (-1, samples)) + prior - ours
        return weights.logsumexp(1) - math.log(samples)

    def _bound(self, batch: SeriesBatch, generator: RowGenerator, context: Context) -> tuple[Tensor, Tensor]:
        q = self.posterior(context)
        z = q.mean + q.stddev * generator.normal(self.latent, dtype=q.mean.dtype)
        return self._log_p(z, batch.t, batch.x, batch.observed), kl_to_prior(q.mean, q.stddev)

    def _log_p(self, z: Tensor, t: Tensor, x: Tensor, observed: Tensor) -> Tensor:
        """log p(x | z) of what was observed, `(n,)`."""
        mean = self._decode(z, (t - self.t_loc) / self.t_scale)
        values = torch.where(observed, (x - self.x_loc) / self.x_scale, 0.0)
        each = Normal(mean, self._noise(), validate_args=False).log_prob(values) - self.x_scale.log()
        return torch.where(observed, each, 0.0).flatten(1).sum(1)

    def _decode(self, z: Tensor, s: Tensor, both_sides: bool = False) -> Tensor:
        """g(z(s)) `(n, m, channels)` at standardised times s, in any order, from z at time 0."""
        ordered, order = s.sort(1)
        later = self._solve(z, ordered.clamp(min=0.0))
        if both_sides and bool((s < 0).any()):
            earlier = self._solve(z, ordered.clamp(max=0.0).flip(1)).flip(1)
            later = torch.where((ordered < 0)[..., None], earlier, later)
        path = later.gather(1, order.argsort(1)[..., None].expand_as(later))
        return self.decoder(path.flatten(0, 1)).unflatten(0, s.shape)

    def _starts(self, n: int, like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Standard normal numbers for the starts, `(n, draws, latent)`; by default in pairs of opposite sign, the same for all rows.

        So the prediction of a series does not depend on its place in the batch.
        """
        if generator is not None:
            source = RowGenerator.of(generator, n, device=like.device)
            return source.normal(self.draws, self.latent, dtype=like.dtype)
        half = RowGenerator(PREDICTION_SEED, -(-self.draws // 2)).normal(self.latent, dtype=like.dtype).to(like.device)
        return torch.cat([half, -half])[: self.draws].expand(n, -1, -1)

    def _solve(self, z: Tensor, s: Tensor) -> Tensor:
        """z `(n, m, latent)` at times that run away from 0: one solve for all rows and all times."""
        times = torch.cat([s.new_zeros(len(s), 1), s], 1)
        solution = solve(self.field, z, times, solver=self.solver, rtol=self.rtol, atol=self.atol)
        return solution.y[1:].transpose(0, 1)

    def _noise(self) -> Tensor:
        return SMALLEST_SCALE + softplus(self.raw_noise)

    def _check(self, context: Context, x_target: Tensor) -> None:
        x, y, mask = context.x, context.y, context.mask
        fits = y.ndim == 3 and y.shape[2] == self.y_dim and x.shape == (*y.shape[:2], 1)
        if not fits or mask.shape not in (y.shape, y.shape[:2]):
            raise ShapeError(f"expected a context of x (n, points, 1), y (n, points, {self.y_dim}) and mask (n, points) or that of y, "
                             f"got {tuple(x.shape)}, {tuple(y.shape)} and {tuple(mask.shape)}; one series is a batch of one")  # fmt: skip
        if x_target.ndim != 3 or len(x_target) != len(x) or x_target.shape[-1] != 1 or not x_target.shape[1]:
            raise ShapeError(f"expected x_target of shape ({len(x)}, targets, 1) with a target at least, got {tuple(x_target.shape)}; "
                             "give each series its times")  # fmt: skip


def kl_to_prior(mean: Float[Tensor, "n d"], scale: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """KL(N(mean, scale^2), N(0, I)) = 1/2 sum (mean^2 + scale^2 - 1 - log scale^2).

    >>> kl_to_prior(torch.zeros(1, 3), torch.ones(1, 3))
    tensor([0.])
    """
    return 0.5 * (mean.square() + scale.square() - 1 - 2 * scale.log()).sum(-1)


def negative_elbo(model: LatentODE, batch: SeriesBatch, generator: RowGenerator) -> Loss:
    """Minus the ELBO per observed number, given the part of the points that `model.context` says."""
    context = condition_on(model.context, batch, generator.fork(1))
    likelihood, divergence = model._bound(batch, generator, context)
    count = batch.observed.sum().clamp(min=1)
    elbo = (likelihood - model.kl_weight * divergence).sum() / count
    return Loss(-elbo, {"elbo": elbo.detach(), "kl": divergence.detach().mean()})


def latent_ode(data: Series | None = None, *, channels: int | None = None, latent: int = 8,
               encoder: Literal["rnn", "decay", "ode_rnn"] = "rnn", encoder_width: int = 32,
               field_hidden: Sequence[int] = (64,), decoder_hidden: Sequence[int] = (64,), noise: float | None = None,
               context: Literal["all", "random", "past"] = "random", kl_weight: float = 1.0, solver: str | Solver = "Dopri5",
               seed: int = 0) -> LatentODE:  # fmt: skip
    """A `LatentODE` sized for a `Series` and standardised by it, or for a number of `channels`.

    Raises `ConfigError` for data and channels both or neither.

    >>> latent_ode(channels=2, encoder="ode_rnn").y_dim
    2
    """
    if (data is None) == (channels is None):
        raise ConfigError("expected data or channels=, one of the two, got " + ("neither" if data is None else "both"))
    width = data.channels if data is not None else int(channels or 0)
    if min(width, latent) < 1:
        raise ConfigError(f"expected channels and latent of at least 1, got {width} and {latent}; raise them")
    with seeded(seed):
        network = SeriesEncoder(width, 2 * latent, encoder_width, encoder, field_hidden)
        parts = network, VectorField(latent, field_hidden), MLP(latent, width, decoder_hidden, "tanh")
        process = LatentODE(*parts, noise, context, kl_weight, solver=solver_named(solver))
    if data is not None:
        process.standardise(data)
    return process
