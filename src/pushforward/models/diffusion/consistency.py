r"""Consistency models: a network that goes from any point of a flow to its end at once.

    f(x_sigma, sigma) = x_eps,  the same all along a flow line,   f(x, eps) = x
    f(x, sigma) = c_skip x + c_out F(c_in x; sigma),  c_skip = d^2 / ((sigma - eps)^2 + d^2),  c_out = d (sigma - eps) / sqrt(sigma^2 + d^2)

Two neighbours of one line must say the same: the further is trained towards what the nearer says. From a teacher (distillation)
the neighbour is a step of Heun's method along the teacher's flow; from data alone it is the same noise at the next smaller sigma.
Song, Dhariwal, Chen and Sutskever 2023, https://arxiv.org/abs/2303.01469; the noise levels, their number and the pseudo-Huber distance
are those of Song and Dhariwal 2023, https://arxiv.org/abs/2310.14189. What they average over time, `fit` does.
"""

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.core.objective import Loss, Objective
from pushforward.core.path import Path
from pushforward.core.random import RowGenerator
from pushforward.core.registry import dtype_of, register
from pushforward.core.shapes import expand_right, flatten_condition
from pushforward.parts.paths import EDM
from pushforward.parts.paths.angle import angle

from .assemble import Source, assemble
from .diffusion import Diffusion
from .edm import measured
from .field import flow_field

P_MEAN, P_STD = -1.1, 2.0  # of log sigma, for data of standard deviation 1/2
RHO = 7.0


