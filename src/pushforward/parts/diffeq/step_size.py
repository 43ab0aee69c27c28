"""Step sizes: the error norm, the first step, and the PID controller of the steps after it.

Soderlind, 2003, Digital filters in adaptive time-stepping, https://doi.org/10.1145/641876.641877; Hairer, Norsett and
Wanner, 1993, Solving Ordinary Differential Equations I, section II.4.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pushforward.core.shapes import expand_right

Norm = Callable[[Tensor, Tensor, Tensor], Tensor]

SMALLEST_NORM = 1e-4  # the least that the controller remembers; an error of 0 would forbid to grow for good


@dataclass(frozen=True)
class PID:
    """A controller of step sizes, for each sample apart.

    With E_n the error of step n in units of the tolerance and k the order of the solver, the next step is longer by

        safety * E_n^(-(I + P + D)/k) * E_{n-1}^((P + 2 D)/k) * E_{n-2}^(-D/k),

    between `shrink` and `grow`; E_n <= 1 accepts the step. P = D = 0 is the classical controller.

    >>> PID(proportional=0.4, integral=0.3)
    PID(proportional=0.4, integral=0.3, derivative=0.0, safety=0.9, shrink=0.2, grow=10.0, first_step=None)
    """

    proportional: float = 0.0
    integral: float = 1.0
    derivative: float = 0.0
    safety: float = 0.9
    shrink: float = 0.2
    grow: float = 10.0
    first_step: float | None = None  # a length of time; None means the rule of `first_step` below

    def start(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the controller remembers: E_{n-1} and E_{n-2}, and its own lower limit as a tensor."""
        return torch.ones_like(like), torch.ones_like(like), like.new_full((), self.shrink)

    def next(self, norm: Tensor, accept: Tensor, memory: tuple[Tensor, Tensor, Tensor],
             order: int) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:  # fmt: skip
        """The factor from this step to the next, `(n,)`, and the memory after it. A NaN shrinks the step."""
        p, i, d = self.proportional / order, self.integral / order, self.derivative / order
        before, earlier, least = memory
        factor = norm.pow(-(p + i + d)).mul_(self.safety)
        if p or d:
            factor.mul_(before.pow(p + 2 * d)).mul_(earlier.pow(-d))
            earlier = torch.where(accept, before, earlier)
            before = torch.where(accept, norm.clamp(min=SMALLEST_NORM), before)
        # fmax, not maximum: it ignores a NaN. A norm of 0 gives infinity here, and the upper limit.
        return torch.fmax(factor, least).clamp_(max=self.grow), (before, earlier, least)


def error_norm(rtol: float, atol: float, y0: Tensor) -> Norm:
    """The function (error, y0, y1) -> root mean square of error / (atol + rtol max(|y0|, |y1|)) in each row."""
    dims = tuple(range(1, y0.ndim))
    root = math.sqrt(max(1, math.prod(y0.shape[1:])))  # into the tolerances, so that the norm itself is a plain 2-norm
    relative, absolute = rtol * root, y0.new_full((), atol * root)

    def norm(error: Tensor, y0: Tensor, y1: Tensor) -> Tensor:
        scale = torch.add(absolute, torch.maximum(y0.abs(), y1.abs()), alpha=relative)
        # Zero times infinity is NaN: a step to an infinite state must not pass, whatever its error estimate says.
        ratio = torch.add(error, y1, alpha=0.0).div_(scale)
        return torch.linalg.vector_norm(ratio, dim=dims) if dims else ratio.abs_()

    return norm


def first_step(field: Callable[[Tensor, Tensor], Tensor], t0: Tensor, span: Tensor, y0: Tensor, f0: Tensor, order: int,
               norm: Norm) -> Tensor:  # fmt: skip
    """A first step of the right size, `(n,)`, with the sign of `span` (Hairer, Norsett and Wanner, section II.4).

    One explicit Euler step measures how fast the field changes. Where that meets something infinite the step is 0,
    and the caller has a floor.
    """
    length, sign = span.abs(), span.sign()
    d0, d1 = norm(y0, y0, y0), norm(f0, y0, y0)
    h0 = torch.where((d0 < 1e-5) | (d1 < 1e-5), 1e-6 * length, 0.01 * d0 / d1).minimum(length)
    move = h0 * sign
    f1 = field(t0 + move, torch.addcmul(y0, expand_right(move, y0), f0))
    steepest = torch.maximum(d1, norm(f1 - f0, y0, y0) / h0)
    h1 = torch.where(steepest <= 1e-15, torch.maximum(1e-6 * length, 1e-3 * h0), (0.01 / steepest) ** (1 / order))
    h = torch.minimum(100 * h0, h1).minimum(length)
    h = torch.where(h.isfinite(), h, 0.01 * h0)
    return torch.where(h.isfinite(), h, torch.zeros_like(h)) * sign
