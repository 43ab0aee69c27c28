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
from pushforward.core.path import Path, Prediction
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.models.diffusion.denoiser import Denoiser

from .grid import Spacing, grid
from .walk import Row, Walk, attached, table_of


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

    `spacing`: "angle" (even steps from noise to data) or "time" (even in t, as DDPM has it). The state is
    y = x_t / sqrt(alpha^2 + sigma^2), which is x_t itself on variance-preserving paths; it starts as standard normal
    noise and ends as data in model units.

    >>> Ancestral(steps=50)
    Ancestral(steps=50, spacing='angle')
    """

    steps: int = 100
    spacing: Spacing = "angle"
    walk: Walk | None = field(default=None, repr=False, compare=False)

    def on(self, model: Denoiser, condition: Tensor | None = None) -> "Ancestral":
        """This sampler attached to a model, for rows with this condition `(n, ...)`."""
        _, times = grid(model.path, self.steps, self.spacing)
        table = _table(model.path, model.predict, self.steps, self.spacing)
        learned = getattr(model, "learned_variance", False)
        spread = log_variances(model.path, self.steps, self.spacing) if learned else ()
        return replace(self, walk=Walk(model, condition, times, table, spread))

    def init(self, x: Tensor) -> State:
        """Begin at standard normal noise `(n, *event)`."""
        return attached(self.walk, "Ancestral").begin(x)

    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """One step towards the data."""
        return attached(self.walk, "Ancestral").advance(state, generator)


@functools.lru_cache(maxsize=256)
def log_variances(path: Path, steps: int, spacing: Spacing) -> tuple[tuple[float, float], ...]:
    """log of the posterior's variance and of beta, for every step but the last."""
    angles, _ = grid(path, steps, spacing)
    pairs = [((math.cos(t), math.sin(t)), (math.cos(s), math.sin(s))) for t, s in itertools.pairwise(angles[:-1])]
    return tuple((2 * math.log(posterior(*t, *s)[2]), math.log(1 - (t[0] / s[0]) ** 2)) for t, s in pairs)


@functools.lru_cache(maxsize=256)
def _table(path: Path, predict: Prediction, steps: int, spacing: Spacing) -> tuple[Row, ...]:
    angles, times = grid(path, steps, spacing)
    # The last step goes to clean data, (alpha, sigma) = (1, 0), and not to the blur that is left at t_min.
    targets = [(math.cos(a), math.sin(a)) for a in angles[1:-1]] + [(1.0, 0.0)]
    updates = [posterior(math.cos(a), math.sin(a), *target) for a, target in zip(angles, targets)]
    return table_of(path, predict, times[:-1], updates)
