"""Gradients through the steps from a memory of about the square root of their number.

Nothing but the state at every c-th step is kept. The backward pass takes the segments of c steps from the last to the
first, runs each again with a graph, and drops the graph. c grows with the number of steps so far, such that as many
states are kept as steps are in a segment. The price is one more forward pass; the steps, and so the gradients, are
those of the plain backward pass (Chen, Xu, Zhang, Guestrin, 2016, https://arxiv.org/abs/1604.06174).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pushforward.core.solver import Solver
from pushforward.core.term import Term

from .attached import add
from .captured import Captured
from .dense import Record, Saves
from .fixed import Grid, run_grid
from .solvers.runge_kutta import Workspace
from .stochastic_terms import seek


class Checkpoints:
    """What was carried from step to step, at every c-th step: c doubles whenever more than c are kept."""

    def __init__(self) -> None:
        self.every, self.count, self.kept = 1, 0, list[Any]()

    def offer(self, carried: Any) -> None:
        """What the next step starts from."""
        if self.count % self.every == 0:
            self.kept.append(_detached(carried))
            if len(self.kept) > self.every:
                self.kept, self.every = self.kept[::2], 2 * self.every
        self.count += 1

    def segments(self) -> list[tuple[int, int, Any]]:
        """First step, the step after the last, and what the first starts from."""
        starts = range(0, self.count, self.every)
        return [(s, min(s + self.every, self.count), carried) for s, carried in zip(starts, self.kept, strict=True)]


# (first, last, what is carried, t) -> what is carried on, [(state, its gradient so far by the loss), ...]
Replay = Callable[[int, int, Any, Tensor], tuple[Any, list[tuple[Tensor, Tensor]]]]


class Segments:
    """The gradient rule of one solve along `t` `(n, T)`, whose steps `replay(cotangent)` runs again."""

    def __init__(self, checkpoints: Checkpoints, captured: Captured, t: Tensor, replay: Callable[[Tensor], Replay]):
        self.checkpoints, self.captured, self.t, self.replay = checkpoints, captured, t.detach(), replay

    def __call__(self, y: Tensor, cotangent: Tensor, with_t: bool) -> tuple[Tensor, Tensor | None, list[Tensor | None]]:
        """Gradients of sum(cotangent * y) to y0, t and the captured tensors."""
        totals: list[Tensor | None] = [None] * len(self.captured.tensors)
        to_t, replay = (torch.zeros_like(self.t) if with_t else None), self.replay(cotangent)
        to_carried: list[Tensor | None] | None = None
        for first, last, carried in reversed(self.checkpoints.segments()):
            with torch.enable_grad(), self.captured.evaluation():
                leaves: list[Tensor] = []
                t = self.t.detach().requires_grad_(with_t)
                after, saved = replay(first, last, _with_leaves(carried, leaves), t)
            pairs = list(saved)
            if to_carried is not None:
                pairs += [(x, g) for x, g in zip(_tensors(after), to_carried, strict=True) if g is not None]
            pairs = [(x, g) for x, g in pairs if x.requires_grad]
            wanted = [*leaves, *([t] if with_t else []), *self.captured.inputs]
            if to_carried is None:
                self.captured.check([x for x, _ in pairs], [*leaves, t])
            found = torch.autograd.grad([x for x, _ in pairs], wanted, [g for _, g in pairs], allow_unused=True)
            to_carried = list(found[: len(leaves)])
            if to_t is not None and found[len(leaves)] is not None:
                to_t += found[len(leaves)]
            add(totals, found[len(leaves) + with_t :])
        assert to_carried is not None
        return (torch.zeros_like(y[0]) if to_carried[0] is None else to_carried[0]), to_t, totals


def fixed_replay(terms: Sequence[Term], solver: Solver, grid: Grid, cotangent: Tensor) -> Replay:
    """Run steps of given size again; the state at the start of the solve gets its gradient in the first segment."""

    def replay(first: int, last: int, carried: Any, t: Tensor) -> tuple[Any, list[tuple[Tensor, Tensor]]]:
        saved: list[tuple[Tensor, Tensor]] = []
        if first == 0:
            y, _, state = carried
            carried, saved = (y, y, _start(terms, solver, t, y, state)), [(y, cotangent[0])]
        for column, y in run_grid(terms, solver, grid, t.unbind(1), carried, first, last):
            if column is None:
                carried = y
            else:
                saved.append((y, cotangent[column + 1]))
        if first == 0:
            seek(terms, None)
        return carried, saved

    return replay


def adaptive_replay(terms: Sequence[Term], solver: Any, forward: bool, taken: Sequence[tuple[Tensor, Tensor]],
                    cotangent: Tensor) -> Replay:  # fmt: skip
    """Run adaptive steps again; of each step is known how long it was to be and which samples accepted it."""
    nearer = torch.minimum if forward else torch.maximum
    total = len(taken)

    def replay(first: int, last: int, carried: Any, t: Tensor) -> tuple[Any, list[tuple[Tensor, Tensor]]]:
        y, time, state = carried
        saves = Saves(t, forward, solver.dense)
        saved: list[tuple[Tensor, Tensor]] = []
        if first == 0:
            time, state = t[:, 0], _start(terms, solver, t, y, state)
            saved.append((y, (cotangent * _mask(saves.at_start, cotangent)).sum(0)))
        saves.between &= saves.clock > (time.detach() * saves.sign).unsqueeze(1)
        record = Record(y, len(solver.dense), saves.wanted)
        for h, accepts in taken[first:last]:
            end = torch.where(accepts, nearer(time + h, t[:, -1]), time)
            record.t0.append(time)
            record.t1.append(end)
            record.y0.append(y)
            if saves.wanted:
                y, _, state, stages = solver.step_dense(terms, time, end, y, state, None)
                record.stages.append(stages)
            else:
                y, _, state = solver.step(terms, time, end, y, state)
            time = end
        if saves.wanted:
            saves.collect(record, time)
        for values, (rows, columns) in zip(saves.values, saves.places):
            saved.append((values, cotangent[columns, rows]))
        if last == total:  # save times at the end, and those that a failed sample did not reach
            at_end = ~saves.at_start & ((saves.clock > (time.detach() * saves.sign).unsqueeze(1)) | ~_inner(saves))
            saved.append((y, (cotangent * _mask(at_end, cotangent)).sum(0)))
        return (y, time, state), saved

    return replay


def solve_grid(terms: Sequence[Term], y0: Tensor, t: Tensor, solver: Solver,
               grid: Grid) -> tuple[Tensor, Checkpoints]:  # fmt: skip
    """`(T, n, *event)` at save times `(n, T)`, and where the backward pass can start."""
    checkpoints, kept, columns = Checkpoints(), [y0], t.unbind(1)
    carried: Any = y0, y0, solver.init(terms, columns[0], y0)
    for place in range(len(grid.places)):
        checkpoints.offer(carried)
        for column, value in run_grid(terms, solver, grid, columns, carried, place, place + 1):
            if column is None:
                carried = value
            else:
                kept.append(value)
    return torch.stack(kept), checkpoints


class Log:
    """What an adaptive solve notes down of its trial steps, for `adaptive_replay`."""

    def __init__(self) -> None:
        self.checkpoints, self.taken = Checkpoints(), list[tuple[Tensor, Tensor]]()

    def note(self, y: Tensor, t0: Tensor, t1: Tensor, state: Any, h: Tensor, accept: Tensor) -> None:
        """A trial step from y at t0 to t1, which was to be of length h before the last time cut it short."""
        self.checkpoints.offer((y, t0, state))
        self.taken.append((h, accept & (t1 != t0)))


def _start(terms: Sequence[Term], solver: Solver, t: Tensor, y: Tensor, state: Any) -> Any:
    """The solver's state at the start, with a graph to the start."""
    made = solver.init(terms, t[:, 0], y)
    return made._replace(norm=state.norm) if hasattr(state, "norm") else made  # the norm that adaptive steps set


