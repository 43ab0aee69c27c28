r"""The corrector of Song et al.: a step of Langevin dynamics that stays at its level of noise.

    y <- y + eps score(y) + sqrt(2 eps) z,    eps = 2 (r |z| / |score|)^2

with r the signal-to-noise ratio. Where the score is right, |z| / |score| is sigma on average; with that number in the place of the
two norms, and sigma = sin(theta) on the angle clock, eps score = 2 r^2 (cos(theta) data - y), a row of a table. The norms would tie
a draw to the others of its batch. Song et al. 2021, https://arxiv.org/abs/2011.13456, algorithms 4 and 5.
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
from pushforward.parts.paths.angle import angle

from .walk import Row, Walk, attached, tabulated


@register
@dataclass(frozen=True)
class LangevinCorrector(Kernel):
    """`steps` steps of Langevin dynamics on p_t, with signal-to-noise ratio `snr`; for `PredictorCorrector`, or alone.

    `t` is the time of the path that it stays at, by default t_min; in a `PredictorCorrector` it is wherever the predictor is. The state is
    y = x_t / sqrt(alpha^2 + sigma^2), before and after. The noise is exact for a step of infinitely small ratio; otherwise the variance
    is too large by about snr^2. Raises `ConfigError` for a ratio that is not in (0, 0.7).

    >>> LangevinCorrector(snr=0.1).steps
    1
    """

    snr: float = 0.16
    steps: int = 1
    t: float | None = None
    walk: Walk | None = field(default=None, repr=False, compare=False)
    noisy = True

    def __post_init__(self):
        if not 0 < self.snr < 0.7 or self.steps < 1:
            raise ConfigError(f"expected snr in (0, 0.7) and at least one step, got snr={self.snr} and steps={self.steps}; "
                              "beyond it a step goes too far, and 0.16 is a common choice")  # fmt: skip

    @property
    def evaluations(self) -> int:
        """Calls of the network for a draw."""
        return self.steps

    def on(self, model: Denoiser, condition: Tensor | None = None) -> "LangevinCorrector":
        """This sampler attached to a model, for rows with this condition `(n, ...)`."""
        return replace(self, walk=Walk(model, condition, *tabulated(replace(self, walk=None), model.path, model.predict)))  # fmt: skip

    def init(self, x: Tensor) -> State:
        """Begin at y `(n, *event)`."""
        return attached(self.walk, "LangevinCorrector").begin(x)

    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """One step at its level."""
        return attached(self.walk, "LangevinCorrector").advance(state, generator)

    def rows(self, path: Path) -> tuple[tuple[float, ...], tuple[Row, ...]]:
        """Times and (from_y, from_data, from_noise) of every step."""
        t = path.t_min if self.t is None else float(self.t)
        theta = angle(path, torch.tensor(t, dtype=torch.float64)).item()
        return (t,) * (self.steps + 1), (correction(self.snr, theta),) * self.steps


def correction(snr: float, theta: float) -> Row:
    """(from_y, from_data, from_noise) of a step at this angle.

    >>> correction(0.5, 0.0)
    (0.5, 0.5, 0.0)
    """
    q = 2 * snr**2
    return 1 - q, q * math.cos(theta), math.sqrt(2 * q) * math.sin(theta)
