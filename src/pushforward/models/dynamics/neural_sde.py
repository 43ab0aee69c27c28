"""Neural stochastic differential equation of what is observed, trained by its filter.

    dX = f(X) dt + L(X) dW,   y_i = X(t_i) + N(0, R).

Between observations f is replaced by its tangent at the filtered mean, of which the transition is known in closed form
(Ozaki, 1992); at an observation stands Kalman's update. So the log-likelihood is exact for a linear drift with constant
diffusion (an Ornstein-Uhlenbeck process), and that of the continuous-discrete extended Kalman filter otherwise. Sarkka and
Solin 2019, Applied Stochastic Differential Equations, chapters 9 and 10; Jazwinski 1970, Stochastic Processes and Filtering.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Independent, LogNormal, Normal
from torch.nn import functional
from torch.nn.functional import softplus

from pushforward.core.errors import ConfigError, ConvergenceError, ShapeError
from pushforward.core.objective import Loss, Objective
from pushforward.core.process import Context, Process
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.parts.data import Series, SeriesBatch

from .linear_gaussian import Transition, smooth, transition, update
from .observations import Sequences, Units, require_affordable, require_sizes, step_grid

LEAST = 1e-3  # of standard deviations, in units of the standardised data: below it float32 has no digits for variances


class _Local(NamedTuple):
    """dX = (c + F X) dt + L dW with D = L L', the equation near a point: F and D `(*batch, d, d)`, c `(*batch, d)`."""

    f: Tensor
    c: Tensor
    d: Tensor

    def over(self, h: Tensor, exact: bool) -> Transition:
        """The transition over h; the error of the tangent is the larger one by far where `exact` is False."""
        degree, doublings = (7, 8) if exact else (4, 3)
        return transition(self.f, self.c, self.d, h, degree=degree, doublings=doublings)


class _Filtered(NamedTuple):
    """Moments after what was observed up to each node, the equation from there on, and the steps between the nodes."""

    time: Tensor  # (n, M + 1)
    mean: list[Tensor]  # M + 1 of (n, d)
    covariance: list[Tensor]
    local: list[_Local]
    steps: list[Transition]  # M
    log_likelihood: Tensor


