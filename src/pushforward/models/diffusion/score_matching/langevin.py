"""Langevin dynamics on a score: no density is asked for.

x <- x + eps s(x) + sqrt(2 eps) z, z ~ N(0, I): Euler's method for dx = s dt + sqrt(2) dw, never rejected, so what it draws is off by
O(eps). `pf.inference.Langevin` is the same on a log density. Song and Ermon 2019, https://arxiv.org/abs/1907.05600, eq. 4.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError, UserError
from pushforward.core.kernel import Info, Kernel, State
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register


@register
@dataclass(frozen=True)
class ScoreLangevin(Kernel):
    """Unadjusted Langevin chains along `score`, which maps x `(n, *event)` to the same shape.

    `step_size` is eps, in squared units of x. It has three pitfalls on data: see the page of F4; `AnnealedLangevin` cures them.
    Raises `ConfigError` for a step size that is not positive, `UserError` when a chain is no longer finite.

    >>> chains = ScoreLangevin(lambda x: -x, step_size=0.1)  # the standard normal
    >>> chains.run(torch.zeros(500, 2), 100, RowGenerator(0, 500)).x.std() > 0.9
    tensor(True)
    """

    score: Callable[[Tensor], Tensor]
    step_size: float

    def __post_init__(self):
        if not 0 < self.step_size < math.inf:
            raise ConfigError(
                f"expected a positive step_size, got {self.step_size}; start with 0.01 times the squared scale of x"
            )

    def init(self, x: Tensor) -> State:
        """Begin at `x`, `(n, *event)`."""
        return State(x)

    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """x + eps s(x) + sqrt(2 eps) z."""
        x, eps = state.x, self.step_size
        with torch.no_grad():
            slope = self.score(x)
        if x.device.type == "cpu" and not torch.isfinite(slope).all():  # elsewhere the check would wait for the device
            raise UserError(
                f"expected a finite score, got another at step {state.step}; take a step_size below {eps:g}"
            )
        z = generator.normal(*x.shape[1:], dtype=x.dtype)
        return State(torch.add(x, slope, alpha=eps).add_(z, alpha=math.sqrt(2 * eps)), state.step + 1), Info()
