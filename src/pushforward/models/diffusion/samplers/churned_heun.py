r"""The sampler of EDM: Heun's method on the probability flow in s = sigma / alpha, with some noise put back before each step.

With u = x_t / alpha = data + s noise, so du/ds = (u - data(u, s)) / s, and a step from s to s' is

    s_hat = (1 + gamma) s,    u_hat = u + S_noise sqrt(s_hat^2 - s^2) z,    gamma = min(S_churn / N, sqrt(2) - 1) for s in [S_min, S_max],

then Heun from s_hat to s'. With r = s' / s_hat it is u' = r u_hat + (1 - r) ((2 r - 1) data + data') / (2 r), and y = cos(theta) u.
Karras et al. 2022, https://arxiv.org/abs/2206.00364, algorithm 2.
"""

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.kernel import Info, Kernel, State
from pushforward.core.path import Path
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.models.diffusion.denoiser import Denoiser
from pushforward.parts.paths.angle import angle, time_of_angle

from .grid import Spacing, grid
from .two_stage import Stages, TwoStageWalk, staged
from .walk import attached


@register
@dataclass(frozen=True)
class ChurnedHeun(Kernel):
    """EDM's sampler: `steps` steps, the last to the data predicted, in 2 * steps - 1 network evaluations; on any path.

    `churn`, `churn_min`, `churn_max` and `churn_noise` are S_churn, S_min, S_max and S_noise of the paper; without churn the sampler is
    deterministic. No step goes above the most noise of the path. The state is that of `Ancestral`. Raises `ConfigError` for
    a negative churn, or noise that is not positive.

    >>> ChurnedHeun(steps=18).evaluations
    35
    """

    steps: int = 18
    churn: float = 0.0
    churn_min: float = 0.0
    churn_max: float = math.inf
    churn_noise: float = 1.0
    spacing: Spacing = "karras"
    walk: TwoStageWalk | None = field(default=None, repr=False, compare=False)
    order = 2

    def __post_init__(self):
        if not (self.churn >= 0 and self.churn_noise > 0):
            raise ConfigError(f"expected churn of at least 0 and positive churn_noise, got {self.churn} and {self.churn_noise}; "
                              "no churn is a deterministic sampler")  # fmt: skip

    @property
    def noisy(self) -> bool:
        """Whether a step adds noise: such a sampler needs a score."""
        return self.churn > 0

    @property
    def evaluations(self) -> int:
        """Calls of the network for a draw."""
        return 2 * self.steps - 1

    def on(self, model: Denoiser, condition: Tensor | None = None) -> "ChurnedHeun":
        """This sampler attached to a model, for rows with this condition `(n, ...)`."""
        return replace(self, walk=TwoStageWalk(model, condition, *staged(replace(self, walk=None), model.path, model.predict)))  # fmt: skip

    def init(self, x: Tensor) -> State:
        """Begin at standard normal noise `(n, *event)`."""
        return attached(self.walk, "ChurnedHeun").begin(x)

    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """One step towards the data."""
        return attached(self.walk, "ChurnedHeun").advance(state, generator)

    def rows(self, path: Path) -> tuple[Stages, ...]:
        """The numbers of every step."""
        angles, times = grid(path, self.steps, self.spacing)
        most = angle(path, torch.tensor(path.t_max, dtype=torch.float64)).item()
        found = list[Stages]()
        for i, (theta, t) in enumerate(zip(angles[:-1], times)):
            s, here, lift = math.tan(theta), theta, (1.0, 0.0)
            gamma = min(self.churn / self.steps, math.sqrt(2) - 1) if self.churn_min <= s <= self.churn_max else 0.0
            if gamma:
                here = min(math.atan((1 + gamma) * s), most)
                added = self.churn_noise * math.sqrt(max(math.tan(here) ** 2 - s**2, 0.0))
                lift = (math.cos(here) / math.cos(theta), math.cos(here) * added)
                t = time_of_angle(path, torch.tensor([here], dtype=torch.float64)).item()
            if i == self.steps - 1:
                found.append(Stages(t, (0.0, 1.0), lift=lift))
            else:
                found.append(Stages(t, *heun(here, angles[i + 1], times[i + 1]), lift=lift))
        return tuple(found)


def heun(theta: float, theta_next: float, t_next: float) -> tuple[tuple[float, float], float, tuple[float, float, float]]:  # fmt: skip
    """The trial (Euler) and the step of `Stages`, on the clock of y."""
    r, cos = math.tan(theta_next) / math.tan(theta), math.cos(theta_next)
    kept = r * cos / math.cos(theta)
    data, ahead = (1 - r) * (2 * r - 1) / (2 * r), (1 - r) / (2 * r)
    return (kept, (1 - r) * cos), t_next, (kept, data * cos, ahead * cos)