@register
class Boundary(nn.Module):
    """f(y, t) around a network F, such that f gives back x itself, without error, at the least noise of the path.

    It predicts data, from y = x_t / sqrt(alpha^2 + sigma^2). F is given times in [0, 1], as in `Preconditioned`.

    >>> from pushforward.parts.nn import TimeMLP
    >>> f = Boundary(TimeMLP(2, hidden=16), EDM())
    >>> f(torch.ones(1, 2), torch.tensor([0.002]), None)
    tensor([[1.0000, 1.0000]], grad_fn=<AddBackward0>)
    """

    def __init__(self, network: nn.Module, path: Path, sigma_data: float = 1.0):
        super().__init__()
        if not 0 < sigma_data < math.inf:
            raise ConfigError(f"expected a positive sigma_data, got {sigma_data}; it is a standard deviation")
        self.network, self.path, self.sigma_data = network, path, sigma_data
        start = torch.tensor(path.t_min, dtype=torch.float64)
        self.least = float(path.sigma(start) / path.alpha(start))

    def forward(self, y: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """x at the least noise, in model units."""
        d, theta = self.sigma_data, angle(self.path, t)
        s = theta.tan()
        x = y * expand_right(torch.hypot(torch.ones_like(s), s), y)
        spread, past = torch.hypot(s, torch.full_like(s, d)), (s - self.least).clamp(min=0)
        f = self.network(x / expand_right(spread, x), 2 / math.pi * theta, condition)
        return expand_right(d * d / (past.square() + d * d), x) * x + expand_right(d * past / spread, x) * f


@register
class Consistency(Distribution):
    """Samples in one evaluation of the network, or a few; it has no density.

    Args:
        student: a `Diffusion` on `EDM` that predicts data by a network with a `Boundary`.
        teacher: a trained `Diffusion` of the same data, in the same units, to distil; None trains from data.
        noise_levels: the number of them at the start and at the end of training; more are nearer to the truth and harder.
        steps: of training, after which the number of levels stays. It doubles in even stretches until then.
        sigma_data: the standard deviation of the data in model units.

    The teacher does not change: its parameters ask for no gradient. Raises `ConfigError` for impossible arguments.

    >>> model = consistency(event_shape=2, width=16)
    >>> model.sample(5).shape, model.sample(5, sigmas=[80.0, 0.8]).shape
    (torch.Size([5, 2]), torch.Size([5, 2]))
    """

    trained: Tensor

    def __init__(self, student: Diffusion, teacher: Diffusion | None = None, *, noise_levels: Sequence[int] = (10, 160),
                 steps: int = 2000, sigma_data: float = 1.0):  # fmt: skip
        super().__init__()
        if not isinstance(student.path, EDM) or student.predict != "data":
            raise ConfigError(
                f"expected a student that predicts data on EDM(), got {student.predict} on {student.path}"
            )
        if len(noise_levels) != 2 or not 2 <= noise_levels[0] <= noise_levels[1] or steps < 1:
            raise ConfigError("expected noise_levels (first, last) with 2 <= first <= last and steps of at least 1, "
                              f"got {noise_levels} and {steps}")  # fmt: skip
        if teacher is not None and teacher.event_shape != student.event_shape:
            raise ConfigError(
                f"expected a teacher of events {tuple(student.event_shape)}, got {tuple(teacher.event_shape)}"
            )
        self.student, self.teacher = student, None if teacher is None else teacher.requires_grad_(False)
        self.noise_levels = int(noise_levels[0]), int(noise_levels[1])
        self.steps, self.sigma_data = steps, sigma_data
        self.event_shape, self.condition_shape = student.event_shape, student.condition_shape
        self.condition_optional, self.log_prob_kind = student.condition_optional, "none"
        self.reparameterised = not student.whole
        self.trained = nn.Buffer(torch.zeros((), dtype=torch.long))  # steps so far, for the number of levels

    @property
    def objective(self) -> Objective:
        """Consistency of neighbours: distillation with a teacher, training without."""
        return consistency_matching

    def forward(self, x: Tensor, sigma: Tensor, condition: Tensor | None = None) -> Tensor:
        """f(x, sigma) in model units, for x `(n, *event)` with noise of standard deviation sigma `(n,)` added."""
        return self.student(x / expand_right(torch.hypot(torch.ones_like(sigma), sigma), x), sigma, condition)

    def sample(self, shape: int | Sequence[int] = (), condition: Tensor | None = None, *, sigmas: Sequence[float] | None = None,
               generator: torch.Generator | None = None) -> Tensor:  # fmt: skip
        """Draw `(*shape, *batch, *event)` in the units of the data; one network evaluation for each of the falling `sigmas`.

        The first is the largest of the path; before each further one fresh noise of that size is added to what there is. No gradients.
        """
        path = self.student.path
        given = [path.t_max, *(sigmas or [])[1:]]
        if sigmas is not None and (
            sigmas[0] != path.t_max or sorted(given, reverse=True) != given or given[-1] < path.t_min
        ):
            raise ConfigError(
                f"expected falling sigmas from {path.t_max:g} to at least {path.t_min:g}, got {list(sigmas)}"
            )

        def draw(condition: Tensor | None, rows: RowGenerator) -> Tensor:
            return self._walk(given, condition, rows)

        with torch.no_grad():
            return self._draw(draw, shape, condition, generator)

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        return self._walk([self.student.path.t_max], condition, generator)

    def _walk(self, sigmas: Sequence[float], condition: Tensor | None, rows: RowGenerator) -> Tensor:
        x, least = torch.zeros((), device=rows.device), self.student.path.t_min
        for k, sigma in enumerate(sigmas):
            extra = math.sqrt(sigma**2 - least**2) if k else sigma  # f leaves noise of the least sigma
            noisy = x + extra * rows.normal(*self.event_shape, dtype=dtype_of(self))
            x = self(noisy, noisy.new_full((len(noisy),), sigma), condition)
        return self.student.to_user_units(x)

    def ladder(self, levels: Tensor, index: Tensor) -> Tensor:
        """sigma_i = (a + i / (levels - 1) (b - a))^rho, i = 0 .. levels - 1, between the ends of the path, elementwise."""
        a, b = (v ** (1 / RHO) for v in (self.student.path.t_min, self.student.path.t_max))
        return (a + index / (levels - 1) * (b - a)) ** RHO

    def level_count(self) -> Tensor:
        """How many noise levels there are now: the first number, doubled in even stretches of training up to the last; plus one."""
        first, last = self.noise_levels
        stretch = max(1, self.steps // (math.floor(math.log2(last / first)) + 1))
        return (first * 2.0 ** (self.trained // stretch).clamp(max=60)).clamp(max=last).double() + 1


def consistency_matching(model: Consistency, batch: Any, generator: RowGenerator) -> Loss:
    """E lambda d(f(x_next, sigma_next), stop f(x, sigma)), d = sqrt(|a - b|^2 + c^2) - c, lambda = 1 / (sigma_next - sigma)."""
    student = model.student
    data = student.to_model_units(batch.x, generator)
    condition = flatten_condition(batch.condition, model.condition_shape, data.shape[:1], model.condition_optional)
    levels = model.level_count()
    if model.training:
        model.trained += 1
    sigma, sigma_next = _neighbours(model, levels, generator.uniform(dtype=torch.float64))
    sigma, sigma_next = sigma.to(data.dtype), sigma_next.to(data.dtype)
    noise = generator.normal(*model.event_shape, dtype=data.dtype)
    far = data + expand_right(sigma_next, data) * noise
    with torch.no_grad():
        near = data + expand_right(sigma, data) * noise
        if model.teacher is not None:
            near = heun_step(model.teacher, far, sigma_next, sigma, condition)
        goal = model(near, sigma, condition)
    c = 0.00054 * math.sqrt(model.event_shape.numel())
    gap = (model(far, sigma_next, condition) - goal).flatten(1).square().sum(1)
    distance = (gap + c * c).sqrt() - c
    return Loss((distance / (sigma_next - sigma)).mean(), {"levels": levels, "distance": distance.detach().mean()})


def heun_step(teacher: Diffusion, x: Tensor, sigma: Tensor, to: Tensor, condition: Tensor | None) -> Tensor:
    """x `(n, *event)` with noise sigma `(n,)`, moved along the teacher's flow to the noise `to`, whatever the teacher's path."""
    field = flow_field(teacher, condition)

    def slope(
        x: Tensor, sigma: Tensor
    ) -> Tensor:  # dx/dsigma = E[noise | x]; y = cos data + sin noise, v = cos noise - sin data
        theta = sigma.atan()
        sin, cos = expand_right(theta.sin(), x), expand_right(theta.cos(), x)
        y = x * cos
        return sin * y + cos * field(theta, y)

    step = expand_right(to - sigma, x)
    first = slope(x, sigma)
    return x + step * (first + slope(x + step * first, to)) / 2


def _neighbours(model: Consistency, levels: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """sigma_i and sigma_i+1 `(n,)`, i as often as a lognormal sigma falls between them, from uniform u `(n,)`."""
    mean = P_MEAN + math.log(2 * model.sigma_data)
    index = torch.arange(model.noise_levels[1] + 1, dtype=torch.float64, device=u.device)
    edges = model.ladder(levels, index.minimum(levels - 1))  # beyond the last the mass is zero
    below = torch.erf((edges.log() - mean) / (math.sqrt(2) * P_STD))
    mass = below.diff().cumsum(0)
    i = torch.searchsorted(mass, u * mass[-1], right=True).to(u.dtype).minimum(levels - 2)
    return model.ladder(levels, i), model.ladder(levels, i + 1)


def consistency(data: Source = None, *, teacher: Diffusion | None = None, event_shape: int | Sequence[int] | None = None,
                classes: int | None = None, levels: int | None = None, width: int | None = None,
                noise_levels: Sequence[int] = (10, 160), steps: int = 2000) -> Consistency:  # fmt: skip
    """A consistency model of these data, trained from them alone, or from a `teacher` that was fitted to the same data.

    `noise_levels` and `steps` are those of `Consistency`; give the number of steps that `fit` will take. The other arguments are
    those of `ddpm`. A copy of the teacher travels with the model.

    >>> import pushforward as pf
    >>> moons = pf.data.toy("two_moons", 200)
    >>> consistency(moons, teacher=pf.diffusion.v_diffusion(moons)).sample(3).shape
    torch.Size([3, 2])
    """
    own = measured(data, levels)
    student = assemble(EDM(), "data", data, event_shape, classes, levels, width,
                       wrap=lambda network, path: Boundary(network, path, own))  # fmt: skip
    return Consistency(student, copy.deepcopy(teacher), noise_levels=noise_levels, steps=steps, sigma_data=own)
