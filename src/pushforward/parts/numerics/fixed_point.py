"""Fixed points z = F(z), row by row, with gradients by the implicit function theorem.

At z* = F(z*, theta): dz*/dtheta = (I - J)^-1 dF/dtheta with J = dF/dz. Backward, the vector v = g + J' v is a fixed point
too, found by the same iteration: memory does not grow with the number of steps (Bai, Kolter, Koltun 2019,
https://arxiv.org/abs/1909.01377). It converges where F contracts, and ends exactly where J is triangular with a zero diagonal.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pushforward.core.errors import ConvergenceError
from pushforward.core.shapes import expand_right
from pushforward.core.solved import Solved


def fixed_point(function: Callable[[Tensor], Tensor], start: Tensor, *, tolerance: float | None = None,
                most: int = 1000) -> tuple[Tensor, Solved]:  # fmt: skip
    """z `(n, *event)` with z = function(z), from `start`, until no place of a row moves by more than `tolerance` (1 + |z|).

    The tolerance is 8 eps of the dtype unless given. A row that has arrived stays, so that it does not depend on
    the others. First derivatives, with respect to all that `function` is made of, are those of the exact fixed point.
    `solved.residual` is the last |F(z) - z|.

    Raises `ConvergenceError` when a row has not arrived after `most` iterations.

    >>> z, solved = fixed_point(lambda z: torch.cos(z), torch.zeros(1, 1))
    >>> z
    tensor([[0.7391]])
    """
    tolerance = 8 * torch.finfo(start.dtype).eps if tolerance is None else tolerance
    with torch.no_grad():
        z, iterations = _iterate(function, start.detach(), tolerance, most, "the iteration")
    out = function(z)
    solved = Solved(iterations, float((out - z).detach().abs().max()) if z.numel() else 0.0)
    if not out.requires_grad:
        return z, solved
    at = z.clone().requires_grad_()
    with torch.enable_grad():
        value = function(at)

    def implicit(gradient: Tensor | None) -> Tensor | None:
        if gradient is None or not value.requires_grad:
            return gradient

        def pulled_back(v: Tensor) -> Tensor:
            (product,) = torch.autograd.grad(value, at, v, retain_graph=True, allow_unused=True)
            return gradient if product is None else gradient + product

        with torch.no_grad():
            return _iterate(pulled_back, gradient, tolerance, most, "the backward pass")[0]

    # Zero added to z, with the gradient of one application: the hook turns it into that of the fixed point.
    one = out - out.detach()
    one.register_hook(implicit)
    return z + one, solved


def _iterate(
    function: Callable[[Tensor], Tensor], z: Tensor, tolerance: float, most: int, what: str
) -> tuple[Tensor, int]:
    arrived = torch.zeros(len(z), dtype=torch.bool, device=z.device)
    if not z.numel():
        return z, 0
    moved = z.new_zeros(len(z))
    for iteration in range(1, most + 1):
        new = function(z)
        moved = ((new - z).abs() / (1 + z.abs())).flatten(1).amax(1) if z.ndim > 1 else (new - z).abs() / (1 + z.abs())
        z = torch.where(expand_right(arrived, z), z, new)
        arrived = arrived | (moved <= tolerance)
        if bool(arrived.all()):
            return z, iteration
        if not bool(torch.isfinite(moved).all()):
            break
    raise ConvergenceError(f"expected {what} to come to rest within {most} iterations, got {int((~arrived).sum())} of {len(z)} rows that still move, by up to "
                           f"{float(moved.max()):.2g} relative; the map does not contract there (a Lipschitz constant at or above 1)")  # fmt: skip
