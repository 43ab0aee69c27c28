"""Dense output: the states at the save times from the steps that happen to cover them, so that no step is cut short.

Within a step, y(t0 + theta h) = y0 + sum_i w_i(theta) k_i with the polynomials w_i that the solver declares. Steps are
recorded, and every few dozen of them all save times they cover are evaluated at once.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from pushforward.core.shapes import expand_right
from pushforward.core.term import Term

from .solvers.runge_kutta import Workspace

MOST_STEPS = 32  # steps recorded before they are evaluated
MEMORY = 1 << 26  # bytes that recorded steps may take, where fewer than MOST_STEPS would do


@runtime_checkable
class DenseSolver(Protocol):
    """A `Solver` with adaptive steps, which also give the stages k_i, and with the weights to interpolate by them.

    A solver that iterates to a tolerance may have a field `norm` in its state: it is set to the error norm of the solve.
    """

    order: int
    dense: tuple[tuple[float, ...], ...]  # w_i(theta) = sum_p dense[i][p] theta^(p+1)

    def init(self, terms: Sequence[Term], t0: Tensor, y0: Tensor) -> Any:
        """As `Solver.init`."""
        ...

    def step(self, terms: Sequence[Term], t0: Tensor, t1: Tensor, y0: Tensor, state: Any) -> tuple[Tensor, Any, Any]:
        """As `Solver.step`."""
        ...

    def step_dense(self, terms: Sequence[Term], t0: Tensor, t1: Tensor, y0: Tensor, state: Any,
                   workspace: Workspace | None) -> tuple[Tensor, Tensor, Any, Any]:  # fmt: skip
        """As `Solver.step`, and the stages, `(s, n, *event)` or a list of s tensors, which may lie in the workspace."""
        ...


def interpolate(dense: tuple[tuple[float, ...], ...], theta: Tensor, y0: Tensor, stages: Tensor) -> Tensor:
    """y0 + sum_i w_i(theta) k_i for theta `(p,)`, y0 `(p, *event)` and stages `(p, s, *event)`."""
    theta = theta.unsqueeze(1)
    numbers = torch.tensor(dense, dtype=theta.dtype, device=theta.device).unbind(1)
    weights = theta * numbers[-1]
    for number in reversed(numbers[:-1]):
        weights = (weights + number) * theta
    return y0 + torch.bmm(weights.unsqueeze(1), stages.unsqueeze(-1).flatten(2)).view_as(y0)


class Record:
    """The trial steps since the last look."""

    def __init__(self, y0: Tensor, stages: int, keep_stages: bool):
        size = max(1, y0.numel() * y0.element_size() * (stages + 1 if keep_stages else 1))
        self.capacity = max(1, min(MOST_STEPS, MEMORY // size))
        self.workspaces: list[Workspace | None] = [None]
        self.memory = None
        if not torch.is_grad_enabled():
            self.memory = y0.new_empty(self.capacity if keep_stages else 1, stages, *y0.shape)
            self.workspaces = [Workspace(stages) for stages in self.memory.unbind(0)]
        self.clear()

    def clear(self) -> None:
        """Forget the steps."""
        self.t0: list[Tensor] = []
        self.t1: list[Tensor] = []
        self.y0: list[Tensor] = []
        self.norms: list[Tensor] = []
        self.accepts: list[Tensor] = []
        self.stages: list[Any] = []
        self.crossed: list[Tensor] = []  # whether an event happened in the step

    @property
    def full(self) -> bool:
        """Whether it is time to look."""
        return len(self.t0) >= self.capacity

    def workspace(self) -> Workspace | None:
        """Memory for the stages of the next step."""
        return self.workspaces[len(self.t0) % len(self.workspaces)]

    def stacked_stages(self) -> Tensor:
        """`(steps, s, n, *event)`."""
        if self.memory is not None:
            return self.memory[: len(self.t0)]
        return torch.stack([torch.stack(list(stages)) for stages in self.stages])


class Saves:
    """The save times of every sample, `(n, T)`, and the states found for them so far."""

    def __init__(self, t: Tensor, forward: bool, dense: tuple[tuple[float, ...], ...]):
        self.t, self.sign, self.dense = t, 1 if forward else -1, dense
        self.clock = t.detach() * self.sign  # runs upwards
        # Save times at the start or the end are y0 or the last state: nothing to interpolate.
        self.at_start = self.clock == self.clock[:, :1]
        self.between = ~self.at_start & (self.clock != self.clock[:, -1:])
        self.wanted = bool(self.between.any())
        self.values: list[Tensor] = []
        self.places: list[tuple[Tensor, Tensor]] = []

    def collect(self, record: Record, reached: Tensor) -> None:
        """Evaluate the save times that the recorded steps have passed, up to the times `reached`, `(n,)`."""
        clock = reached.detach() * self.sign
        covered = self.between & (self.clock <= clock.unsqueeze(1))
        self.between = self.between & ~covered
        rows, columns = covered.nonzero(as_tuple=True)
        if not len(rows):
            return
        starts, ends = torch.stack(record.t0), torch.stack(record.t1)
        step, n = self._steps(starts.detach(), rows, columns), starts.shape[1]
        start = starts[step, rows]
        theta = (self.t[rows, columns] - start) / (ends[step, rows] - start)
        stages = record.stacked_stages()  # (steps, s, n, *event)
        place = (step * stages.shape[1] * n + rows).unsqueeze(1) + n * torch.arange(stages.shape[1], device=step.device)
        chosen = stages.flatten(0, 2).index_select(0, place.flatten()).unflatten(0, place.shape)
        y0 = torch.stack(record.y0).flatten(0, 1).index_select(0, step * n + rows)
        self.values.append(interpolate(self.dense, theta, y0, chosen))
        self.places.append((rows, columns))

    def _steps(self, starts: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Which of the steps that begin at `starts` `(steps, n)` covers each save time.

        It is the last that starts strictly before it; rejected steps share the start of the accepted one after them, so that
        one is the last.
        """
        low, high = int(columns.min()), int(columns.max()) + 1
        clock = self.clock[:, low:high].contiguous()
        return torch.searchsorted((starts * self.sign).t().contiguous(), clock)[rows, columns - low] - 1

    def assemble(self, y0: Tensor, last: Tensor) -> Tensor:
        """`(T, n, *event)`; save times that were not reached get `last`, `(n, *event)`."""
        n, columns = self.t.shape
        if columns == 2 and not self.values:
            return torch.stack([y0, torch.where(expand_right(self.at_start[:, 1], y0), y0, last)])
        table, found = torch.cat([*self.values, y0, last]), sum(len(value) for value in self.values)
        row = torch.arange(n, device=y0.device).unsqueeze(1)
        index = torch.where(self.at_start, found + row, found + n + row)
        position = 0
        for value, (rows, places) in zip(self.values, self.places):
            index[rows, places] = torch.arange(position, position + len(value), device=index.device)
            position += len(value)
        return table.index_select(0, index.t().flatten()).reshape(columns, n, *y0.shape[1:])
