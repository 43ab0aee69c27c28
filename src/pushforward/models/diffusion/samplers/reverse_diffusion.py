r"""The reverse diffusion sampler: the reverse SDE, in steps that mirror those of the discrete process forward.

Forward, y_t = a y_s + sqrt(1 - a^2) z with a = cos(theta_t) / cos(theta_s): y is variance preserving on every path. Reversed,

    y <- (2 - a) y + (1 - a^2) score(y) + sqrt(1 - a^2) z,

which is x_i = (2 - sqrt(1 - beta)) x_{i+1} + beta score + sqrt(beta) z with beta = 1 - a^2.
Song et al. 2021, https://arxiv.org/abs/2011.13456, eq. 46 and algorithm 3.
"""

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


@register
@dataclass(frozen=True)
class ReverseDiffusion(Kernel):
    """`steps` network evaluations: reverse diffusion, and at last the data predicted. `spacing` and the state are those of `Ancestral`.

    >>> ReverseDiffusion(steps=100).order
    1
    """

    steps: int = 200
    spacing: Spacing = "angle"
    walk: Walk | None = field(default=None, repr=False, compare=False)
    order = 1  # weak
    noisy = True

    @property
    def evaluations(self) -> int:
        """Calls of the network for a draw."""
        return self.steps

    def on(self, model: Denoiser, condition: Tensor | None = None) -> "ReverseDiffusion":
        """This sampler attached to a model, for rows with this condition `(n, ...)`."""
        return replace(self, walk=Walk(model, condition, *tabulated(replace(self, walk=None), model.path, model.predict)))  # fmt: skip

    def init(self, x: Tensor) -> State:
        """Begin at standard normal noise `(n, *event)`."""
        return attached(self.walk, "ReverseDiffusion").begin(x)

    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """One step towards the data."""
        return attached(self.walk, "ReverseDiffusion").advance(state, generator)

    def rows(self, path: Path) -> tuple[tuple[float, ...], tuple[Row, ...]]:
        """Times and (from_y, from_data, from_noise) of every step."""
        angles, times = grid(path, self.steps, self.spacing)
        return times, (*(mirrored(here, there) for here, there in itertools.pairwise(angles[:-1])), (0.0, 1.0, 0.0))


def mirrored(theta_t: float, theta_s: float) -> Row:
    """(from_y, from_data, from_noise), with score = (cos(theta) data - y) / sin(theta)^2 in the equation above."""
    a = math.cos(theta_t) / math.cos(theta_s)
    beta = max(1 - a**2, 0.0)
    of_score = beta / math.sin(theta_t) ** 2
    return 2 - a - of_score, of_score * math.cos(theta_t), math.sqrt(beta)
