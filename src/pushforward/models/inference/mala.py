"""Metropolis-adjusted Langevin algorithm: Langevin steps, some of them refused, so that the chain has no bias.

x' = x + eps grad log p(x) + sqrt(2 eps) z is accepted with probability min(1, p(x') N(x; x' + eps grad log p(x'), 2 eps) /
(p(x) N(x'; x + eps grad log p(x), 2 eps))). That ratio is the change of energy over one leapfrog step of size sqrt(2 eps).
Besag 1994, comment in https://doi.org/10.1111/j.2517-6161.1994.tb02000.x; Roberts and Tweedie 1996, https://doi.org/10.2307/3318418
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pushforward.core.kernel import Info, Kernel, State
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register

from .density import Density
from .hamiltonian import (
    DIVERGENT,
    begin,
    check_step,
    column,
    energy_error,
    evaluate_flat,
    kinetic,
    leapfrog,
    scale_of,
)


@register
@dataclass(frozen=True, eq=False)
class MALA(Kernel):
    """Langevin steps of size eps on an unnormalised log density, accepted or refused: the chain leaves p exactly as it is.

    Args:
        log_density: a distribution with an exact log_prob, a `Target`, or a function of x `(n, *event)` that returns `(n,)`.
        step_size: eps, in squared units of x as in `Langevin`; a number or one a chain `(n,)`. The best accepts 57 % in high dimensions.
        inverse_mass: variances `(d,)` or a covariance `(d, d)` that x is scaled by.

    A step reports `acceptance` (a probability), `log_density`, `energy` and `divergent`, each `(n,)`.

    >>> from pushforward.core.random import RowGenerator
    >>> chains = MALA(lambda x: -x.square().sum(1) / 2, step_size=0.5)
    >>> abs(chains.run(torch.zeros(2000, 1), 50, RowGenerator(0, 2000)).x.var() - 1) < 0.15
    tensor(True)
    """

    log_density: Density
    step_size: float | Tensor
    inverse_mass: Tensor | Sequence[float] | None = None

    def __post_init__(self):
        check_step(self.step_size)
        object.__setattr__(self, "_scale", scale_of(self.inverse_mass))

    def init(self, x: Tensor) -> State:
        """Begin at `x`, `(n, *event)`. Raises `UserError` where the log density or its gradient is not finite."""
        return State(x.detach(), 0, begin(self.log_density, x))

    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """One Langevin step, and its correction."""
        x, (value, gradient) = state.x, state.memory
        flat = x.flatten(1)
        q = generator.normal(flat.shape[1], dtype=x.dtype)
        u = generator.uniform(dtype=x.dtype)
        scale = None if self._scale is None else self._scale.to(x)  # type: ignore[attr-defined]
        h = (2 * column(self.step_size)) ** 0.5
        new, q_new, new_value, new_gradient = leapfrog(evaluate_flat(self.log_density, x), flat, q, gradient, h, scale)
        first, joint = value - kinetic(q), new_value - kinetic(q_new)
        change = energy_error(joint, first)
        taken = u < change.exp()
        kept = taken[:, None]
        value = torch.where(taken, new_value, value)
        memory = value, torch.where(kept, new_gradient, gradient)
        info = {"acceptance": change.clamp(max=0).exp(), "log_density": value, "energy": -torch.where(taken, joint, first),
                "divergent": change < -DIVERGENT}  # fmt: skip
        return State(torch.where(kept, new, flat).view_as(x), state.step + 1, memory), Info(info)