def _inner(saves: Saves) -> Tensor:
    return ~saves.at_start & (saves.clock != saves.clock[:, -1:])


def _mask(columns: Tensor, like: Tensor) -> Tensor:
    return columns.t().to(like.dtype).reshape(*columns.t().shape, *(1,) * (like.ndim - 2))


def _tensors(tree: Any) -> list[Tensor]:
    """The floating tensors of what is carried, in order; a workspace is none of it."""
    if isinstance(tree, Tensor):
        return [tree] if tree.is_floating_point() else []
    if isinstance(tree, dict):
        tree = list(tree.values())
    return [x for item in tree for x in _tensors(item)] if isinstance(tree, tuple | list) else []


def _map(tree: Any, f: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(tree, Tensor):
        return f(tree)
    if isinstance(tree, tuple | list):
        return getattr(tree, "_make", type(tree))([_map(item, f) for item in tree])
    if isinstance(tree, dict):
        return {key: _map(item, f) for key, item in tree.items()}
    return None if isinstance(tree, Workspace) else tree


def _detached(tree: Any) -> Any:
    return _map(tree, torch.Tensor.detach)


def _with_leaves(tree: Any, leaves: list[Tensor]) -> Any:
    """Copies of the tensors of a tree as leaves to differentiate by, in the order of `_tensors`."""

    def leaf(x: Tensor) -> Tensor:
        if not x.is_floating_point():
            return x
        leaves.append(x.detach().requires_grad_())
        return leaves[-1]

    return _map(tree, leaf)
