"""One step of any explicit Runge-Kutta method, from its Butcher tableau.

k_i = f(t0 + c_i h, y0 + sum_{j<i} a_ij k_j) h,    y1 = y0 + sum_i b_i k_i,    error = sum_i e_i k_i,

where e = b - b_hat compares with a method of lower order that shares the stages, and f h stands for sum_m f_m dX_m
when there are several terms (Hairer, Norsett and Wanner, 1993, Solving Ordinary Differential Equations I, chapter II).

A step makes few and large operations: without gradients the stages lie in one buffer and each combination of them is
one matrix-vector product; with gradients, or when the step is one number for all samples and the method is short, it is
a chain of additions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pushforward.core.shapes import expand_right
from pushforward.core.term import Term
from pushforward.parts.diffeq.step_size import Norm, error_norm
from pushforward.parts.diffeq.terms import ODETerm

Row = tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Tableau:
    """A Butcher tableau. Row i of `a` makes stage i from those before it, so the first row is empty.

    `quartic` are the numbers d_i of a fourth-order dense output; without it dense output is the cubic Hermite one. A
    method of higher order has `interpolant`, its own dense output, for which the rows `extra` make more stages after the
    last. With `e_low`, a second and rougher estimate, the error is e |e| / sqrt(|e|^2 + |e_low|^2 / 100), with norms
    over the event in units of the tolerance.
    """

    a: tuple[Row, ...]
    b: Row
    c: Row
    e: Row | None = None
    quartic: Row | None = None
    e_low: Row | None = None
    extra: tuple[Row, ...] = ()
    interpolant: tuple[Row, ...] | None = None

    @cached_property
    def first_same_as_last(self) -> bool:
        """Whether the last stage is f(t1, y1), the first of the next step."""
        return len(self.b) > 1 and self.a[-1] == self.b[: len(self.a[-1])] and self.c[-1] == 1

    @cached_property
    def distinct(self) -> Row:
        """The nodes, each once."""
        return tuple(dict.fromkeys(self.c))

    def dense(self) -> tuple[Row, ...]:
        """w with y(t0 + theta h) = y0 + sum_i k_i sum_p w[i][p] theta^(p+1), for a method that is first same as last.

        The cubic that fits both ends and both slopes, theta k_1 + theta^2 (3 - 2 theta) (y1 - y0 - k_1)
        + theta^2 (theta - 1) (k_s - k_1), plus theta^2 (1 - theta)^2 sum_i d_i k_i, which changes neither.
        """
        if self.interpolant is not None:
            return self.interpolant
        last, rows = len(self.b) - 1, []
        for i, (b, d) in enumerate(zip(self.b, self.quartic or (0.0,) * len(self.b))):
            first, final = float(i == 0), float(i == last)
            rows.append((first, 3 * b - 2 * first - final + d, first + final - 2 * b - 2 * d, d))
        return tuple(rows)


class Workspace:
    """Memory for the stages of a step, with the views that a step needs made once."""

    def __init__(self, stages: Tensor):
        flat = stages.flatten(1)
        self.stages = stages  # (s, n, *event)
        self.rows = stages.unbind(0)
        self.matrices = [flat[:i].t() for i in range(len(stages) + 1)]


class Carry(NamedTuple):
    """What a step hands to the next: the fields at its end if they can be reused, memory, and the error norm if known."""

    first: tuple[Tensor, ...] | None = None
    workspace: Workspace | None = None
    norm: Norm | None = None


class Coefficients(NamedTuple):
    """A tableau as tensors."""

    rows: list[Tensor]
    extra: list[Tensor]
    error: Tensor | None
    low: Tensor | None
    nodes: Tensor


@lru_cache(maxsize=256)
def _coefficients(tableau: Tableau, dtype: torch.dtype, device: torch.device) -> Coefficients:
    with torch.inference_mode(False):  # kept for later calls, which may record gradients
        rows = tableau.a if tableau.first_same_as_last else (*tableau.a, tableau.b)
        made, extra = (
            [torch.tensor(row, dtype=dtype, device=device) for row in group] for group in (rows, tableau.extra)
        )
        error, low = (None if row is None else torch.tensor(row, dtype=dtype, device=device)
                      for row in (tableau.e, tableau.e_low))  # fmt: skip
        nodes = torch.tensor(tableau.c + tuple(map(sum, tableau.extra)), dtype=dtype, device=device).unsqueeze(1)
        return Coefficients(made, extra, error, low, nodes)


def methods(tableau: Tableau) -> tuple[Callable[..., Carry], Callable[..., Any], Callable[..., Any]]:
    """`init`, `step` and `step_dense` of the solver of a tableau, to be the methods of its class.

    Both steps also take times that all samples share, as numbers; a class that has them declares `float_times`.
    """

    def init_(self: Any, terms: Sequence[Term], t0: Tensor, y0: Tensor) -> Carry:
        """The field at the start, if the steps can reuse it."""
        return init(tableau, terms, t0, y0)

    def step_(self: Any, terms: Sequence[Term], t0: Tensor | float, t1: Tensor | float, y0: Tensor,
              state: Carry) -> tuple[Tensor, Tensor | None, Carry]:  # fmt: skip
        """y at t1, and an estimate of the local error if the method has one."""
        return step(tableau, terms, t0, t1, y0, state)[:3]

    def step_dense(self: Any, terms: Sequence[Term], t0: Tensor, t1: Tensor, y0: Tensor, state: Carry,
                   workspace: Workspace | None = None) -> tuple[Tensor, Tensor | None, Carry, Any]:  # fmt: skip
        """`step`, and the stages that dense output combines."""
        return step(tableau, terms, t0, t1, y0, state, workspace, dense=True)

    return init_, step_, step_dense


def init(tableau: Tableau, terms: Sequence[Term], t0: Tensor, y0: Tensor) -> Carry:
    """The fields at the start, for a method whose steps reuse them."""
    if not tableau.first_same_as_last:
        return Carry()
    return Carry(tuple(term.vector_field(t0, y0) for term in terms))


def step(tableau: Tableau, terms: Sequence[Term], t0: Tensor | float, t1: Tensor | float, y0: Tensor, carry: Carry,
         workspace: Workspace | None = None, dense: bool = False) -> tuple[Tensor, Tensor | None, Carry, Any]:  # fmt: skip
    """Return `(y1, error, carry, stages)`; times are `(n,)`, or two numbers that all samples share.

    `stages` are k_1 ... k_s, one tensor `(s, n, *event)` or a list, for dense output; with numbers for times, where
    stages need not be scaled by h, they are of no use.
    """
    times = _times(tableau, t0, t1, y0)
    if len(terms) == 1 and isinstance(terms[0], ODETerm):
        h, controls = t1 - t0, ()
        h = expand_right(h, y0) if isinstance(h, Tensor) else h
    else:
        start, end = (t if isinstance(t, Tensor) else y0.new_full((len(y0),), t) for t in (t0, t1))
        h, controls = None, tuple(term.control(start, end) for term in terms)
    if torch.is_grad_enabled() or (isinstance(h, float) and len(tableau.b) <= 4):
        return _chained(tableau, terms, times, h, controls, y0, carry, dense)
    carry = carry._replace(workspace=workspace or carry.workspace)
    return _buffered(tableau, terms, times, h, controls, y0, carry, dense)


def _times(tableau: Tableau, t0: Tensor | float, t1: Tensor | float, y0: Tensor) -> Sequence[Tensor]:
    """t0 + c_i h, `(n,)` each; t1 itself at c = 1, since a field may not be defined one rounding error beyond it."""
    if isinstance(t0, Tensor) and isinstance(t1, Tensor):
        return torch.lerp(t0, t1, _coefficients(tableau, t0.dtype, t0.device).nodes).unbind(0)
    rows, h = len(y0), t1 - t0
    made = {c: y0.new_full((rows,), float(t1 if c == 1 else t0 + c * h)) for c in tableau.distinct}
    return [made[c] for c in tableau.c]


def _buffered(tableau: Tableau, terms: Sequence[Term], times: Sequence[Tensor], h: Tensor | float | None,
              controls: Sequence[Tensor], y0: Tensor, carry: Carry,
              dense: bool) -> tuple[Tensor, Tensor | None, Carry, Tensor]:  # fmt: skip
    """The stages in one buffer: one multiplication and one matrix-vector product for each."""
    numbers, stages = _coefficients(tableau, y0.dtype, y0.device), len(tableau.b)
    rows = numbers.rows + numbers.extra if dense else numbers.rows  # extra ones only for methods that are FSAL
    work = carry.workspace or Workspace(y0.new_empty(stages + (len(tableau.extra) if dense else 0), *y0.shape))
    flat, shape = y0.reshape(-1), y0.shape
    y, fields, y1, last = y0, carry.first, y0, carry.first
    for i, row in enumerate(work.rows):
        if i > 0:
            y = torch.addmv(flat, work.matrices[i], rows[i]).view(shape)
            fields = None
        if fields is None:
            fields = tuple([term.vector_field(times[i], y) for term in terms])
        if h is None:
            row.copy_(_product(terms, fields, controls))
        else:
            torch.mul(fields[0], h, out=row)
        if i == stages - 1:
            y1, last = y, fields
    matrix, error = work.matrices[stages], None
    if numbers.error is not None:
        error = torch.mv(matrix, numbers.error).view(shape)
    if error is not None and numbers.low is not None:
        error = _sharpened(error, torch.mv(matrix, numbers.low).view(shape), y0, carry.norm)
    if tableau.first_same_as_last:
        return y1, error, Carry(last, work, carry.norm), work.stages
    return torch.addmv(flat, matrix, rows[stages]).view(shape), error, Carry(None, work, carry.norm), work.stages


def _chained(tableau: Tableau, terms: Sequence[Term], times: Sequence[Tensor], h: Tensor | float | None,
             controls: Sequence[Tensor], y0: Tensor, carry: Carry,
             dense: bool) -> tuple[Tensor, Tensor | None, Carry, list[Tensor]]:  # fmt: skip
    """The stages apart, combined by additions: differentiable, and the least work for a short method."""
    y, fields, y1, last, stages = y0, carry.first, y0, carry.first, []
    # When all samples share h, the numbers a_ij h scale the fields themselves and no stage is multiplied by h.
    scale = h if isinstance(h, float) else 1.0
    for i, row in enumerate(tableau.a + tableau.extra if dense else tableau.a):
        if i > 0:
            y, fields = combine(y0, row, stages, scale), None
        if fields is None:
            fields = tuple([term.vector_field(times[i], y) for term in terms])
        if h is None:
            stages.append(_product(terms, fields, controls))
        else:
            stages.append(fields[0] if isinstance(h, float) else fields[0] * h)
        if i == len(tableau.b) - 1:
            y1, last = y, fields
    error = None if tableau.e is None else combine(None, tableau.e, stages, scale)
    if error is not None and tableau.e_low is not None:
        error = _sharpened(error, combine(None, tableau.e_low, stages, scale), y0, carry.norm)
    if tableau.first_same_as_last:
        return y1, error, Carry(last, carry.workspace, carry.norm), stages
    return combine(y0, tableau.b, stages, scale), error, carry, stages


@torch.no_grad()
def _sharpened(error: Tensor, low: Tensor, y0: Tensor, norm: Norm | None) -> Tensor:
    """An estimate times |e| / sqrt(|e|^2 + |low|^2 / 100), at most 1: of higher order than it and the rougher one."""
    norm = norm or error_norm(0.0, 1.0, y0)
    size, rough = norm(error, y0, y0), norm(low, y0, y0)
    total = torch.hypot(size, 0.1 * rough)
    return error * expand_right(torch.where(total > 0, size / total, total), error)


def _product(terms: Sequence[Term], fields: Sequence[Tensor], controls: Sequence[Tensor]) -> Tensor:
    total = terms[0].product(fields[0], controls[0])
    for term, field, control in zip(terms[1:], fields[1:], controls[1:]):
        total = total + term.product(field, control)
    return total


def combine(y: Tensor | None, numbers: Row, stages: Sequence[Tensor], scale: float) -> Tensor:
    """y + scale * sum_i numbers[i] stages[i], by additions alone; y None stands for zero."""
    total, fresh, grad = y, False, torch.is_grad_enabled()
    for number, stage in zip(numbers, stages):
        if number == 0:
            continue
        if total is None:
            total = stage * (number * scale)
        elif fresh and not grad:
            total.add_(stage, alpha=number * scale)
        else:
            total = total.add(stage, alpha=number * scale)
        fresh = True
    if total is None:
        raise ValueError("a combination of no stages has no shape")
    return total
