"""Any one-step method made reversible: exact gradients of its own steps, from a memory that does not grow with them.

Two states y and z, equal at the start, are moved in turns. With the increment Psi_h(t, y) = Phi_h(t, y) - y of one step
of length h of any solver Phi, and 0 < lambda <= 1,

    y_{n+1} = lambda y_n + (1 - lambda) z_n + Psi_h(t_n, z_n),        z_{n+1} = z_n - Psi_{-h}(t_{n+1}, y_{n+1}),

which can be solved for what came before, z_n first and then y_n. So the backward pass has the states of every step
again, up to rounding, and differentiates exactly the steps that were taken. The order is that of the solver; a step
evaluates the field twice as often. Where the equation contracts at rate k, the difference of y and z grows at rate
k - (1 - lambda) / h; undoing a step multiplies rounding by 1/lambda (McCallum and Foster, 2024, Efficient, Accurate and Stable Gradients for
Neural ODEs, https://arxiv.org/abs/2410.11648, section 3).

Both states are kept at the save times, where the backward pass starts afresh and sees how far rounding has taken it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pushforward.core.shapes import expand_right
from pushforward.core.solver import Solver
from pushforward.core.term import Term

from .attached import add
from .captured import Captured
from .fixed import Grid
from .solution import SolveError

COUPLING = 0.999  # lambda
APART = 0.05  # how far, relative to their size, y and z may come apart
DRIFT = 1e-3  # how far, relative to its size, a rebuilt state may be from the one that was kept


def increment(terms: Sequence[Term], solver: Solver, t0: Tensor, t1: Tensor, y: Tensor) -> Tensor:
    """Psi: what one step of the solver from t0 to t1, forward or backward, adds to y."""
    return solver.step(terms, t0, t1, y, solver.init(terms, t0, y))[0] - y


def advance(terms: Sequence[Term], solver: Solver, t0: Tensor, t1: Tensor, y: Tensor,
            z: Tensor) -> tuple[Tensor, Tensor]:  # fmt: skip
    """One reversible step of both states."""
    y1 = COUPLING * y + (1 - COUPLING) * z + increment(terms, solver, t0, t1, z)
    return y1, z - increment(terms, solver, t1, t0, y1)


def solve_reversible(terms: Sequence[Term], y0: Tensor, t: Tensor, solver: Solver,
                     step: float | None) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """y and z at the save times `(n, T)`, `(T, n, *event)` each, and the number of steps of each sample.

    What the solver leaves of y - z grows as fast as the equation contracts, lambda damps it by little, and neither
    state is a solution when they are far apart: raises `SolveError`.
    """
    grid, y, z = Grid(t, step), y0, y0
    kept_y, kept_z = [y0], [y0]
    for column in range(t.shape[1] - 1):
        a, b = t[:, column], t[:, column + 1]
        for i in range(grid.most[column]):
            start, end, active = steps_of(grid, column, i, a, b)
            y1, z1 = advance(terms, solver, start, end, y, z)
            y, z = keep(active, y1, y), keep(active, z1, z)
        kept_y.append(y)
        kept_z.append(z)
    ys, zs = torch.stack(kept_y), torch.stack(kept_z)
    size, gap = (x.reshape(len(ys), len(y0), -1).abs().amax((0, 2)) for x in (ys, ys - zs))
    far = gap > APART * size.clamp(min=1e-6)
    if bool(far.any()):
        raise SolveError(
            f"expected the two states of reversible steps to stay together, got {int(far.sum())} of {len(far)} samples "
            f"in which they do not, the first in row {int(far.long().argmax())}; the equation contracts too fast: take a "
            'much smaller step_size, or pass gradient="checkpointed"'
        )
    return ys, zs, grid.counts.sum(1)


def steps_of(grid: Grid, column: int, i: int, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """As `Grid.step`, but a sample that is through stays where it is, at the end of the interval."""
    start, end, active = grid.step(column, i, a, b)
    return (
        (start, end, None) if active is None else (torch.where(active, start, b), torch.where(active, end, b), active)
    )


def keep(active: Tensor | None, new: Tensor, old: Tensor) -> Tensor:
    """`new` for the samples that take the step."""
    return new if active is None else torch.where(expand_right(active, new), new, old)


class Undo:
    """The gradient rule of one reversible solve: it undoes the steps one by one and differentiates each.

    `z` is the second state at the save times, `(T, n, *event)`. Its call raises `SolveError` where rounding has grown so
    much that the rebuilt states are not those of the forward pass.
    """

    def __init__(
        self, terms: Sequence[Term], solver: Solver, step: float | None, captured: Captured, t: Tensor, z: Tensor
    ):
        self.terms, self.solver, self.captured, self.t, self.z = terms, solver, captured, t.detach(), z
        self.grid, self.checked = Grid(self.t, step), False

    def __call__(self, y: Tensor, cotangent: Tensor, with_t: bool) -> tuple[Tensor, Tensor | None, list[Tensor | None]]:
        """Gradients of sum(cotangent * y) to y0, t and the captured tensors."""
        to_t = torch.zeros_like(self.t) if with_t else None
        totals: list[Tensor | None] = [None] * len(self.captured.tensors)
        size = torch.stack([y, self.z]).abs().amax()
        drift = torch.zeros_like(size)
        to_y, to_z = torch.zeros_like(cotangent[-1]), torch.zeros_like(cotangent[-1])
        for column in reversed(range(len(y) - 1)):
            state, to_y = (y[column + 1], self.z[column + 1]), to_y + cotangent[column + 1]
            a, b = self.t[:, column], self.t[:, column + 1]
            for i in reversed(range(self.grid.most[column])):
                start, end, active = steps_of(self.grid, column, i, a, b)
                state, (to_y, to_z), to_times = self._undo(start, end, active, state, (to_y, to_z), totals, with_t)
                if to_t is not None:
                    own = self.grid.counts[:, column]
                    last = (
                        i + 1 >= own
                    )  # its end is the save time itself; any other moves with the start of the interval
                    to_t[:, column] += to_times[0] + torch.where(last, 0.0, to_times[1])
                    to_t[:, column + 1] += torch.where(last, to_times[1], 0.0)
            rebuilt = torch.maximum((state[0] - y[column]).abs().amax(), (state[1] - self.z[column]).abs().amax())
            drift = torch.maximum(drift, rebuilt)
        if not bool(drift <= DRIFT * size):
            self._drifted(float(drift / size))
        return to_y + to_z + cotangent[0], to_t, totals

    def _undo(self, start: Tensor, end: Tensor, active: Tensor | None, state: tuple[Tensor, Tensor],
              gradients: tuple[Tensor, Tensor], totals: list[Tensor | None],
              with_t: bool) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], list[Tensor]]:  # fmt: skip
        """The states before one step, the gradients to them, and those to the two times of the step."""
        (y1, z1), (to_y1, to_z1) = state, gradients
        times = [value.detach().requires_grad_(with_t) for value in (start, end)]
        with torch.enable_grad(), self.captured.evaluation():
            y_leaf = y1.detach().requires_grad_()
            down = increment(self.terms, self.solver, times[1], times[0], y_leaf)
        z0 = keep(active, z1 + down.detach(), z1)
        with torch.enable_grad(), self.captured.evaluation():
            z_leaf = z0.detach().requires_grad_()
            up = increment(self.terms, self.solver, times[0], times[1], z_leaf)
        y0 = keep(active, (y1 - (1 - COUPLING) * z0 - up.detach()) / COUPLING, y1)
        if not self.checked:
            self.captured.check([up, down], [y_leaf, z_leaf, *times])
            self.checked = True
        to_times = [torch.zeros_like(start), torch.zeros_like(start)]
        through = self._pull(down, y_leaf, -keep(active, to_z1, torch.zeros_like(to_z1)), times, to_times, totals)
        to_y = to_y1 + through
        onward = keep(active, to_y, torch.zeros_like(to_y))
        through = self._pull(up, z_leaf, onward, times, to_times, totals)
        to_z = to_z1 + (1 - COUPLING) * onward + through
        return (y0, z0), (keep(active, COUPLING * to_y, to_y1), keep(active, to_z, to_z1)), to_times

    def _pull(self, value: Tensor, leaf: Tensor, cotangent: Tensor, times: list[Tensor], to_times: list[Tensor],
              totals: list[Tensor | None]) -> Tensor:  # fmt: skip
        """The gradient to `leaf`; those to the times and to the captured tensors are added up."""
        with_t = times if times[0].requires_grad else []
        wanted = [leaf, *with_t, *self.captured.inputs]
        found = torch.autograd.grad(value, wanted, cotangent, allow_unused=True)
        for i in range(len(with_t)):
            if found[1 + i] is not None:
                to_times[i] += found[1 + i]
        add(totals, found[1 + len(with_t) :])
        return torch.zeros_like(leaf) if found[0] is None else found[0]

    def _drifted(self, drift: float) -> None:
        raise SolveError(
            "expected the backward pass to rebuild the states of the forward pass, got states off by "
            f"{100 * drift:.2g} % of the largest; an equation that contracts too fast for the steps grows rounding on the "
            'way back: take a smaller step_size, more save times or float64, or pass gradient="checkpointed"'
        )
