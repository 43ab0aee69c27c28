"""Terms of a differential equation dy = sum_i f_i(t, y) dX_i: dX = dt for an ODE, dX(t) along a path for a CDE.

Kidger, 2022, On Neural Differential Equations, https://arxiv.org/abs/2202.02435, chapters 3 and 5.
"""

import copy
import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.registry import register
from pushforward.core.shapes import expand_right
from pushforward.core.term import Term

Field = Callable[[Tensor, Tensor], Tensor]


@runtime_checkable
class ControlPath(Protocol):
    """A path X that drives a controlled differential equation: `evaluate(t)` is X(t), `(n, channels)`, at t `(n,)`."""

    def evaluate(self, t: Tensor) -> Tensor:
        """X(t), row i at time t[i]."""
        ...


@register
class ODETerm(Term):
    """f(t, y) dt, for t `(n,)`, y `(n, *event)` and f(t, y) of the shape of y.

    Raises `ShapeError` when f gives another shape, which would broadcast in silence, or a wider dtype.

    >>> ODETerm(lambda t, y: -y).vector_field(torch.zeros(2), torch.ones(2, 1))
    tensor([[-1.],
            [-1.]])
    """

    def __init__(self, f: Field):
        self.f = f

    def vector_field(self, t: Tensor, y: Tensor) -> Tensor:
        """f(t, y), `(n, *event)`."""
        f = self.f(t, y)
        if f.shape != y.shape or f.dtype != y.dtype:
            return _same_kind(f, y)
        return f

    def control(self, t0: Tensor, t1: Tensor) -> Tensor:
        """t1 - t0, `(n,)`."""
        return t1 - t0

    def product(self, f: Tensor, increment: Tensor) -> Tensor:
        """f (t1 - t0), `(n, *event)`."""
        return f * expand_right(increment, f)


@register
class ControlTerm(Term):
    """f(t, y) dX(t), for f(t, y) `(n, *event, channels)` and a path X with `channels` channels.

    The increment of a step is X(t1) - X(t0), as if X were straight in between: exact for a path that is piecewise
    linear between the times of the steps, of second order at most for a curved one of several channels. For a smooth
    path take `as_ode`, which has the full order of the solver and may be solved with adaptive steps.

    >>> class Line:
    ...     def evaluate(self, t):
    ...         return torch.stack([t, 2 * t], -1)
    >>> term = ControlTerm(lambda t, y: torch.ones(*y.shape, 2), Line())
    >>> term.product(term.vector_field(torch.zeros(1), torch.zeros(1, 1)), term.control(torch.zeros(1), torch.ones(1)))
    tensor([[3.]])
    """

    def __init__(self, f: Field, path: ControlPath):
        self.f, self.path = f, path

    def vector_field(self, t: Tensor, y: Tensor) -> Tensor:
        """f(t, y), `(n, *event, channels)`."""
        f = self.f(t, y)
        if f.shape[:-1] != y.shape:
            raise ShapeError(
                f"expected f(t, y) of shape {(*y.shape, 'channels')}, got {tuple(f.shape)}; return a column per channel"
            )
        return f

    def control(self, t0: Tensor, t1: Tensor) -> Tensor:
        """X(t1) - X(t0), `(n, channels)`."""
        return self.path.evaluate(t1) - self.path.evaluate(t0)

    def product(self, f: Tensor, increment: Tensor) -> Tensor:
        """f times the increment, summed over the channels: `(n, *event)`."""
        rows, channels = f.shape[0], f.shape[-1]
        return torch.bmm(f.reshape(rows, math.prod(f.shape[1:-1]), channels), increment.unsqueeze(-1)).reshape(
            f.shape[:-1]
        )

    def as_ode(self) -> ODETerm:
        """The same equation as f(t, y) X'(t) dt, with X' by autodiff."""

        def field(t: Tensor, y: Tensor) -> Tensor:
            slope = torch.func.jvp(self.path.evaluate, (t,), (torch.ones_like(t),))[1]
            return self.product(self.vector_field(t, y), slope)

        return ODETerm(field)


def as_terms(terms: Term | Field | Sequence[Term | Field]) -> list[Term]:
    """Read a term, a bare f(t, y), or several of them; terms in dt are added up to one."""
    given = list(terms) if isinstance(terms, Sequence) else [terms]
    read: list[Term] = []
    for term in given:
        if isinstance(term, Term):
            read.append(term)
        elif callable(term):
            read.append(ODETerm(term))
        else:
            raise ConfigError(
                f"expected a Term or a function f(t, y), got {type(term).__name__}; wrap the field with ODETerm(f)"
            )
    if not read:
        raise ConfigError("expected at least one term, got none; pass a function f(t, y)")
    if len(read) > 1 and is_ode(read):
        return [ODETerm(lambda t, y: reduce(torch.add, [term.vector_field(t, y) for term in read]))]
    return read


def is_ode(terms: Sequence[Term]) -> bool:
    """Whether every term is in dt."""
    return all(isinstance(term, ODETerm) for term in terms)


class Counter:
    """How often a vector field was called."""

    def __init__(self) -> None:
        self.calls = 0

    def watch(self, terms: Sequence[Term]) -> list[Term]:
        """The same terms; calls of the first one are counted, and every term is called as often."""
        inner, twin = terms[0].vector_field, copy.copy(terms[0])

        def vector_field(t: Tensor, y: Tensor) -> Tensor:
            self.calls += 1
            return inner(t, y)

        object.__setattr__(twin, "vector_field", vector_field)
        return [twin, *terms[1:]]


def _same_kind(f: Tensor, y: Tensor) -> Tensor:
    """f in the dtype of y, which autocast may have narrowed; anything else is the caller's mistake."""
    if f.shape != y.shape:
        raise ShapeError(f"expected f(t, y) of the shape of y, {tuple(y.shape)}, got {tuple(f.shape)}; "
                         "t has shape (n,): give it trailing dimensions before it meets y")  # fmt: skip
    if not f.is_floating_point() or torch.promote_types(f.dtype, y.dtype) != y.dtype:
        raise ShapeError(
            f"expected f(t, y) of dtype {y.dtype}, got {f.dtype}; convert the constants in f, or the state"
        )
    return f.to(y.dtype)
