"""Hamiltonian dynamics on a log density, in the frame where the mass is one: what MALA, HMC and NUTS share.

With inverse mass S S^T, momentum p = S^-T q and q ~ N(0, I), the energy is H = -log p(x) + |q|^2 / 2, and a leapfrog step is
q += h/2 S^T grad log p(x);  x += h S q;  q += h/2 S^T grad log p(x): it keeps volume, is its own inverse after q -> -q, and changes
H by O(h^2) over a trajectory. Neal 2011, MCMC using Hamiltonian dynamics, https://arxiv.org/abs/1206.1901
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError, UserError

from .density import Density, log_density_of

Evaluate = Callable[[Tensor], tuple[Tensor, Tensor]]
DIVERGENT = (
    1000.0  # an energy error above this says that the trajectory left the level it should stay on (Betancourt 2017)
)


def value_and_gradient(target: Density, x: Tensor) -> tuple[Tensor, Tensor]:
    """log p `(n,)` and its gradient `(n, d)` at x `(n, *event)`. Raises `UserError` when log p is not one number a chain."""
    log_density = log_density_of(target)
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = log_density(x)
        if value.shape != x.shape[:1]:
            raise UserError(f"expected a log density of shape ({len(x)},), one number a chain, got {tuple(value.shape)}; sum over the event")  # fmt: skip
        (gradient,) = torch.autograd.grad(value, x, torch.ones_like(value))
    return value.detach(), gradient.flatten(1)


def evaluate_flat(target: Density, like: Tensor) -> Evaluate:
    """log p and its gradient as functions of flat positions `(n, d)`, for events of the shape of `like`."""
    event = like.shape[1:]
    return lambda flat: value_and_gradient(target, flat.unflatten(1, event) if len(event) != 1 else flat)


def begin(target: Density, x: Tensor) -> tuple[Tensor, Tensor]:
    """`value_and_gradient` at the start of chains. Raises `UserError`, with the number of chains, where either is not finite."""
    value, gradient = value_and_gradient(target, x)
    bad = ~(torch.isfinite(value) & torch.isfinite(gradient).all(1))
    if bad.any():
        raise UserError(f"expected a finite log density and gradient at the start, got others in {int(bad.sum())} of {len(x)} chains, the "
                        f"first is chain {int(bad.nonzero()[0, 0])}; begin where the density is positive and smooth")  # fmt: skip
    return value, gradient


def scale_of(inverse_mass: Tensor | Sequence[float] | None) -> Tensor | None:
    """S with S S^T the inverse mass: its root for a diagonal `(d,)`, its Cholesky factor for a matrix `(d, d)`.

    Raises `ConfigError` for what is not positive definite.
    """
    if inverse_mass is None:
        return None
    given = torch.as_tensor(inverse_mass, dtype=None if isinstance(inverse_mass, Tensor) else torch.get_default_dtype())
    if given.ndim == 1 and bool((given > 0).all() & torch.isfinite(given).all()):
        return given.sqrt()
    if given.ndim == 2 and given.shape[0] == given.shape[1] and torch.isfinite(given).all():
        factor, failed = torch.linalg.cholesky_ex(given)
        if not failed:
            return factor
    raise ConfigError(f"expected an inverse_mass of positive variances (d,) or a positive definite matrix (d, d), got shape "
                      f"{tuple(given.shape)}; a covariance of the target is a good one")  # fmt: skip


class Motion:
    """The two moves of a leapfrog step, each one fused operation where the mass is diagonal.

    `size` is h S, `(n, 1)`, `(n, d)` or a number as a tensor (h alone for a dense S, whose products are taken apart), `half` its half.
    """

    def __init__(self, step: float | Tensor, scale: Tensor | None, like: Tensor):
        h = torch.as_tensor(step, dtype=like.dtype, device=like.device)
        self.dense = scale if scale is not None and scale.ndim == 2 else None
        self.size = h if scale is None or self.dense is not None else h * scale
        self.half = 0.5 * self.size

    def kick(self, q: Tensor, gradient: Tensor, size: Tensor) -> Tensor:
        """q + size S^T g, rows `(n, d)`; `size` is `self.size` or `self.half`."""
        return torch.addcmul(q, size, gradient if self.dense is None else gradient @ self.dense)

    def drift(self, x: Tensor, q: Tensor) -> Tensor:
        """x + h S q, rows `(n, d)`."""
        return torch.addcmul(x, self.size, q if self.dense is None else q @ self.dense.T)


def leapfrog(evaluate: Evaluate, x: Tensor, q: Tensor, gradient: Tensor, step: float | Tensor,
             scale: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """One step of size `step` (a number, or `(n, 1)`) from x, q `(n, d)` and the gradient at x: x, q, log p `(n,)`, gradient."""
    motion = Motion(step, scale, x)
    q = motion.kick(q, gradient, motion.half)
    x = motion.drift(x, q)
    value, gradient = evaluate(x)
    return x, motion.kick(q, gradient, motion.half), value, gradient


def out_of_numbers(value: Tensor) -> Tensor | None:
    """Which chains have a log density that is not finite, `(n,)`; None where a look says that there are none.

    The look waits for the device, so it is taken on the CPU only, where it is cheaper than the repair.
    """
    if value.device.type == "cpu" and math.isfinite(value.sum().item()):
        return None
    return ~torch.isfinite(value)


def kinetic(q: Tensor) -> Tensor:
    """|q|^2 / 2, `(n,)`."""
    return 0.5 * q.square().sum(1)


def energy_error(joint: Tensor, first: Tensor) -> Tensor:
    """log of the ratio of the joint densities, -inf where it is not a number: such a point is never accepted."""
    change = joint - first
    return torch.where(change < math.inf, change, -math.inf)  # neither NaN nor +inf is below +inf


def column(step: float | Tensor) -> float | Tensor:
    """A number as it is; one step a chain `(n,)` as `(n, 1)`."""
    return step[:, None] if isinstance(step, Tensor) and step.ndim == 1 else step


def check_step(step: float | Tensor) -> None:
    """Raises `ConfigError` for a step size that is not positive and finite, everywhere."""
    given = torch.as_tensor(step)
    if given.ndim > 1 or not bool((given > 0).all() & torch.isfinite(given).all()):
        shown = given.flatten()[:3].tolist()
        raise ConfigError(f"expected a positive step_size, a number or one a chain, got {shown}; warm_up finds one")