@register
class NeuralSDE(Process):
    """A diffusion dX = f(X) dt + L(X) dW in the space of the data, seen at irregular times through Gaussian noise.

    f(x) = c + B x + net(x), where `net` has tanh layers of widths `hidden`; with none f is linear. `diffusion` is
    "constant", a full lower triangular L, or "network", a diagonal one that depends on x. A gap between observations is
    taken in steps of at most 1 / `substeps` of a typical gap; a linear equation needs no such steps. X(start) is normal, with learned
    mean and scales, and stands still before the start. With `log_scale` all this is about the logarithm of positive data.

    The prediction is *not joint*: it gives the marginals of the smoother. Channels may be observed apart.
    Raises `ConfigError` for sizes or scales below or at zero, or an unknown diffusion.

    >>> sde = NeuralSDE(2)
    >>> context = Context.of(torch.tensor([[[0.0], [1.0], [2.5]]]), torch.randn(1, 3, 2))
    >>> sde.predict(context, torch.tensor([[[0.5], [4.0]]])).mean.shape
    torch.Size([1, 2, 2])
    """

    def __init__(self, channels: int, hidden: Sequence[int] = (), diffusion: str = "constant",
                 observation_noise: float = 0.1, substeps: int = 2, log_scale: bool = False):  # fmt: skip
        super().__init__()
        require_sizes({"channels": channels, "substeps": substeps}, hidden)
        if diffusion not in ("constant", "network") or not observation_noise > LEAST:
            raise ConfigError(f"expected diffusion 'constant' or 'network' and observation_noise > {LEAST}, "
                              f"got {diffusion!r} and {observation_noise}; correct them")  # fmt: skip
        self.x_dim, self.y_dim, self.substeps, self.diffusion = 1, channels, substeps, diffusion
        self.units = Units(channels, log_scale)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise((channels, *hidden)))
        self.head = nn.Linear(hidden[-1], channels) if hidden else None
        if self.head is not None:
            nn.init.zeros_(self.head.bias)
            nn.init.normal_(self.head.weight, std=0.01)
        self.matrix, self.constant = nn.Parameter(-0.5 * torch.eye(channels)), nn.Parameter(torch.zeros(channels))
        # The diagonal of L is stored as its logarithm; 0.7 with the matrix above has the stationary variance 0.5.
        self.factor = nn.Parameter(-0.36 * torch.eye(channels))
        self.spread = (
            nn.ModuleList([nn.Linear(channels, 32), nn.Linear(32, channels)]) if diffusion == "network" else None
        )
        self.initial_mean, self.initial_scale = nn.Parameter(torch.zeros(channels)), nn.Parameter(torch.zeros(channels))
        level = torch.tensor(observation_noise**2 - LEAST**2).log() / 2
        self.noise_scale = nn.Parameter(level.expand(channels).clone())

    @property
    def objective(self) -> Objective:
        """What `fit` minimises: minus the log-likelihood per observed number."""
        return sde_likelihood

    @property
    def linear(self) -> bool:
        """Whether the equation is linear, so that all formulas here are exact."""
        return self.head is None and self.spread is None

    @property
    def noise_variance(self) -> Tensor:
        """Variances of the observation noise, `(channels,)`, in the model's units."""
        return torch.exp(2 * self.noise_scale) + LEAST**2

    def standardise(self, data: Series) -> None:
        """Take the units of time and of each channel from the observed part of `data`."""
        self.units.fit(data.t, data.x, data.observed)

    def log_likelihood(self, context: Context) -> Float[Tensor, " n"]:
        """log p(all observed numbers of a context) for each row, in nats and the data's units.

        Raises `ShapeError` and `DataError` for a context that does not fit, `ConvergenceError` where the filter breaks down.
        """
        self.units.require_finite(context)
        found = self._filter(self.units.read(context)).log_likelihood - self.units.log_volume(context)
        self._require_sound(found)
        return found

    def predict(self, context: Context, x_target: Float[Tensor, "n targets 1"]) -> Independent:
        """Marginals of the observations at the times `x_target` `(n, targets, 1)` by the smoother, noise included.

        Normal, or log-normal with `log_scale`; independent over targets and channels. Raises as `log_likelihood` does.
        """
        self.units.require_finite(context)
        series, tau = self.units.read(context), self.units.require_targets(x_target, len(context.x))
        mean, variance = self._smoothed(self._filter(series, float(tau.max()) if tau.numel() else 0.0), tau)
        self._require_sound(mean)
        scale = self.units.scale * (variance + self.noise_variance).sqrt()
        family = LogNormal if self.units.log_scale else Normal
        return Independent(family(self.units.loc + self.units.scale * mean, scale), 2)

    def sample_paths(self, context: Context, t: Float[Tensor, " times"], *, n: int = 1,
                     generator: torch.Generator | None = None) -> Float[Tensor, "n rows times channels"]:  # fmt: skip
        """`n` paths of X itself (no observation noise) at times t from the last point of every context on.

        Each step is drawn from the transition of the equation's tangent where the path stands. Raises `ShapeError` for times
        that do not ascend or begin before the last point of some row.
        """
        self.units.require_finite(context)
        series = self.units.read(context)
        last = series.t[:, -1] if series.t.shape[1] else series.t.new_zeros(len(series.t))
        times = self.units.time(t)
        if t.ndim != 1 or bool((t.diff() < 0).any()) or bool((times[:1] < last).any()):
            raise ShapeError("expected times (times,) that ascend from the last point of every context, "
                             f"got shape {tuple(t.shape)}; sort them, and leave out earlier ones")  # fmt: skip
        found = self._filter(series)
        mean, covariance = found.mean[-1].repeat(n, 1), found.covariance[-1].repeat(n, 1, 1)
        random = RowGenerator.of(generator, len(mean), device=mean.device)
        x = mean + _shake(covariance, random)
        since = (times - last[:, None]).repeat(n, 1)
        grid, kept = step_grid(since, torch.ones_like(since, dtype=torch.bool), self._longest()), []
        for h in grid.length.unbind(1):
            step = self._near(x).over(h, self.linear)
            moved = (step.a @ x[..., None])[..., 0] + step.b + _shake(step.q, random)
            x = torch.where(h[:, None] > 0, moved, x)
            kept.append(x)
        paths = self.units.loc + self.units.scale * _at(torch.stack(kept, 1), grid.place)
        return (paths.exp() if self.units.log_scale else paths).unflatten(0, (n, len(context.x)))

    def drift(
        self, x: Float[Tensor, "n channels"]
    ) -> tuple[Float[Tensor, "n channels"], Float[Tensor, "n channels channels"]]:
        """f(x) and its Jacobian, in the model's units: tangents are carried through the layers beside the values."""
        f, jacobian = x @ self.matrix.T + self.constant, self.matrix.expand(len(x), *self.matrix.shape)
        if self.head is None:
            return f, jacobian
        h, tangent = x, torch.eye(self.y_dim, dtype=x.dtype, device=x.device).expand(len(x), -1, -1)
        for layer in self.layers:
            h = torch.tanh(layer(h))
            # Row i is the derivative in direction i.
            tangent = (1 - h**2)[:, None, :] * functional.linear(tangent, layer.get_parameter("weight"))
        return f + self.head(h), jacobian + (tangent @ self.head.weight.T).mT

    def diffusion_factor(self, x: Float[Tensor, "n channels"]) -> Float[Tensor, "n channels channels"]:
        """L(x), lower triangular, in the model's units."""
        scale = self.factor.diagonal().exp()
        if self.spread is None:
            return (self.factor.tril(-1) + torch.diag(scale)).expand(len(x), -1, -1)
        enter, leave = self.spread
        return torch.diag_embed(LEAST + scale * softplus(leave(torch.tanh(enter(x))) + 0.54))

    def _near(self, x: Tensor) -> _Local:
        f, jacobian = self.drift(x)
        factor = self.diffusion_factor(x)
        return _Local(jacobian, f - (jacobian @ x[..., None])[..., 0], factor @ factor.mT)

    def _longest(self) -> float:
        # A linear equation is exact over any step; but exp(F h) by doubling wants a bound on F h.
        return 8.0 if self.linear else float(self.units.gap) / self.substeps

    def _filter(self, series: Sequences, horizon: float = 0.0) -> _Filtered:
        """Forward through the points, and on to `horizon`."""
        n, longest = len(series.t), self._longest()
        grid = step_grid(series.t, series.real, longest)
        last = series.t[:, -1:] if series.t.shape[1] else series.t.new_zeros(n, 1)
        ahead = max(0.0, horizon - float(last.min()) if n else 0.0) // longest
        require_affordable(ahead)
        future = torch.arange(int(ahead) + 1, dtype=last.dtype, device=last.device) * longest
        time = torch.cat([grid.start, last + future], 1)
        lengths = torch.cat([grid.length, torch.full_like(last, longest).expand(n, int(ahead))], 1).unbind(1)
        mean = self.initial_mean.expand(n, -1)
        covariance = torch.diag(torch.exp(2 * self.initial_scale)).expand(n, -1, -1)
        walk = _Walk(self, mean, covariance, lengths)
        total, noise = mean.new_zeros(n), self.noise_variance
        there = grid.arrival >= 0
        arrived = grid.arrival.clamp(min=0)
        y, observed = _at(series.y, arrived), _at(series.observed, arrived) & there[..., None]
        for some, seen, numbers in zip(there.any(0).tolist(), observed.unbind(1), y.unbind(1)):
            walk.forward(1)
            if some:
                walk.mean, walk.covariance, log_prob = update(walk.mean, walk.covariance, numbers, seen, noise)
                total = total + log_prob
        return walk.finish(int(ahead), time, total)

    def _smoothed(self, found: _Filtered, tau: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variances of X at the times tau `(n, m)`, given all that was observed."""
        means, covariances = [found.mean[-1]], [found.covariance[-1]]
        for mean, covariance, step in zip(found.mean[-2::-1], found.covariance[-2::-1], found.steps[::-1]):
            later = smooth(mean, covariance, step, means[-1], covariances[-1])
            means.append(later[0])
            covariances.append(later[1])
        later_mean, later_covariance = torch.stack(means[::-1], 1), torch.stack(covariances[::-1], 1)
        node = (torch.searchsorted(found.time.contiguous(), tau.contiguous(), right=True) - 1).clamp(min=0)
        following = (node + 1).clamp(max=found.time.shape[1] - 1)
        mean, covariance = _at(torch.stack(found.mean, 1), node), _at(torch.stack(found.covariance, 1), node)
        local = _Local(*(_at(torch.stack(parts, 1), node) for parts in zip(*found.local)))
        begin, end = found.time.gather(1, node), found.time.gather(1, following)
        mean, covariance = local.over(tau - begin, self.linear).apply(mean, covariance)
        rest = local.over((end - tau).clamp(min=0.0), self.linear)
        back_mean, back = smooth(mean, covariance, rest, _at(later_mean, following), _at(later_covariance, following))
        inside = following > node
        mean = torch.where(inside[..., None], back_mean, mean)
        covariance = torch.where(inside[..., None, None], back, covariance)
        return mean, covariance.diagonal(dim1=-2, dim2=-1).clamp(min=0.0)

    def _require_sound(self, value: Tensor) -> None:
        if not bool(value.isfinite().all()):
            raise ConvergenceError("expected finite moments of the filter, got infinities or a covariance that is not positive; "
                                   "build the model from data in these units, take more substeps, or use float64")  # fmt: skip


class _Walk:
    """The moments on their way through the steps; it keeps what the smoother will need."""

    def __init__(self, sde: NeuralSDE, mean: Tensor, covariance: Tensor, lengths: Sequence[Tensor]):
        self.sde, self.mean, self.covariance, self.lengths = sde, mean, covariance, lengths
        self.means: list[Tensor] = []
        self.covariances: list[Tensor] = []
        self.local: list[_Local] = []
        self.steps: list[Transition] = []
        self.ready: list[Transition] = []
        if sde.linear and lengths:  # one equation everywhere: all its transitions at once
            local = sde._near(mean)
            shared = _Local(*(part[:, None] for part in local)).over(torch.stack(list(lengths), 1), True)
            self.same, self.ready = local, [Transition(*parts) for parts in zip(*(part.unbind(1) for part in shared))]

    def forward(self, count: int) -> None:
        """Take the next `count` steps."""
        for _ in range(count):
            self._keep()
            place = len(self.steps)
            step = self.ready[place] if self.ready else self.local[-1].over(self.lengths[place], False)
            self.steps.append(step)
            self.mean, self.covariance = step.apply(self.mean, self.covariance)

    def finish(self, ahead: int, time: Tensor, log_likelihood: Tensor) -> _Filtered:
        """Take the steps that lead beyond the last point, and hand over."""
        self.forward(ahead)
        self._keep()
        return _Filtered(time, self.means, self.covariances, self.local, self.steps, log_likelihood)

    def _keep(self) -> None:
        self.means.append(self.mean)
        self.covariances.append(self.covariance)
        self.local.append(self.same if self.ready else self.sde._near(self.mean))


def _at(values: Tensor, index: Tensor) -> Tensor:
    """values[i, index[i]] for values `(n, M, *event)` and index `(n, m)`."""
    return values[torch.arange(len(values), device=values.device)[:, None], index]


def _shake(covariance: Tensor, random: RowGenerator) -> Tensor:
    """Normal numbers of this covariance, which may be zero."""
    size = covariance.shape[-1]
    level = covariance.diagonal(dim1=-2, dim2=-1).mean(-1).clamp(min=1e-20)
    jitter = 10 * torch.finfo(covariance.dtype).eps * torch.eye(size, dtype=covariance.dtype, device=covariance.device)
    factor = torch.linalg.cholesky(covariance / level[:, None, None] + jitter) * level.sqrt()[:, None, None]
    return (factor @ random.normal(size, dtype=covariance.dtype)[..., None])[..., 0]


def sde_likelihood(model: Any, batch: SeriesBatch, generator: RowGenerator) -> Loss:
    """Minus the log-likelihood of a batch of series per observed number, in nats and the data's units."""
    context = batch.context()
    series = model.units.read(context)
    found = (model._filter(series).log_likelihood - model.units.log_volume(context)).sum() / series.count.sum().clamp(
        min=1
    )
    return Loss(-found, {"log_likelihood_per_number": found.detach()})


def neural_sde(data: Series | None = None, *, channels: int | None = None, hidden: Sequence[int] = (64, 64),
               drift: str = "network", diffusion: str = "constant", observation_noise: float = 0.1, substeps: int = 2,
               log_scale: bool = False, seed: int = 0) -> NeuralSDE:  # fmt: skip
    """Build a neural SDE for series with the units of `data`, or for `channels` in units of one.

    `drift` is "network", with tanh layers of widths `hidden`, or "linear". `observation_noise` is where the learned noise
    begins, in standard deviations of a channel. The same `seed` gives the same first weights.

    >>> from pushforward.parts.data import Series
    >>> series = Series.of(torch.arange(20.0), torch.randn(4, 20, 1).cumsum(1))
    >>> neural_sde(series, drift="linear").log_likelihood(series.take(torch.arange(4)).context()).shape
    torch.Size([4])
    """
    if (data is None) == (channels is None) or drift not in ("network", "linear"):
        raise ConfigError("expected data or channels=, one of the two, and drift 'network' or 'linear', "
                          f"got channels={channels} and {drift!r}; correct them")  # fmt: skip
    size = data.channels if data is not None else channels or 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sde = NeuralSDE(size, hidden if drift == "network" else (), diffusion, observation_noise, substeps, log_scale)
    if data is not None:
        sde.standardise(data)
    return sde
