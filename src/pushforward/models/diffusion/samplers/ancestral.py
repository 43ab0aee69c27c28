"""Ancestral sampling: step by step through the exact posterior of the noising process, with the predicted data in it.

q(x_s | x_t, data) = N(m, sigma_ts^2 sigma_s^2 / sigma_t^2) for s < t, with
m = alpha_ts sigma_s^2 / sigma_t^2 x_t + alpha_s sigma_ts^2 / sigma_t^2 data,
alpha_ts = alpha_t / alpha_s,  sigma_ts^2 = sigma_t^2 - alpha_ts^2 sigma_s^2.

With the betas of DDPM it is DDPM's x_{t-1} = (x_t - (1 - alpha) / sqrt(1 - abar) eps) / sqrt(alpha) + sigma z; at the
last step sigma_s = 0 and there is no z. Ho, Jain and Abbeel 2020, https://arxiv.org/abs/2006.11239, eq. 7;
Kingma et al. 2021, https://arxiv.org/abs/2107.00630, appendix A.
"""

import functools
import itertools
import math
from dataclasses import dataclass, field, replace

from torch import Tensor

from pushforward.core.kernel import Info, Kernel, State
from pushforward.core.path import Path
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.models.diffusion.denoiser import Denoiser

from .grid import Spacing, grid
from .walk import Row, Walk, attached, tabulated


def posterior(alpha_t: float, sigma_t: float, alpha_s: float, sigma_s: float) -> Row:
    """(from_x, from_data, from_noise) of q(x_s | x_t, data): mean = from_x x_t + from_data data, and its standard
    deviation.

    >>> posterior(0.6, 0.8, 1.0, 0.0)  # the last step is the predicted data
    (0.0, 1.0, 0.0)
    """
    alpha_ts = alpha_t / alpha_s
    variance_ts = max(sigma_t**2 - (alpha_ts * sigma_s) ** 2, 0.0)
    return (
        alpha_ts * (sigma_s / sigma_t) ** 2,
        alpha_s * variance_ts / sigma_t**2,
        math.sqrt(variance_ts) * sigma_s / sigma_t,
    )


@register
@dataclass(frozen=True)
class Ancestral(Kernel):
    """DDPM's sampler, for any path: `steps` network evaluations, fresh noise at every step but the last.

    `spacing`: "angle" (even steps from noise to data), "time" (even in t, as DDPM has it) or another of `grid.py`. The state is
    y = x_t / sqrt(alpha^2 + sigma^2), which is x_t itself on variance-preserving paths; it starts as standard normal
    noise and ends as data in model units.

    >>> Ancestral(steps=50)
    Ancestral(steps=50, spacing='angle')
    """

    steps: int = 100
    spacing: Spacing = "angle"
    walk: Walk | None = field(default=None, repr=False, compare=False)
    order = 1  # weak
    noisy = True

    @property
    def evaluations(self) -> int:
        """Calls of the network for a draw."""
        return self.steps

    def on(self, model: Denoiser, condition: Tensor | None = None) -> "Ancestral":
        """This sampler attached to a model, for rows with this condition `(n, ...)`."""
        times, table = tabulated(replace(self, walk=None), model.path, model.predict)
        learned = getattr(model, "learned_variance", False)
        spread = log_variances(model.path, self.steps, self.spacing) if learned else ()
        return replace(self, walk=Walk(model, condition, times, table, spread))

    def init(self, x: Tensor) -> State:
        """Begin at standard normal noise `(n, *event)`."""
        return attached(self.walk, "Ancestral").begin(x)

    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """One step towards the data."""
        return attached(self.walk, "Ancestral").advance(state, generator)

    def rows(self, path: Path) -> tuple[tuple[float, ...], tuple[Row, ...]]:
        """Times and (from_y, from_data, from_noise) of every step."""
        angles, times = grid(path, self.steps, self.spacing)
        # The last step goes to clean data, (alpha, sigma) = (1, 0), and not to the blur that is left at t_min.
        targets = [(math.cos(a), math.sin(a)) for a in angles[1:-1]] + [(1.0, 0.0)]
        return times, tuple(posterior(math.cos(a), math.sin(a), *target) for a, target in zip(angles, targets))


@functools.lru_cache(maxsize=256)
def log_variances(path: Path, steps: int, spacing: Spacing) -> tuple[tuple[float, float], ...]:
    """log of the posterior's variance and of beta, for every step but the last."""
    angles, _ = grid(path, steps, spacing)
    pairs = [((math.cos(t), math.sin(t)), (math.cos(s), math.sin(s))) for t, s in itertools.pairwise(angles[:-1])]
    return tuple((2 * math.log(posterior(*t, *s)[2]), math.log(1 - (t[0] / s[0]) ** 2)) for t, s in pairs)
