r"""A stochastic Runge-Kutta method of weak order 2 on the reverse-time SDE, with its linear part integrated exactly.

With lambda = log(alpha / sigma) = log cot(theta) and h = lambda_t - lambda_s > 0, the reverse SDE is

    y_t = sigma_t / sigma_s e^-h y_s + 2 alpha_t int_0^h e^(-2 (h - u)) data(lambda_s + u) du + sigma_t sqrt(1 - e^-2h) z.

The trial takes the data as constant, which is an ancestral step; the step takes the line from there to the data predicted at the trial, with
the same z. Noise is additive, so this is of weak order 2, as Platen's method is. Kloeden and Platen 1992, Numerical Solution of Stochastic
Differential Equations, section 15.1; Gonzalez et al. 2023, https://arxiv.org/abs/2305.14267, for the exponential form.
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
from .history import log_snr
from .two_stage import Stages, TwoStageWalk, staged
from .walk import attached


@register
@dataclass(frozen=True)
class ReverseRungeKutta(Kernel):
    """`steps` steps of weak order 2 on the reverse SDE, the last to the data predicted: 2 * steps - 1 network evaluations.

    `spacing` and the state are those of `Ancestral`.

    >>> ReverseRungeKutta(steps=25).evaluations
    49
    """

    steps: int = 25
    spacing: Spacing = "angle"
    walk: TwoStageWalk | None = field(default=None, repr=False, compare=False)
    order = 2  # weak
    noisy = True

    @property
    def evaluations(self) -> int:
        """Calls of the network for a draw."""
        return 2 * self.steps - 1

    def on(self, model: Denoiser, condition: Tensor | None = None) -> "ReverseRungeKutta":
        """This sampler attached to a model, for rows with this condition `(n, ...)`."""
        return replace(self, walk=TwoStageWalk(model, condition, *staged(replace(self, walk=None), model.path, model.predict)))  # fmt: skip

    def init(self, x: Tensor) -> State:
        """Begin at standard normal noise `(n, *event)`."""
        return attached(self.walk, "ReverseRungeKutta").begin(x)

    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """One step towards the data."""
        return attached(self.walk, "ReverseRungeKutta").advance(state, generator)

    def rows(self, path: Path) -> tuple[Stages, ...]:
        """The numbers of every step."""
        angles, times = grid(path, self.steps, self.spacing)
        lambdas, found = log_snr(angles), list[Stages]()
        for (here, there), (low, high), t, t_next in zip(itertools.pairwise(angles[:-1]), itertools.pairwise(lambdas), times, times[1:]):  # fmt: skip
            h = high - low
            share, alpha, sigma = -math.expm1(-2 * h), math.cos(there), math.sin(there)
            kept = sigma / math.sin(here) * math.exp(-h)
            ahead = alpha * (1 - share / (2 * h))
            found.append(Stages(t, (kept, alpha * share), t_next, (kept, alpha * share - ahead, ahead), sigma * math.sqrt(share)))  # fmt: skip
        return (*found, Stages(times[-2], (0.0, 1.0)))
