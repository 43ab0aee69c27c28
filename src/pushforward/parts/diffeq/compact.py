"""Adaptive solves from one time to another that spend no evaluation on samples that have arrived.

`solve` lets samples that have arrived wait in the batch, so that nothing but the last look waits for a device. On a CPU it
is cheaper to take them out: a batch whose slowest sample takes three times the mean number of steps costs a third. The
accepted steps (t, h, y) of every sample are kept, and nothing else; the backward pass takes the last step of all samples
at once, then the one before it, and so on, each replayed with a graph of its own. Steps that were rejected, and the stage
that only estimates the error, have no part in it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pushforward.core.solver import Solver

from .solvers import bosh3, dopri5, tsit5
from .solvers.runge_kutta import Tableau, combine, init, step
from .step_size import PID, error_norm, first_step
from .terms import ODETerm

TABLEAUX: dict[type, Tableau] = {
    bosh3.Bosh3: bosh3.TABLEAU,
    dopri5.Dopri5: dopri5.TABLEAU,
    tsit5.Tsit5: tsit5.TABLEAU,
}
REPLAYED = 4096  # rows at once in the backward pass, which bounds its memory
Rate = Callable[[Tensor, Tensor, Tensor], Tensor]  # (t (m,), y (m, D), which rows of the batch (m,)) -> dy/dt (m, D)


class Steps(NamedTuple):
    """The accepted steps of all samples, in the order they were taken: whose, from when, how long, from where."""

    rows: Tensor
    t: Tensor
    h: Tensor
    y: Tensor


def solve_rows(rate: Rate, y0: Tensor, t0: float, t1: float, tensors: Sequence[Tensor], *, solver: Solver, rtol: float,
               atol: float, max_steps: int = 10_000) -> Tensor | None:  # fmt: skip
    """y at t1, `(n, D)`, from y0 at t0, with gradients to y0 and to the `tensors` that `rate` uses.

    Every sample has steps of its own, those of `solve`. None where a sample does not arrive: `solve` says why. First
    derivatives only, and `rate` must give the same in the backward pass.

    >>> solve_rows(lambda t, y, rows: -y, torch.ones(2, 1), 0.0, 1.0, [], solver=dopri5.Dopri5(), rtol=1e-5, atol=1e-5).exp()
    tensor([[1.4447],
            [1.4447]])
    """
    tableau = TABLEAUX[type(solver)]
    with torch.no_grad():
        found = _walk(rate, y0.detach(), t0, t1, tableau, solver.order, rtol, atol, max_steps)
    if found is None or not torch.is_grad_enabled():
        return None if found is None else found[0]
    return _Replayed.apply([found[0]], rate, tableau, found[1], y0, *tensors)  # pyright: ignore[reportReturnType]


def _walk(rate: Rate, y: Tensor, t0: float, t1: float, tableau: Tableau, order: int, rtol: float, atol: float,
          max_steps: int) -> tuple[Tensor, Steps] | None:  # fmt: skip
    """All samples from t0 to t1, without a graph."""
    rows, out, pid = torch.arange(len(y)), torch.empty_like(y), PID()
    t, norm = y.new_full((len(y),), t0), error_norm(rtol, atol, y)
    terms = [ODETerm(lambda t, y: rate(t, y, rows))]
    carry = init(tableau, terms, t, y)
    assert carry.first is not None
    field, end = carry.first[0], torch.full_like(t, t1)
    least = 8 * torch.finfo(y.dtype).eps * max(abs(t0), abs(t1)) * (1 if t1 > t0 else -1)
    nearer, farther = (torch.minimum, torch.maximum) if t1 > t0 else (torch.maximum, torch.minimum)
    shortest = torch.full_like(t, least)
    h = farther(first_step(terms[0].vector_field, t, end - t, y, field, order, norm), shortest)
    memory, taken = pid.start(h), list[Steps]()
    for _ in range(max_steps):
        then = nearer(t + h, end)
        y1, error, carry, _ = step(tableau, terms, t, then, y, carry._replace(first=(field,), workspace=None))
        assert error is not None
        assert carry.first is not None
        size = norm(error, y, y1)
        accept = size <= 1
        factor, _ = pid.next(size, accept, memory, order)
        if bool((~accept & ((then - t).abs() <= 1.25 * abs(least))).any()):
            return None
        h = farther((then - t) * factor, shortest)
        taken.append(Steps(rows, t, then - t, y) if bool(accept.all()) else _chosen(accept, rows, t, then - t, y))
        mask = accept.unsqueeze(1)
        t, y, field = torch.where(accept, then, t), torch.where(mask, y1, y), torch.where(mask, carry.first[0], field)
        going = t != end
        if not bool(going.all()):
            out[rows[~going]] = y[~going]
            rows, t, end, h, shortest = (value[going] for value in (rows, t, end, h, shortest))
            y, field = y[going], field[going]
        if not len(rows):
            return out, Steps(*[torch.cat(column) for column in zip(*taken)])
    return None


def _chosen(mask: Tensor, *columns: Tensor) -> Steps:
    return Steps(*[column[mask] for column in columns])


class _Replayed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, holder: list[Tensor], rate: Rate, tableau: Tableau, steps: Steps, y0: Tensor,
                *tensors: Tensor) -> Tensor:  # fmt: skip
        ctx.rate, ctx.tableau, ctx.steps = rate, tableau, steps
        ctx.save_for_backward(*tensors)  # so that one which is changed in place before the backward pass is noticed
        return holder.pop()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, to_y: Tensor) -> tuple[Tensor | None, ...]:
        to_y, steps, tensors = to_y.clone(), ctx.steps, ctx.saved_tensors
        wanted = [i for i, tensor in enumerate(tensors) if tensor.requires_grad]
        totals: list[Tensor | None] = [None] * len(tensors)
        for group in _from_the_end(steps.rows, len(to_y)):
            for part in group.split(REPLAYED):
                rows = steps.rows[part]
                with torch.enable_grad():
                    y = steps.y[part].requires_grad_()
                    y1 = _step(ctx.rate, ctx.tableau, steps.t[part], steps.h[part], y, rows)
                found = torch.autograd.grad(y1, [y, *[tensors[i] for i in wanted]], to_y[rows], allow_unused=True)
                to_y[rows] = found[0]
                for i, value in zip(wanted, found[1:]):
                    if value is not None:
                        totals[i] = value if totals[i] is None else totals[i] + value  # pyright: ignore[reportOptionalOperand]
        return None, None, None, None, to_y, *totals


def _from_the_end(rows: Tensor, n: int) -> list[Tensor]:
    """Which of the steps are the last of their rows, which are the last but one, and so on."""
    order = torch.argsort(rows, stable=True)  # by row, in the order they were taken
    counts = torch.bincount(rows, minlength=n)
    place = torch.arange(len(rows)) - (counts.cumsum(0) - counts)[rows[order]]
    back = counts[rows[order]] - 1 - place
    by_place = torch.argsort(back, stable=True)
    return list(order[by_place].split(torch.bincount(back).tolist()))


def _step(rate: Rate, tableau: Tableau, t: Tensor, h: Tensor, y0: Tensor, rows: Tensor) -> Tensor:
    """y after one step, by the stages that it depends on."""
    stages: list[Tensor] = []
    length = h.unsqueeze(1)
    for row, c in zip(tableau.a[:-1], tableau.c):
        y = combine(y0, row, stages, 1.0) if row else y0
        stages.append(rate(torch.add(t, h, alpha=c), y, rows) * length)
    return combine(y0, tableau.b[:-1], stages, 1.0)
