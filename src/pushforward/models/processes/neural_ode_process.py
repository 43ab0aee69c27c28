"""Neural ODE process: a random start and a random control, and between them a differential equation.

r = (1/m) sum_i h(t_i, y_i) over the context C;  l_0 ~ q(. | C), d ~ q(. | C), normal, with moments from r;
l(t) = l_0 + int_{t_0}^t f(l(s), d, s) ds,   y(t) ~ N(mu, sigma^2), (mu, sigma) = g(l(t), t).
Of second order l = (p, v) with dp/dt = v, dv/dt = f(p, v, d, t), and g sees the position p alone.
Bound: log p(y_T | C) >= E_{q(. | C and T)} sum_T log p(y | l(t)) - KL(q(. | C and T), q(. | C)).
Norcliffe, Bodnar, Day, Moss and Lio, 2021, https://arxiv.org/abs/2103.12413.
"""

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import MixtureSameFamily, Normal, kl_divergence
from torch.nn.functional import softplus

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.objective import Loss, Objective
from pushforward.core.process import Context, Process
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.models.flows.columns import seeded
from pushforward.parts.data.function_sets import FunctionBatch, FunctionSet
from pushforward.parts.diffeq import RK4, solve
from pushforward.parts.nn.deep_set import DeepSet
from pushforward.parts.nn.mlp import MLP

from .latent_mixture import latent_mixture, prediction_noise
from .likelihood import random_context

# An average over points hardly differs between functions at first, and under the noise of q nothing of it would reach the
# decoder: training would begin by learning to do without. So q begins narrow, with means that differ.
FIRST_GAIN, FIRST_SPREAD = 8.0, -3.0
MOST_RANGES = 100  # how far from the data a solve may reach, in lengths of their range


