"""Hamiltonian Monte Carlo: a walk along a level of the energy, then accepted or refused as a whole.

A momentum is drawn, L leapfrog steps of size h follow, and the end is accepted with probability min(1, exp(H_0 - H_L)). The error of
the leapfrog is O(h^2), so most ends are accepted, far away as they are. Duane, Kennedy, Pendleton, Roweth 1987,
https://doi.org/10.1016/0370-2693(87)91197-X; Neal 2011, https://arxiv.org/abs/1206.1901
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.kernel import Info, Kernel, State
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register

from .density import Density
from .hamiltonian import (
    DIVERGENT,
    Motion,
    begin,
    check_step,
    column,
    energy_error,
    evaluate_flat,
    kinetic,
    out_of_numbers,
    scale_of,
)


@register
@dataclass(frozen=True, eq=False)
class HMC(Kernel):
    """`steps` leapfrog steps of size `step_size`, for as many chains at once as x has rows.

    Args:
        log_density: a distribution with an exact log_prob, a `Target`, or a function of x `(n, *event)` that returns `(n,)`.
        step_size: h, in units of x (after the mass); a number or one a chain `(n,)`.
        steps: L. A trajectory of length h L near half a period mixes best.
        inverse_mass: variances `(d,)` or a covariance `(d, d)` of the target, for momenta of the inverse covariance.
        jitter: every chain takes h times a uniform number in [1 - jitter, 1 + jitter] at every step, so that no period is a whole one.

    A step reports `acceptance` (a probability), `log_density`, `energy` and `divergent`, each `(n,)`. A trajectory whose energy is off
    by more than 1000, or is no longer a number, is divergent and refused.

    Raises `ConfigError` for impossible settings.

    >>> from pushforward.core.random import RowGenerator
    >>> chains = HMC(lambda x: -x.square().sum(1) / 2, step_size=0.3, steps=5)
    >>> abs(chains.run(torch.zeros(2000, 1), 20, RowGenerator(0, 2000)).x.var() - 1) < 0.15
    tensor(True)
    """

    log_density: Density
    step_size: float | Tensor
    steps: int = 10
    inverse_mass: Tensor | Sequence[float] | None = None
    jitter: float = 0.1

    def __post_init__(self):
        check_step(self.step_size)
        if self.steps < 1 or not 0 <= self.jitter < 1:
            raise ConfigError(
                f"expected at least 1 leapfrog step and a jitter in [0, 1), got {self.steps} and {self.jitter}"
            )
        object.__setattr__(self, "_scale", scale_of(self.inverse_mass))

    def init(self, x: Tensor) -> State:
        """Begin at `x`, `(n, *event)`. Raises `UserError` where the log density or its gradient is not finite."""
        return State(x.detach(), 0, begin(self.log_density, x))

    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """A momentum, a trajectory, and a choice for every chain."""
        x, (value, gradient) = state.x, state.memory
        flat = x.flatten(1)
        q = generator.normal(flat.shape[1], dtype=x.dtype)
        u = generator.uniform(2, dtype=x.dtype)
        scale = None if self._scale is None else self._scale.to(x)  # type: ignore[attr-defined]
        h = column(self.step_size) * (1 + self.jitter * (2 * u[:, 1:] - 1))
        evaluate, motion = evaluate_flat(self.log_density, x), Motion(h, scale, x)
        first, lost = value - kinetic(q), torch.zeros_like(u[:, 0], dtype=torch.bool)
        # Two half kicks between two drifts are one kick.
        here, start = (flat, motion.kick(q, gradient, motion.half), value, gradient), (flat, q, gradient)
        for left in reversed(range(self.steps)):
            new = motion.drift(here[0], here[1])
            new_value, g = evaluate(new)
            q, bad = here[1], out_of_numbers(new_value)
            if bad is not None:
                # A chain that fell out of the numbers goes back to its start and is refused below: no NaN is passed on.
                lost = lost | bad
                new, q, g = (torch.where(lost[:, None], old, now) for old, now in zip(start, (new, q, g)))
            here = new, motion.kick(q, g, motion.size if left else motion.half), new_value, g
        joint = torch.where(lost, -torch.inf, here[2] - kinetic(here[1]))
        change = energy_error(joint, first)
        taken = u[:, 0] < change.exp()
        kept = taken[:, None]
        value = torch.where(taken, here[2], value)
        memory = value, torch.where(kept, here[3], gradient)
        info = {"acceptance": change.clamp(max=0).exp(), "log_density": value, "energy": -torch.where(taken, joint, first),
                "divergent": change < -DIVERGENT}  # fmt: skip
        return State(torch.where(kept, here[0], flat).view_as(x), state.step + 1, memory), Info(info)
