"""Gradients of the reversible Heun method: its steps are undone one by one, each with one evaluation of f and g.

With the fields F = (f, g) and the increments d = (h, dW) of a step, y and its companion z move by

    z_{k+1} = 2 y_k - z_k + F(z_k) d_k,      y_{k+1} = y_k + (1/2) (F(z_k) + F(z_{k+1})) d_k.

Let a, b and c be the gradients to y_k, to z_k directly and to the value F(z_k) that the step from k uses. Going back from
k + 1, with b' = b_{k+1} + DF(z_{k+1})^T (c_{k+1} + (1/2) a_{k+1} d_k),

    a_k = a_{k+1} + 2 b',      b_k = -b',      c_k = ((1/2) a_{k+1} + b') d_k

(Kidger, Foster, Li and Lyons, 2021, https://arxiv.org/abs/2105.13493, algorithm 2, with the one evaluation shared by the
two steps that meet at k + 1). Both states are kept at the save times, where the backward pass starts afresh.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pushforward.core.shapes import expand_right, sum_event
from pushforward.core.term import Term

from .attached import add
from .captured import Captured
from .fixed import Grid
from .reversible import DRIFT, keep, steps_of
from .solution import SolveError
from .solvers import reversible_heun
from .solvers.reversible_heun import Companion, ReversibleHeun
from .stochastic_terms import DiffusionTerm, seek

Pulled = tuple[Tensor, Tensor, Tensor]  # to y, to z, and to the values of f and g in one: see `_Values`


def solve_heun(terms: Sequence[Term], y0: Tensor, t: Tensor, solver: ReversibleHeun,
               grid: Grid) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """y and z at the save times `(n, T)`, `(T, n, *event)` each, and the number of steps of each sample."""
    y, state = y0, solver.init(terms, t[:, 0], y0)
    kept_y, kept_z = [y], [state.z]
    for place, (column, i) in enumerate(grid.places):
        if grid.most[column]:
            start, end, active = steps_of(grid, column, i, t[:, column], t[:, column + 1])
            seek(terms, place if grid.shared else (column, i))
            y1, _, after = solver.step(terms, start, end, y, state)
            y, state = keep(active, y1, y), Companion(*(keep(active, a, b) for a, b in zip(after, state)))
        if i + 1 >= grid.most[column]:
            kept_y.append(y)
            kept_z.append(state.z)
    return torch.stack(kept_y), torch.stack(kept_z), grid.counts.sum(1)


class UndoHeun:
    """The gradient rule of one solve by the reversible Heun method; `z` is the companion at the save times, `(T, n, *event)`.

    Its call raises `SolveError` where rounding has grown so much that the rebuilt states are not those of the forward pass.
    """

    def __init__(
        self, terms: Sequence[Term], step: float | None, captured: Captured, t: Tensor, z: Tensor, shared: bool
    ):
        self.terms, self.captured, self.t, self.z = terms, captured, t.detach(), z
        self.grid, self.checked = Grid(self.t, step, shared), False
        self.noise = next((term for term in terms if isinstance(term, DiffusionTerm)), None)

    def __call__(self, y: Tensor, cotangent: Tensor, with_t: bool) -> tuple[Tensor, Tensor | None, list[Tensor | None]]:
        """Gradients of sum(cotangent * y) to y0, t and the captured tensors."""
        totals: list[Tensor | None] = [None] * len(self.captured.tensors)
        to_t = torch.zeros_like(self.t) if with_t else None
        size = torch.stack([y, self.z]).abs().amax()
        drift = torch.zeros_like(size)
        a, b, c = torch.zeros_like(y[-1]), torch.zeros_like(y[-1]), None
        state = y[-1], self.z[-1]
        for place in reversed(range(len(self.grid.places))):
            column, i = self.grid.places[place]
            if i + 1 >= self.grid.most[column]:
                state, a = (y[column + 1], self.z[column + 1]), a + cotangent[column + 1]
            if self.grid.most[column]:
                seek(self.terms, place if self.grid.shared else (column, i))
                times = steps_of(self.grid, column, i, self.t[:, column], self.t[:, column + 1])
                state, (a, b, c), moved = self._undo(*times, state, a, b, c, totals, with_t)
                if to_t is not None and moved is not None:
                    last = i + 1 >= self.grid.counts[:, column]
                    to_t[:, column] += moved[0] + torch.where(last, 0.0, moved[1])
                    to_t[:, column + 1] += torch.where(last, moved[1], 0.0)
            if i == 0:
                rebuilt = torch.maximum((state[0] - y[column]).abs().amax(), (state[1] - self.z[column]).abs().amax())
                drift = torch.maximum(drift, rebuilt)
        seek(self.terms, None)
        if not bool(drift <= DRIFT * size):
            self._drifted(float(drift / size))
        start = self.t[:, 0]
        if c is not None:
            leaf, time, values = self._evaluate(start, self.z[0], with_t)
            through, by_t = self._pull(leaf, time, values, c, totals)
            b = b + through
            if to_t is not None and by_t is not None:
                to_t[:, 0] += by_t
        return a + b + cotangent[0], to_t, totals

    def _evaluate(self, t: Tensor, z: Tensor, with_t: bool) -> tuple[Tensor, Tensor, Companion]:
        """f and g at z with a graph to z, and to t if wanted."""
        with torch.enable_grad(), self.captured.evaluation():
            leaf, time = z.detach().requires_grad_(), t.detach().requires_grad_(with_t)
            values = reversible_heun.fields(self.terms, time, leaf)
        if not self.checked:
            self.captured.check([x for x in values[1:] if x.requires_grad], [leaf, time])
            self.checked = True
        return leaf, time, values

    def _undo(self, start: Tensor, end: Tensor, active: Tensor | None, state: tuple[Tensor, Tensor], a: Tensor, b: Tensor,
              c: Companion | None, totals: list[Tensor | None], with_t: bool):  # fmt: skip
        """The states before one step, the gradients there, and those to the two times of the step."""
        (y1, z1), terms = state, self.terms
        dw = reversible_heun.increment(terms, start, end, y1)
        leaf, time, values = self._evaluate(end, z1, with_t)
        after = Companion(*(x.detach() for x in values))
        z0 = keep(
            active, reversible_heun.added(terms, torch.add(-z1, y1, alpha=2), end, start, after, _negative(dw)), z1
        )
        on = keep(active, a, torch.zeros_like(a))
        here = self._times_increment(0.5 * on, start, end, dw)
        if c is not None:
            here = Companion(on, *(x + keep(active, old, torch.zeros_like(old)) for x, old in zip(here[1:], c[1:])))
        through, by_t = self._pull(leaf, time, values, here, totals)
        whole = keep(active, b, torch.zeros_like(b)) + through
        fresh = self._times_increment(0.5 * on + whole, start, end, dw)
        before = reversible_heun.fields(terms, start, z0)
        y0 = reversible_heun.added(terms, y1, end, start, after, _negative(dw), 0.5)
        y0 = keep(active, reversible_heun.added(terms, y0, end, start, before, _negative(dw), 0.5), y1)
        if c is not None:
            fresh = Companion(on, *(keep(active, new, old) for new, old in zip(fresh[1:], c[1:])))
        moved = None
        if with_t and by_t is not None:
            by_h = sum_event(0.5 * on * (before.f + after.f) + whole * before.f)
            moved = -by_h, by_h + by_t
        return (y0, z0), (a + 2 * whole, keep(active, -whole, b), fresh), moved

    def _times_increment(self, v: Tensor, start: Tensor, end: Tensor, dw: Tensor | None) -> Companion:
        """The gradients to the values of f and g when that to their sum f h + g dW is v."""
        f = v * expand_right(end - start, v)
        if self.noise is None or dw is None:
            return Companion(v, f, v.new_empty(len(v), 0))
        matrix = dw.ndim == 2 and (self.noise.noise == "general" or self.noise.path.shape != v.shape[1:])
        g = v.unsqueeze(-1) * dw.reshape(len(v), *(1,) * (v.ndim - 1), -1) if matrix else v * expand_right(dw, v)
        return Companion(v, f, g)

    def _pull(self, leaf: Tensor, time: Tensor, values: Companion, to: Companion,
              totals: list[Tensor | None]) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        """The gradients to z and t through f and g; those to the captured tensors are added up."""
        pairs = [(x, g) for x, g in zip(values[1:], to[1:]) if x.requires_grad]
        if not pairs:
            return torch.zeros_like(leaf), torch.zeros_like(time) if time.requires_grad else None
        with_t = [time] if time.requires_grad else []
        wanted = [leaf, *with_t, *self.captured.inputs]
        found = torch.autograd.grad([x for x, _ in pairs], wanted, [g for _, g in pairs], allow_unused=True)
        add(totals, found[1 + len(with_t) :])
        by_t = None if not with_t else torch.zeros_like(time) if found[1] is None else found[1]
        return torch.zeros_like(leaf) if found[0] is None else found[0], by_t

    def _drifted(self, drift: float) -> None:
        raise SolveError(
            "expected the backward pass to rebuild the states of the forward pass, got states off by "
            f"{100 * drift:.2g} % of the largest; take a smaller step_size, more save times or float64, or pass "
            'gradient="checkpointed"'
        )


def _negative(dw: Tensor | None) -> Tensor | None:
    return None if dw is None else -dw