@register
class NeuralODEProcess(Process):
    """Few-shot prediction of functions of time that move by an unknown law: the start and the law are inferred from points.

    `latent` counts the numbers of l (of order 2, of the position, beside as many of the velocity), `control` those of d, which
    does not move. The path begins at the earliest time of the data (`t_loc`), for every function; earlier targets are solved
    backwards from there. Times are in units of the data's range, values in standard deviations. Steps are those of RK4, `steps`
    to a range, on one grid for all functions; between them the path is the cubic that has the slopes f. So one solve serves any
    number of times, in any order and repeated, and what is said of a time does not depend on what else is asked.

    `predict` is *joint over the targets*: a mixture over `draws` starts and controls, whose draws are whole paths and their noise.
    It is the same at every call unless a generator is given. An empty context gives the prior. The scale of the noise is
    `min_scale` + (1 - `min_scale`) softplus(.) standard deviations of the data.

    Raises `ConfigError` for impossible sizes, `ShapeError` for a context or targets that do not fit.

    >>> process = NeuralODEProcess(y_dim=2, order=2, hidden=16)
    >>> context = Context.of(torch.rand(4, 6, 1), torch.randn(4, 6, 2))
    >>> prediction = process.predict(context, torch.linspace(0, 2, 50).expand(4, 50)[..., None])
    >>> prediction.mean.shape, prediction.sample().shape
    (torch.Size([4, 50, 2]), torch.Size([4, 50, 2]))
    """

    t_loc: Tensor
    t_scale: Tensor
    y_loc: Tensor
    y_scale: Tensor

    def __init__(self, y_dim: int = 1, order: int = 1, latent: int = 10, control: int = 5, hidden: int = 64, representation: int = 64,
                 layers: int = 2, min_scale: float = 0.05, steps: int = 20, draws: int = 32):  # fmt: skip
        super().__init__()
        sizes = {"y_dim": y_dim, "latent": latent, "control": control, "hidden": hidden, "representation": representation,
                 "layers": layers, "steps": steps, "draws": draws}  # fmt: skip
        if order not in (1, 2) or min(sizes.values()) < 1 or not 0 < min_scale < 1:
            raise ConfigError(f"expected order 1 or 2, sizes of 1 or more and 0 < min_scale < 1, got order {order}, {sizes} and "
                              f"{min_scale}; correct them")  # fmt: skip
        self.x_dim, self.y_dim, self.order, self.latent, self.control = 1, y_dim, order, latent, control
        self.min_scale, self.steps, self.draws = min_scale, steps, draws
        self.solver, wide = RK4(), (hidden,) * layers
        self.encoder = DeepSet(1 + y_dim, representation, hidden, layers, "mean")
        self.inference = MLP(representation, 2 * (order * latent + control), (hidden,))
        with torch.no_grad():
            *_, weight, bias = self.inference.parameters()
            weight.mul_(FIRST_GAIN)
            bias[order * latent + control :] = FIRST_SPREAD
        self.field = MLP(order * latent, latent, wide, "tanh", condition=control + 1)
        self.decoder = MLP(latent, 2 * y_dim, wide, condition=1)
        self.t_loc, self.t_scale = nn.Buffer(torch.zeros(())), nn.Buffer(torch.ones(()))
        self.y_loc, self.y_scale = nn.Buffer(torch.zeros(y_dim)), nn.Buffer(torch.ones(y_dim))

    @property
    def objective(self) -> Objective:
        """What `fit` minimises: minus the bound per target point given a random context."""
        return negative_bound

    def standardise(self, data: FunctionSet) -> None:
        """Take the range of times, and location and scale of y, from the real points of `data`."""
        t, y = data.x[data.mask][:, 0], data.y[data.mask]
        deviation = y.std(0, correction=0)
        self.t_loc.copy_(t.min())
        self.t_scale.copy_(torch.where(t.max() > t.min(), t.max() - t.min(), 1.0))
        self.y_loc.copy_(y.mean(0))
        self.y_scale.copy_(torch.where(deviation > 0, deviation, 1.0))

    def posterior(self, context: Context) -> Normal:
        """q(l_0, d | context), `(n, order * latent + control)`: first the start, then the control."""
        x, y = clock((context.x - self.t_loc) / self.t_scale), (context.y - self.y_loc) / self.y_scale
        mean, raw = self.inference(self.encoder(torch.cat([x, y], dim=-1), context.mask)).chunk(2, -1)
        # Bounded on both sides, as in the paper's code: neither a point nor a spread without end while training begins.
        return Normal(mean, 0.1 + 0.9 * torch.sigmoid(raw), validate_args=False)

    def path(self, z: Float[Tensor, "n size"], t: Float[Tensor, "n m"]) -> Float[Tensor, "n m state"]:
        """l(t) at times t in the units of the data, in any order, from z = (l_0, d) at `t_loc`."""
        s = (t - self.t_loc) / self.t_scale
        low, high = torch.stack([s.detach().amin().clamp(max=0.0), s.detach().amax().clamp(min=0.0)]).tolist()
        if not -MOST_RANGES <= low <= high <= MOST_RANGES:
            raise ConfigError(f"expected finite times within {MOST_RANGES} ranges of the data from their start, got {low:g} to {high:g} of them; "
                              "check the unit of the times")  # fmt: skip
        start, d = z.split([self.order * self.latent, self.control], -1)
        later = self._between(start, d, s.clamp(min=0.0), high, 1)
        if low == 0:
            return later
        return torch.where((s < 0)[..., None], self._between(start, d, s.clamp(max=0.0), -low, -1), later)

    def decode(self, path: Float[Tensor, "n m state"], t: Float[Tensor, "n m"]) -> Normal:
        """Mean and scale of y `(n, m, y_dim)` where the path is, in the units of the data."""
        s = (t - self.t_loc) / self.t_scale
        outputs = self.decoder(path[..., : self.latent].flatten(0, 1), clock(s).reshape(-1, 1))
        mean, raw = outputs.unflatten(0, t.shape).chunk(2, -1)
        scale = self.min_scale + (1 - self.min_scale) * softplus(raw)
        return Normal(self.y_loc + self.y_scale * mean, self.y_scale * scale, validate_args=False)

    def predict(self, context: Context, x_target: Float[Tensor, "n targets 1"], *,
                generator: torch.Generator | None = None) -> MixtureSameFamily:  # fmt: skip
        """p(y(t) | context) at times `x_target`, joint: its `component_distribution.mean` has the paths without noise."""
        self._check(context, x_target)
        n, k, q = len(x_target), self.draws, self.posterior(context)
        noise = prediction_noise(n, k, q.mean.shape[1], q.mean, generator)
        z = (q.mean[:, None] + q.stddev[:, None] * noise).flatten(0, 1)
        t = x_target[..., 0].repeat_interleave(k, 0)
        each = self.decode(self.path(z, t), t)
        return latent_mixture(each.mean.unflatten(0, (n, k)), each.stddev.unflatten(0, (n, k)))

    def bound(self, context: Context, target: FunctionBatch, generator: RowGenerator) -> tuple[Tensor, Tensor]:
        """E sum log p(targets | z) by one draw of z from q(. | context and targets), and KL(that, q(. | context)); each `(n,)`.

        The first minus the second is, on average, at most log p(targets | context). In nats and in the units of the data.
        """
        y = torch.where(target.mask[..., None], target.y, 0.0)
        # A padded target is asked for at the start of the path, where it costs nothing and is always finite.
        t = torch.where(target.mask, target.x[..., 0], self.t_loc)
        prior, q = self.posterior(context), self.posterior(joined(context, target))
        z = q.mean + q.stddev * generator.normal(q.mean.shape[1], dtype=q.mean.dtype)
        each = self.decode(self.path(z, t), t).log_prob(y).sum(-1)
        return torch.where(target.mask, each, 0.0).sum(1), kl_divergence(q, prior).sum(1)

    def _between(self, start: Tensor, d: Tensor, s: Tensor, reach: float, sign: int) -> Tensor:
        """The path at standardised times s `(n, m)`, all of one sign: RK4 on a grid, and the cubic through two states and slopes."""
        count, h = max(1, math.ceil(reach * self.steps - 1e-6)), sign / self.steps
        rate = lambda at, state: self._rate(state, d, at)  # noqa: E731
        grid = solve(rate, start, [i * h for i in range(count + 1)], solver=self.solver).y.transpose(0, 1)
        place = (s.detach() / h).floor().long().clamp(0, count - 1)
        index = place[..., None].expand(-1, -1, grid.shape[-1])
        left, right = grid.gather(1, index), grid.gather(1, index + 1)
        slopes = self._slopes(grid, d, h)
        a, b = h * slopes.gather(1, index), h * slopes.gather(1, index + 1)
        u, rise = (s / h - place)[..., None], right - left
        return left + u * (a + u * (3 * rise - 2 * a - b + u * (a + b - 2 * rise)))

    def _slopes(self, grid: Tensor, d: Tensor, h: float) -> Tensor:
        """f at every state of the grid, in one evaluation."""
        n, size = grid.shape[:2]
        at = h * torch.arange(size, dtype=grid.dtype, device=grid.device)
        flat = self._rate(grid.flatten(0, 1), d.repeat_interleave(size, 0), at.repeat(n))
        return flat.unflatten(0, (n, size))

    def _rate(self, state: Tensor, d: Tensor, s: Tensor) -> Tensor:
        """dl/ds."""
        given = torch.cat([d, clock(s).expand(len(state))[:, None]], -1)
        pushed = self.field(state, given)
        return pushed if self.order == 1 else torch.cat([state[:, self.latent :], pushed], -1)

    def _check(self, context: Context, x_target: Tensor) -> None:
        x, y, mask = context.x, context.y, context.mask
        if mask.ndim != 2 or x.shape != (*mask.shape, 1) or y.shape != (*mask.shape, self.y_dim):
            raise ShapeError(f"expected a context of x (n, points, 1), y (n, points, {self.y_dim}) and mask (n, points), got "
                             f"{tuple(x.shape)}, {tuple(y.shape)} and {tuple(mask.shape)}; one function is a batch of one")  # fmt: skip
        if x_target.ndim != 3 or len(x_target) != len(x) or x_target.shape[-1] != 1 or not x_target.numel():
            raise ShapeError(f"expected x_target of shape ({len(x)}, targets, 1) with a target at least, got {tuple(x_target.shape)}; "
                             "give each function of the context its times")  # fmt: skip


