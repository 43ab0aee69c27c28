"""Predictor-corrector sampling: after every step towards the data, some steps of Langevin at the level it came to.

The predictor goes on, the corrector mends the marginal there, whatever brought the draws off it.
Song et al. 2021, https://arxiv.org/abs/2011.13456, algorithms 1 to 3.
"""

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

from .ancestral import Ancestral
from .ddim import DDIM
from .euler_maruyama import ReverseEulerMaruyama
from .langevin_corrector import LangevinCorrector, correction
from .reverse_diffusion import ReverseDiffusion
from .walk import Row, Walk, attached, tabulated

Predictor = Ancestral | DDIM | ReverseEulerMaruyama | ReverseDiffusion


@register
@dataclass(frozen=True)
class PredictorCorrector(Kernel):
    """Any first-order sampler, with `corrections` rounds of `corrector` after each of its steps but the last.

    The state is that of `Ancestral`; the order is that of the predictor. In all steps + (steps - 1) * corrections * corrector.steps network
    evaluations. Raises `ConfigError` for a predictor without a table of one evaluation a step, such as `ProbabilityFlow`.

    >>> PredictorCorrector(ReverseDiffusion(steps=50), LangevinCorrector(snr=0.16)).evaluations
    99
    """

    predictor: Predictor = field(default_factory=ReverseDiffusion)
    corrector: LangevinCorrector = field(default_factory=LangevinCorrector)
    corrections: int = 1
    walk: Walk | None = field(default=None, repr=False, compare=False)
    order = 1  # weak
    noisy = True

    def __post_init__(self):
        if not isinstance(self.predictor, Predictor):
            raise ConfigError(f"expected a predictor among Ancestral, DDIM, ReverseEulerMaruyama and ReverseDiffusion, got {type(self.predictor).__name__}; "
                              "others keep more than a state between their steps")  # fmt: skip
        if self.corrections < 0:
            raise ConfigError(f"expected at least 0 corrections, got {self.corrections}; 0 is the predictor alone")

    @property
    def steps(self) -> int:
        """Steps of both kinds."""
        return self.predictor.steps + (self.predictor.steps - 1) * self.corrections * self.corrector.steps

    @property
    def evaluations(self) -> int:
        """Calls of the network for a draw."""
        return self.steps

    def on(self, model: Denoiser, condition: Tensor | None = None) -> "PredictorCorrector":
        """This sampler attached to a model, for rows with this condition `(n, ...)`."""
        return replace(self, walk=Walk(model, condition, *tabulated(replace(self, walk=None), model.path, model.predict)))  # fmt: skip

    def init(self, x: Tensor) -> State:
        """Begin at standard normal noise `(n, *event)`."""
        return attached(self.walk, "PredictorCorrector").begin(x)

    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """One step of the predictor or of the corrector."""
        return attached(self.walk, "PredictorCorrector").advance(state, generator)

    def rows(self, path: Path) -> tuple[tuple[float, ...], tuple[Row, ...]]:
        """Times and (from_y, from_data, from_noise) of every step of both kinds."""
        times, updates = self.predictor.rows(path)
        angles = angle(path, torch.tensor(times, dtype=torch.float64)).tolist()
        rounds = self.corrections * self.corrector.steps
        own, rows = [times[0]], list[Row]()
        for update, t, theta in zip(updates[:-1], times[1:], angles[1:]):
            rows += [update] + [correction(self.corrector.snr, theta)] * rounds
            own += [t] * (rounds + 1)
        return (*own, times[-1]), (*rows, updates[-1])
