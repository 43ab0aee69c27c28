r"""Chains on an energy: Langevin steps, with or without Metropolis's correction, and Hamiltonian ones for annealing.

Langevin: y <- y - eps grad E(y) + sqrt(2 eps) z. Adjusted (MALA), a step from y to y' is refused with probability
1 - min(1, exp(E(y) - E(y')) q(y | y') / q(y' | y)), and then leaves exp(-E) as it is, whatever eps. Nothing here waits for the device,
and numbers that are not finite are left for the training to see.
Besag 1994; Roberts and Tweedie 1996, https://doi.org/10.2307/3318418; Duane et al. 1987, https://doi.org/10.1016/0370-2693(87)91197-X
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pushforward.core.random import RowGenerator
from pushforward.core.shapes import expand_right, sum_event

Energy = Callable[[Tensor], Tensor]


def energy_and_slope(energy: Energy, y: Tensor) -> tuple[Tensor, Tensor]:
    """E(y) `(n,)` and grad E(y), without a graph."""
    with torch.inference_mode(False), torch.enable_grad():
        y = (y.clone() if y.is_inference() else y.detach()).requires_grad_()
        value = energy(y)
        (slope,) = torch.autograd.grad(value.sum(), y)
    return value.detach(), slope


@torch.no_grad()
def langevin_walk(
    energy: Energy, y: Tensor, steps: int, step_size: float, generator: RowGenerator, adjusted: bool = False
) -> tuple[Tensor, Tensor]:
    """Where chains from y `(n, *event)` are after so many steps, and the share of steps that each took, `(n,)`."""
    value, slope = energy_and_slope(energy, y)
    taken = torch.zeros_like(value)
    for _ in range(steps):
        z = generator.normal(*y.shape[1:], dtype=y.dtype)
        proposal = y - step_size * slope + math.sqrt(2 * step_size) * z
        new_value, new_slope = energy_and_slope(energy, proposal)
        if not adjusted:
            y, value, slope = proposal, new_value, new_slope
            continue
        # log q(y | y') - log q(y' | y), where y' - y + eps slope = sqrt(2 eps) z
        back = (y - proposal + step_size * new_slope).square() / (4 * step_size)
        log_ratio = value - new_value + sum_event(z.square() / 2 - back)
        accept = generator.uniform(dtype=y.dtype).log() < log_ratio
        y, slope = (torch.where(expand_right(accept, y), a, b) for a, b in ((proposal, y), (new_slope, slope)))
        value = torch.where(accept, new_value, value)
        taken += accept
    return y, taken / max(steps, 1) if adjusted else torch.ones_like(value)


@torch.no_grad()
def hamiltonian_move(
    energy: Energy, y: Tensor, step_size: float, leaps: int, generator: RowGenerator
) -> tuple[Tensor, Tensor]:
    """One Hamiltonian move of `leaps` leapfrog steps, refused where Metropolis says so; positions and acceptance `(n,)`.

    Each chain takes a size of its own, `step_size` or down to a tenth of it: where the energy is steep, only small steps are accepted.
    """
    start, p = y, generator.normal(*y.shape[1:], dtype=y.dtype)
    size = expand_right(step_size * 0.1 ** generator.uniform(dtype=y.dtype).square(), y)
    before, slope = energy_and_slope(energy, y)
    total = before + sum_event(p.square()) / 2
    value = before
    for _ in range(leaps):
        p = p - size / 2 * slope
        y = y + size * p
        value, slope = energy_and_slope(energy, y)
        p = p - size / 2 * slope
    log_ratio = total - value - sum_event(p.square()) / 2
    accept = generator.uniform(dtype=y.dtype).log() < log_ratio  # NaN is refused
    return torch.where(expand_right(accept, y), y, start), accept.to(y.dtype)
