r"""Euler-Maruyama on the reverse-time SDE, on the clock on which its coefficients are constant.

On the angle clock y = x_t / sqrt(alpha^2 + sigma^2) is an Ornstein-Uhlenbeck process in l = -log cos(theta) on every path:
dy = -y dl + sqrt(2) dw (with the betas of DDPM, l is half their integral). In reverse, with any share eta of the noise,

    y <- y + D (y + (1 + eta^2) score(y)) + eta sqrt(2 D) z,    D = log(cos(theta_s) / cos(theta_t)).

eta = 1 is the reverse SDE; eta = 0 the probability flow, with its 1/2. Anderson 1982, https://doi.org/10.1016/0304-4149(82)90051-5;
Song et al. 2021, https://arxiv.org/abs/2011.13456, section 3.3 and 4.3; Karras et al. 2022, https://arxiv.org/abs/2206.00364, eq. 6.
"""

import itertools
import math
from dataclasses import dataclass, field, replace

from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.kernel import Info, Kernel, State
from pushforward.core.path import Path
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.models.diffusion.denoiser import Denoiser

from .grid import Spacing, grid
from .walk import Row, Walk, attached, tabulated


@register
@dataclass(frozen=True)
class ReverseEulerMaruyama(Kernel):
    """`steps` network evaluations: Euler-Maruyama on the reverse SDE, and at last the data predicted.

    `eta` from 0 (the probability flow) to 1 (the SDE). The state is that of `Ancestral`, which takes the same SDE with fewer steps; this
    is the plain method to compare with. Raises `ConfigError` for a negative eta, and for steps so long that the method is
    unstable where there is most noise.

    >>> ReverseEulerMaruyama(steps=200)
    ReverseEulerMaruyama(steps=200, eta=1.0, spacing='log_snr')
    """

    steps: int = 200
    eta: float = 1.0
    spacing: Spacing = "log_snr"
    walk: Walk | None = field(default=None, repr=False, compare=False)
    order = 1  # weak; and strong with eta = 0

    def __post_init__(self):
        if not self.eta >= 0:
            raise ConfigError(f"expected eta of at least 0, got {self.eta}; 0 adds no noise and 1 is the reverse SDE")

    @property
    def noisy(self) -> bool:
        """Whether a step adds noise: such a sampler needs a score."""
        return self.eta > 0

    @property
    def evaluations(self) -> int:
        """Calls of the network for a draw."""
        return self.steps

    def on(self, model: Denoiser, condition: Tensor | None = None) -> "ReverseEulerMaruyama":
        """This sampler attached to a model, for rows with this condition `(n, ...)`."""
        return replace(self, walk=Walk(model, condition, *tabulated(replace(self, walk=None), model.path, model.predict)))  # fmt: skip

    def init(self, x: Tensor) -> State:
        """Begin at standard normal noise `(n, *event)`."""
        return attached(self.walk, "ReverseEulerMaruyama").begin(x)

    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """One step towards the data."""
        return attached(self.walk, "ReverseEulerMaruyama").advance(state, generator)

    def rows(self, path: Path) -> tuple[tuple[float, ...], tuple[Row, ...]]:
        """Times and (from_y, from_data, from_noise) of every step. Raises `ConfigError` for unstable steps."""
        angles, times = grid(path, self.steps, self.spacing)
        updates = [euler(here, there, self.eta) for here, there in itertools.pairwise(angles[:-1])]
        if any(
            abs(from_y) > 1 + 1e-9 for from_y, _, _ in updates[:1]
        ):  # where y is noise and the data predicted are constant
            raise ConfigError(f"expected steps in which the noise does not grow, got steps={self.steps} with spacing={self.spacing!r}; "
                              'take more, or spacing="log_snr", or Ancestral')  # fmt: skip
        return times, (*updates, (0.0, 1.0, 0.0))


def euler(theta_t: float, theta_s: float, eta: float) -> Row:
    """(from_y, from_data, from_noise), with score = (cos(theta) data - y) / sin(theta)^2 in the equation above."""
    length = math.log(math.cos(theta_s) / math.cos(theta_t))
    of_score = (1 + eta**2) * length / math.sin(theta_t) ** 2
    return 1 + length - of_score, of_score * math.cos(theta_t), eta * math.sqrt(2 * length)
