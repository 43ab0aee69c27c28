"""DDIM: the same marginals as DDPM with any share of its noise, down to none.

x_s = alpha_s data + sqrt(sigma_s^2 - c^2) noise + c z, with data and noise as predicted at t, and c = eta times the
standard deviation of DDPM's posterior. eta = 1 is ancestral sampling; eta = 0 is deterministic, a first-order step of
the probability flow. Song, Meng and Ermon 2021, https://arxiv.org/abs/2010.02502, eq. 12.
"""

import math
from dataclasses import dataclass, field, replace

from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.kernel import Info, Kernel, State
from pushforward.core.path import Path
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.models.diffusion.denoiser import Denoiser

from .ancestral import posterior
from .grid import Spacing, grid
from .walk import Row, Walk, attached, tabulated


@register
@dataclass(frozen=True)
class DDIM(Kernel):
    """`steps` network evaluations; `eta` in [0, 1] is how much of DDPM's noise is added: 0 for none.

    `spacing` and the state are those of `Ancestral`. Raises `ConfigError` for another eta.

    >>> DDIM(steps=20)
    DDIM(steps=20, eta=0.0, spacing='angle')
    """

    steps: int = 50
    eta: float = 0.0
    spacing: Spacing = "angle"
    walk: Walk | None = field(default=None, repr=False, compare=False)
    order = 1

    @property
    def noisy(self) -> bool:
        """Whether a step adds noise: such a sampler needs a score."""
        return self.eta > 0

    @property
    def evaluations(self) -> int:
        """Calls of the network for a draw."""
        return self.steps

    def __post_init__(self):
        if not 0 <= self.eta <= 1:
            raise ConfigError(f"expected eta in [0, 1], got {self.eta}; 0 adds no noise and 1 as much as DDPM")

    def on(self, model: Denoiser, condition: Tensor | None = None) -> "DDIM":
        """This sampler attached to a model, for rows with this condition `(n, ...)`."""
        times, table = tabulated(replace(self, walk=None), model.path, model.predict)
        return replace(self, walk=Walk(model, condition, times, table))

    def init(self, x: Tensor) -> State:
        """Begin at standard normal noise `(n, *event)`."""
        return attached(self.walk, "DDIM").begin(x)

    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """One step towards the data."""
        return attached(self.walk, "DDIM").advance(state, generator)

    def rows(self, path: Path) -> tuple[tuple[float, ...], tuple[Row, ...]]:
        """Times and (from_y, from_data, from_noise) of every step."""
        angles, times = grid(path, self.steps, self.spacing)
        targets = [(math.cos(a), math.sin(a)) for a in angles[1:-1]] + [(1.0, 0.0)]  # the last step goes to clean data
        return times, tuple(update(math.cos(a), math.sin(a), *target, self.eta) for a, target in zip(angles, targets))


def update(alpha_t: float, sigma_t: float, alpha_s: float, sigma_s: float, eta: float) -> Row:
    """(from_x, from_data, from_noise): noise = (x_t - alpha_t data) / sigma_t put into the equation above."""
    c = eta * posterior(alpha_t, sigma_t, alpha_s, sigma_s)[2]
    kept = math.sqrt(max(sigma_s**2 - c**2, 0.0)) / sigma_t
    return kept, alpha_s - kept * alpha_t, c
