"""Roots of increasing functions, element by element, with gradients by the implicit function theorem.

f(z, theta) = x  gives  dz/dx = 1 / f'(z)  and  dz/dtheta = -(df/dtheta) / f'(z): the iteration itself is not
differentiated. Newton's method kept inside a bracket, halved where Newton is slow (Press et al., Numerical Recipes, 9.4).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pushforward.core.errors import ConvergenceError
from pushforward.core.solved import Solved

DOUBLINGS = 120  # of the bracket: 2^120 is near the largest float32


def monotone_root(function: Callable[[Tensor], tuple[Tensor, Tensor]], target: Tensor, *, guess: Tensor | None = None,
                  most: int = 200) -> tuple[Tensor, Solved]:  # fmt: skip
    """z with f(z) = target, to the last few digits, for `function` z -> (f(z), log f'(z)), elementwise and increasing.

    The shape of z is that of `target`; each element has a bracket of its own, and its root does not depend on the others.
    First derivatives of z, with respect to `target` and to all that `function` is made of, are exact.

    Raises `ConvergenceError` where no z reaches a target, or after `most` iterations.

    >>> z, solved = monotone_root(lambda z: (z**3 + z, torch.log(3 * z**2 + 1)), torch.tensor([2.0, 10.0]))
    >>> z
    tensor([1., 2.])
    """
    with torch.no_grad():
        z, iterations = _newton(function, target.detach(), target.detach() if guess is None else guess.detach(), most)
    value, log_slope = function(z)
    solved = Solved(iterations, _largest((value - target).detach().abs()))
    if torch.is_grad_enabled():
        # Zero in value; its derivative is that of the theorem.
        gap = (value - value.detach()) - (target - target.detach())
        z = z - gap * torch.exp(-log_slope).detach()
    return z, solved


def _newton(
    function: Callable[[Tensor], tuple[Tensor, Tensor]], x: Tensor, guess: Tensor, most: int
) -> tuple[Tensor, int]:
    low, high = _bracket(function, x, guess)
    close = 2 * torch.finfo(x.dtype).eps
    z, step = torch.minimum(torch.maximum(guess, low), high), high - low
    done = torch.zeros_like(x, dtype=torch.bool)
    for iteration in range(1, most + 1):
        value, log_slope = function(z)
        gap = value - x
        low, high = torch.where(gap <= 0, z, low), torch.where(gap >= 0, z, high)
        newton, middle = z - gap * torch.exp(-log_slope), low + (high - low) / 2
        # Halve the bracket where Newton leaves it, is no number, or does not halve its own step.
        slow = ~((newton >= low) & (newton <= high) & ((newton - z).abs() <= step / 2))
        new = torch.where(slow, middle, newton)
        step = (new - z).abs()
        new = torch.where(done, z, new)
        done = done | (gap == 0) | (step <= close * z.abs()) | (high - low <= close * z.abs()) | (step == 0)
        z = new
        if iteration % 2 == 0 and bool(done.all()):
            return z, iteration
    raise ConvergenceError(f"expected roots within {most} iterations, got {int((~done).sum())} of {done.numel()} without; the function is not "
                           "increasing, or gives no finite numbers there")  # fmt: skip


def _bracket(function: Callable[[Tensor], tuple[Tensor, Tensor]], x: Tensor, guess: Tensor) -> tuple[Tensor, Tensor]:
    """Ends with f(low) <= x <= f(high), by doubling the distance from the guess."""
    low, high, width = guess - 0.5, guess + 0.5, torch.ones_like(x)
    for _ in range(DOUBLINGS):
        above, below = function(low)[0] > x, function(high)[0] < x
        if not bool((above | below).any()):
            if bool((x == x).all()):
                return low, high
            break
        width = 2 * width
        low, high = torch.where(above, low - width, low), torch.where(below, high + width, high)
    bad = x[~((function(low)[0] <= x) & (function(high)[0] >= x))]
    raise ConvergenceError(f"expected numbers that the map takes, got {bad.flatten()[0].item():g} and {bad.numel() - 1} others that it takes "
                           "nowhere; leave them out, or widen the map")  # fmt: skip


def _largest(error: Tensor) -> float:
    return float(error.max()) if error.numel() else 0.0