def clock(s: Tensor) -> Tensor:
    """What the networks see of a time: 0 in the middle of the data's range and of variance one over it, as y is."""
    return 12**0.5 * (s - 0.5)


def joined(context: Context, target: FunctionBatch) -> Context:
    """The points of both, each once where the context is a part of the targets: the same places, other masks."""
    x, y, mask = target.x, target.y, target.mask
    if context.x is x and context.y is y:
        return Context(x, y, context.mask | mask)
    parts = ((context.x, x), (context.y, y), (context.mask, mask))
    return Context(*(torch.cat(both, 1) for both in parts))


def negative_bound(model: NeuralODEProcess, batch: FunctionBatch, generator: RowGenerator) -> Loss:
    """Minus the bound per target point given a random context; all points are targets, those of the context among them."""
    clean: Bool[Tensor, "n points 1"] = batch.mask[..., None]
    target = FunctionBatch(torch.where(clean, batch.x, model.t_loc), torch.where(clean, batch.y, 0.0), batch.mask)
    context = random_context(target.x, target.y, target.mask, generator.fork(1))
    likelihood, divergence = model.bound(context, target, generator.fork(2))
    per_point = (likelihood - divergence) / batch.mask.sum(1).clamp(min=1)
    return Loss(-per_point.mean(), {"bound_per_point": per_point.detach().mean(), "kl": divergence.detach().mean()})


def neural_ode_process(data: FunctionSet | None = None, *, y_dim: int = 1, order: Literal[1, 2] = 1, latent: int = 10,
                       control: int = 5, hidden: int = 64, representation: int = 64, layers: int = 2, min_scale: float = 0.05,
                       steps: int = 20, draws: int = 32, seed: int = 0) -> NeuralODEProcess:  # fmt: skip
    """Build a neural ODE process, sized for functions of time and standardised by them, or for `y_dim` numbers.

    Raises `ConfigError` for functions of more than one variable.

    >>> from pushforward.parts.data import sines
    >>> neural_ode_process(sines(20), order=2).order
    2
    """
    if data is not None and data.x_dim != 1:
        raise ConfigError(
            f"expected functions of one variable, the time, got {data.x_dim}; take conditional_neural_process for them"
        )
    width = y_dim if data is None else data.y_dim
    with seeded(seed):
        process = NeuralODEProcess(
            width, order, latent, control, hidden, representation, layers, min_scale, steps, draws
        )
    if data is not None:
        process.standardise(data)
    return process
