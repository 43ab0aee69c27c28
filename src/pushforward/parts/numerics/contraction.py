"""z + g(z) = x for a contraction g whose Jacobian is at hand: Newton's method, kept at least as fast as the fixed point.

The fixed point z <- x - g(z) takes log(1 / eps) / log(1 / L) steps, hundreds for L near 1. A Newton step,
z <- z + (I + J)^-1 (x - z - g(z)), doubles the digits. A row whose residual it does not shrink by L takes the plain step,
which does. Gradients are those of the implicit function theorem: dz = (I + J)^-1 (dx - dg).
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.core.solved import Solved

from .fixed_point import fixed_point

Jacobian = Callable[[Tensor], tuple[Tensor, Tensor]]


def invert_contraction(g: Callable[[Tensor], Tensor], jacobian: Jacobian, x: Float[Tensor, "n *event"], rate: float, *,
                       most: int = 30) -> tuple[Float[Tensor, "n *event"], Solved, tuple[Tensor, Tensor]]:  # fmt: skip
    """z with z + g(z) = x, to rounding, row by row, for |g(z) - g(y)| <= rate |z - y|; and g and its Jacobian there.

    `jacobian` gives g(z) and its transposed Jacobian `(n, d, d)` with d numbers an event. What Newton has not brought to
    rest after `most` steps is left to the fixed point, which raises `ConvergenceError` where it cannot.

    >>> a = torch.tensor([[0.5]])
    >>> z, solved, (value, slopes) = invert_contraction(lambda z: z / 2, lambda z: (z / 2, a.expand(len(z), 1, 1)), torch.tensor([[3.0]]), 0.5)
    >>> z
    tensor([[2.]])
    """
    given = x.detach()
    with torch.no_grad():
        z, iterations, arrived = _newton(g, jacobian, given, rate, most)
        if not arrived:
            z, solved = fixed_point(lambda z: given - g(z), z)
            iterations += solved.iterations
    value, slopes = jacobian(z)
    residual = (z + value - given).detach()
    solved = Solved(iterations, float(residual.abs().max()) if residual.numel() else 0.0)
    if torch.is_grad_enabled():
        gap = (x - given) - (value - value.detach())  # zero in value, with the gradient of the theorem
        z = z + _corrected(slopes.detach(), gap)
        if z.requires_grad:
            value, slopes = jacobian(z)
    return z, solved, (value, slopes)


def _newton(
    g: Callable[[Tensor], Tensor], jacobian: Jacobian, x: Tensor, rate: float, most: int
) -> tuple[Tensor, int, bool]:
    """Steps with one Jacobian for as long as they shrink the residual fourfold: a Jacobian costs several evaluations of g."""
    close, z = 8 * torch.finfo(x.dtype).eps, x
    value, slopes = jacobian(z)
    left, size = x - z - value, None
    for iteration in range(1, most + 1):
        new = z + _corrected(slopes, left)
        moved = ((new - z).abs() / (1 + z.abs())).max() if len(z) else left.new_zeros(())
        new_left = x - new - g(new)
        size, before = new_left.flatten(1).norm(dim=1), left.flatten(1).norm(dim=1)
        if bool(moved <= close):
            return new, iteration, True
        worse = size > rate * before + close * (1 + new.flatten(1).norm(dim=1))
        slow = bool((size > 0.25 * before).any())
        if bool(worse.any()):
            pick = worse.reshape(-1, *(1,) * (z.ndim - 1))
            new = torch.where(pick, z + left, new)
            new_left = x - new - g(new)
        z, left = new, new_left
        if slow:
            slopes = jacobian(z)[1]
    return z, most, False


def _corrected(slopes: Tensor, left: Tensor) -> Tensor:
    """(I + J)^-1 left, from the transposed Jacobian."""
    rows = left.flatten(1)
    d = rows.shape[1]
    if d == 1:
        return (rows / (1 + slopes[:, :, 0])).reshape(left.shape)
    if d == 2:  # Cramer's rule: a batch of tiny systems is all overhead
        a, c, b, e = (slopes.flatten(1) + slopes.new_tensor([1.0, 0.0, 0.0, 1.0])).unbind(1)
        u, v = rows.unbind(1)
        return (torch.stack([e * u - b * v, a * v - c * u], 1) / (a * e - b * c)[:, None]).reshape(left.shape)
    one = torch.eye(d, dtype=slopes.dtype, device=slopes.device)
    return torch.linalg.solve(one + slopes.transpose(1, 2), rows).reshape(left.shape)
