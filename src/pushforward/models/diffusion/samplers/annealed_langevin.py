r"""Annealed Langevin dynamics: some steps of Langevin at each level of noise, from the most to the least.

On u = x_t / alpha = data + s noise, with s = sigma / alpha, levels s_1 > ... > s_L and a_i = eps s_i^2 / s_L^2,

    u <- u + a_i / 2 score_i(u) + sqrt(a_i) z,   z ~ N(0, I), T times a level,

then once more to the predicted data, without noise. Song and Ermon 2019, https://arxiv.org/abs/1907.05600, algorithm 1;
Jolicoeur-Martineau et al. 2021, https://arxiv.org/abs/2009.05475, for the last step. With q = eps / (2 s_L^2), the same at all
levels, and y = cos(theta) u on the angle clock, a step is y <- (1 - q) y + q cos(theta) data + sqrt(2 q) sin(theta) z: a row of a table.

How large: one level's noise, of variance gamma^2 in units of the next, should leave it with variance 1. After T steps it has
(1 - q)^(2 T) (gamma^2 - v) + v with v = 1 / (1 - q / 2), always above 1; q is where it is least. Song and Ermon 2020,
https://arxiv.org/abs/2006.09011, technique 4.
"""

import functools
import itertools
import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.kernel import Info, Kernel, State
from pushforward.core.path import Path, Prediction
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.models.diffusion.denoiser import Denoiser
from pushforward.parts.paths.angle import angle, time_of_angle
from pushforward.parts.paths.noise_ladder import NoiseLadder, ladder_length

from .walk import Row, Walk, attached, table_of

LARGEST = 1e3  # levels of s beyond are left out: there y is standard normal to a millionth


@register
@dataclass(frozen=True)
class AnnealedLangevin(Kernel):
    """`each` steps of Langevin dynamics at each of `levels` geometric levels of noise, for any path and prediction.

    `levels`: by default those of a `NoiseLadder`, and on other paths as many as events of this size need. `rate`: q, the share of
    its way to the predicted data that a step goes, below 1; by default the best for this ladder. In all levels * each + 1 network
    evaluations. Raises `ConfigError` for impossible numbers.

    >>> AnnealedLangevin(each=10).levels is None
    True
    """

    each: int = 5
    levels: int | None = None
    rate: float | None = None
    walk: Walk | None = field(default=None, repr=False, compare=False)
    noisy = True

    def __post_init__(self):
        if (
            self.each < 1
            or (self.levels is not None and self.levels < 2)
            or not 0 < (0.5 if self.rate is None else self.rate) < 1
        ):
            raise ConfigError(f"expected at least 1 step a level, at least 2 levels and a rate in (0, 1), got {self.each}, {self.levels} "
                              f"and {self.rate}")  # fmt: skip

    @property
    def steps(self) -> int:
        """Network evaluations, of a sampler that is attached to a model."""
        return len(attached(self.walk, "AnnealedLangevin").table)

    def on(self, model: Denoiser, condition: Tensor | None = None) -> "AnnealedLangevin":
        """This sampler attached to a model, for rows with this condition `(n, ...)`."""
        numbers = math.prod(getattr(model, "event_shape", ()))
        times, table = _table(model.path, model.predict, self.each, self.levels, self.rate, numbers)
        return replace(self, walk=Walk(model, condition, times, table))

    def init(self, x: Tensor) -> State:
        """Begin at standard normal noise `(n, *event)`."""
        return attached(self.walk, "AnnealedLangevin").begin(x)

    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """One step at its level."""
        return attached(self.walk, "AnnealedLangevin").advance(state, generator)


def best_rate(gamma: float, each: int) -> float:
    """q, for levels whose ratio is gamma and so many steps at each.

    >>> round(best_rate(5000 ** (1 / 231), 5), 2)  # the ladder of CIFAR-10 in the paper, which takes 0.062
    0.06
    """
    q = torch.logspace(-6, 0, 20_001, dtype=torch.float64)[:-1]
    left, own = (1 - q) ** (2 * each), 1 / (1 - q / 2)
    return q[(left * (gamma**2 - own) + own).argmin()].item()


@functools.lru_cache(maxsize=64)
def _table(path: Path, predict: Prediction, each: int, levels: int | None, rate: float | None, numbers: int,
           ) -> tuple[tuple[float, ...], tuple[Row, ...]]:  # fmt: skip
    """Times, one more than rows; and the rows."""
    least, most = angle(path, torch.tensor([path.t_min, path.t_max], dtype=torch.float64)).tan().abs().tolist()
    most = min(most, LARGEST) if most > LARGEST and not isinstance(path, NoiseLadder) else most
    own = path.levels if isinstance(path, NoiseLadder) else ladder_length(numbers, least, most)
    count = own if levels is None else levels
    s = torch.logspace(math.log10(most), math.log10(least), count, dtype=torch.float64)
    theta = s.atan()
    q = best_rate((most / least) ** (1 / (count - 1)), each) if rate is None else rate
    stay, updates = math.sqrt(2 * q), list[Row]()
    angles = theta.tolist()
    for here, there in itertools.pairwise([*angles, angles[-1]]):
        cos, sin = math.cos(here), math.sin(here)
        row = (1 - q, q * cos, stay * sin)
        grow = math.cos(there) / cos  # the same u, on the clock of the next level
        updates += [row] * (each - 1) + [(grow * row[0], grow * row[1], grow * row[2])]
    updates.append((0.0, 1.0, 0.0))
    times = time_of_angle(path, theta).repeat_interleave(each).tolist()
    times.append(times[-1])
    return (*times, path.t_min), table_of(path, predict, times, updates)
