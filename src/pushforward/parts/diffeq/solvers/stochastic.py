"""What the solvers of stochastic differential equations share: reading the terms, and the pieces of a step.

Times are `(n,)`, or two numbers that all samples share, which saves operations. Noise knows no direction: a step backwards
in time has drift f h with h < 0, and noise of variance |h|.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pushforward.core.shapes import expand_right
from pushforward.core.term import Term
from pushforward.parts.diffeq.stochastic_terms import DiffusionTerm

Times = Tensor | float


def time(t: Times, y: Tensor) -> Tensor:
    """t as `(n,)`."""
    return t if isinstance(t, Tensor) else y.new_full((y.shape[0],), t)


def drift(terms: Sequence[Term], t: Tensor, y: Tensor) -> Tensor | None:
    """The sum of the fields in dt; None where there is none."""
    total = None
    for term in terms:
        if not isinstance(term, DiffusionTerm):
            f = term.vector_field(t, y)
            total = f if total is None else total + f
    return total


def noise_of(terms: Sequence[Term]) -> DiffusionTerm | None:
    """The term in dW, if there is one."""
    for term in terms:
        if isinstance(term, DiffusionTerm):
            return term
    return None


def moved(y: Tensor, f: Tensor | None, t0: Times, t1: Times, weight: float = 1.0) -> Tensor:
    """y + weight f h, in one operation."""
    if f is None:
        return y
    if isinstance(t0, Tensor) or isinstance(t1, Tensor):
        return torch.addcmul(y, f, expand_right(torch.as_tensor(t1 - t0), f), value=weight)
    return torch.add(y, f, alpha=weight * (t1 - t0))


def between(t0: Times, t1: Times, part: float, y: Tensor) -> Tensor:
    """t0 + part h as `(n,)`; t1 itself at the end."""
    if isinstance(t0, Tensor) and isinstance(t1, Tensor):
        return torch.lerp(t0, t1, part)
    return time(t1 if part == 1 else t0 + part * (t1 - t0), y)


def length(t0: Times, t1: Times, like: Tensor) -> Tensor | float:
    """|h| to divide by, with dimensions to meet `like`; a step without length counts as the shortest there is."""
    tiny = torch.finfo(like.dtype).tiny
    if isinstance(t0, Tensor) or isinstance(t1, Tensor):
        return expand_right(torch.as_tensor(t1 - t0).detach().abs().clamp(min=tiny), like)
    return max(abs(t1 - t0), tiny)


def root(h: Tensor | float) -> Tensor | float:
    """sqrt(h)."""
    return h.sqrt() if isinstance(h, Tensor) else math.sqrt(h)
