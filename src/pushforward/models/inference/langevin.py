"""Unadjusted Langevin algorithm: gradient ascent on log p with noise of just the right size.

x <- x + eps grad log p(x) + sqrt(2 eps) z,  z ~ N(0, I): Euler's method for dx = grad log p(x) dt + sqrt(2) dw, whose
stationary density is p. The step is never rejected, so what it samples differs from p by O(eps): N(0, s^2) becomes
N(0, s^2 / (1 - eps / (2 s^2))). Parisi 1981, https://doi.org/10.1016/0550-3213(81)90056-0; Roberts and Tweedie 1996,
https://doi.org/10.2307/3318418
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError, UserError
from pushforward.core.kernel import Info, Kernel, State
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register


@register
@dataclass(frozen=True)
class Langevin(Kernel):
    """Langevin dynamics on an unnormalised log density, as many chains at once as x has rows.

    `log_density` is a distribution, or maps x `(n, *event)` to `(n,)`, each row for itself (minus an energy, say);
    its gradient is taken by autodiff. `step_size` is eps above, in squared units of x: small against the squared
    width of the narrowest bump. Each step reports `log_density`, that of the positions it started from.

    Raises `ConfigError` for a step size that is not positive, `UserError` when a log density is no longer finite.

    >>> from pushforward.core.random import RowGenerator
    >>> chains = Langevin(lambda x: -x.square().sum(1) / 2, step_size=0.1)  # the standard normal
    >>> chains.run(torch.zeros(500, 2), 100, RowGenerator(0, 500)).x.std() > 0.9
    tensor(True)
    """

    log_density: Distribution | Callable[[Tensor], Tensor]
    step_size: float

    def __post_init__(self):
        if not (self.step_size > 0 and math.isfinite(self.step_size)):
            raise ConfigError(
                f"expected a positive step_size, got {self.step_size}; start with 0.01 times the squared scale of x"
            )

    def init(self, x: Tensor) -> State:
        """Begin at `x`, `(n, *event)`."""
        return State(x)

    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """x + eps grad log p(x) + sqrt(2 eps) z."""
        x, eps = state.x, self.step_size
        density = self.log_density.log_prob if isinstance(self.log_density, Distribution) else self.log_density
        log_density, gradient = _value_and_gradient(density, x)
        if not (torch.isfinite(log_density).all() & torch.isfinite(gradient).all()):
            raise UserError(f"expected a finite log density and gradient, got others at step {state.step}; start where the density is "
                            f"positive, or take a step_size below {eps:g}")  # fmt: skip
        z = generator.normal(*x.shape[1:], dtype=x.dtype)
        return State(x + eps * gradient + math.sqrt(2 * eps) * z, state.step + 1), Info({"log_density": log_density})


def _value_and_gradient(log_density: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = log_density(x)
        if value.shape != x.shape[:1]:
            raise UserError(f"expected log_density(x) of shape ({len(x)},), one number a chain, got {tuple(value.shape)}; "
                            "sum over the event")  # fmt: skip
        (gradient,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), gradient
