"""Steps of given size: one at a time, or to a list of save times."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from pushforward.core.shapes import expand_right
from pushforward.core.solver import Solver
from pushforward.core.term import Term

from .solvers.euler import Euler
from .stochastic_terms import is_sde, seek
from .terms import Field, as_terms, is_ode

_EULER = Euler()
SLIVER = 1e-4  # a last step shorter than this part of step_size is joined to the one before it


def march(terms: Term | Field | Sequence[Term | Field], y0: Tensor, times: Sequence[float], *,
          solver: Solver = _EULER) -> Iterator[Tensor]:  # fmt: skip
    """One step from each time to the next; gives the state `(n, *event)` after each, len(times) - 1 of them.

    The bare loop for samplers: no save buffer, no checks, nothing but the solver's own operations.

    >>> y = torch.ones(1, 1)
    >>> for y in march(lambda t, y: -y, y, [0.0, 0.5, 1.0]):
    ...     print(y)
    tensor([[0.5000]])
    tensor([[0.2500]])
    """
    read = as_terms(terms)
    noisy = is_sde(read)
    numbers = getattr(solver, "float_times", False) and (noisy or is_ode(read))
    grid: list[Any] = list(times) if numbers else [y0.new_full((len(y0),), t) for t in times]
    state = solver.init(read, y0.new_full((len(y0),), float(times[0])), y0)
    y = y0
    for place, (start, end) in enumerate(pairwise(grid)):
        if noisy:
            seek(read, place)
        y, _, state = solver.step(read, start, end, y, state)
        yield y
    seek(read, None)


def shared_grid(t: Sequence[float], step: float | None) -> tuple[list[float], list[int]]:
    """All times to step to, and the places of the save times among them."""
    if step is None:
        return list(t), list(range(len(t)))
    grid, saves = [t[0]], [0]
    for a, b in pairwise(t):
        h = math.copysign(step, b - a)
        grid += [a + i * h for i in range(1, max(1, math.ceil((b - a) / h - SLIVER)))]
        grid.append(b)
        saves.append(len(grid) - 1)
    return grid, saves


def solve_shared(terms: Sequence[Term], y0: Tensor, t: Sequence[float], solver: Solver,
                 step: float | None) -> tuple[Tensor, int]:  # fmt: skip
    """`(T, n, *event)` at save times that all samples share, and the number of steps."""
    grid, saves = shared_grid(t, step)
    wanted, kept = set(saves), [y0]
    kept += [y for place, y in enumerate(march(terms, y0, grid, solver=solver), 1) if place in wanted]
    return torch.stack(kept), len(grid) - 1


def solve_each(terms: Sequence[Term], y0: Tensor, t: Tensor, solver: Solver,
               step: float | None) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`(T, n, *event)` at save times `(n, T)`, and the number of steps of each sample, `(n,)`.

    Every sample takes the steps it would take alone. While others still step through an interval, one that is through
    repeats its first step there, where the field is known to be finite, and the result is thrown away.
    """
    grid, kept = Grid(t, step), [y0]
    carried = y0, y0, solver.init(terms, t[:, 0], y0)
    kept += [value for column, value in run_grid(terms, solver, grid, t.unbind(1), carried) if column is not None]
    return torch.stack(kept), grid.counts.sum(1)


def run_grid(terms: Sequence[Term], solver: Solver, grid: "Grid", t: Sequence[Tensor], carried: Any, first: int = 0,
             last: int | None = None) -> Iterator[tuple[int | None, Any]]:  # fmt: skip
    """Take the steps from `first` to before `last`; give (k, state) at the end of each interval k, and (None, carried).

    `carried` is the state, that at the start of the interval, and the solver's state. A sample that is through starts
    its first step of the interval over, where the field is known to be finite; the result is thrown away.
    """
    y, begin, state = carried
    for place, (column, i) in enumerate(grid.places[first:last], first):
        begin = y if i == 0 else begin
        if grid.most[column]:
            seek(terms, place if grid.shared else (column, i))
            start, end, active = grid.step(column, i, t[column], t[column + 1])
            if active is None:
                y, _, state = solver.step(terms, start, end, y, state)
            else:
                mask = expand_right(active, y)
                y1, _, after = solver.step(terms, start, end, torch.where(mask, y, begin), state)
                y, state = torch.where(mask, y1, y), select(active, after, state)
        if i + 1 >= grid.most[column]:
            yield column, y
    yield None, (y, begin, state)


class Grid:
    """The steps between save times `(n, T)`: step i of interval k, for every sample from and to times of its own."""

    def __init__(self, t: Tensor, step: float | None, shared: bool = False):
        spans, self.shared = t.detach().diff(dim=1), shared  # do all samples have the same times, whoever they are?
        self.counts = (spans != 0).long()  # (n, T - 1)
        self.h = None
        if step is not None:
            self.counts = self.counts * (spans.abs() / step - SLIVER).ceil().long().clamp(min=1)
            self.h = spans.sign() * step
        self.most: list[int] = self.counts.amax(0).tolist()
        self.least: list[int] = self.counts.amin(0).tolist()
        # An interval without length takes no step but has a place.
        self.places = [(column, i) for column, most in enumerate(self.most) for i in range(max(most, 1))]

    def step(self, column: int, i: int, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Start, end, and which samples take it (None: all), between the save times a and b.

        For a sample that is through it is the first step of the interval.
        """
        own = self.counts[:, column]
        active = own > i if self.least[column] <= i else None
        place = torch.full_like(own, i) if active is None else torch.where(active, i, 0)
        h = b - a if self.h is None else self.h[:, column]
        start = torch.where(place > 0, a + place * h, a)
        return start, torch.where(place + 1 < own, a + (place + 1) * h, b), active


def reached(y: Tensor) -> Tensor:
    """The last save time up to which all states `(T, n, *event)` of a sample are finite, `(n,)`; -1 if none is."""
    return y.isfinite().reshape(len(y), y.shape[1], -1).all(2).long().cumprod(0).sum(0) - 1


def hold(y: Tensor, place: Tensor) -> Tensor:
    """The states with every one after `place`, `(n,)`, replaced by the one there."""
    rows, columns = torch.arange(y.shape[1], device=y.device), torch.arange(len(y), device=y.device)
    return y[torch.minimum(columns.unsqueeze(1), place), rows]


def select(mask: Tensor, new: Any, old: Any) -> Any:
    """A solver's state: rows of `new` where the mask, `(n,)` or `(n, 1, ...)`, is True, else rows of `old`."""
    if isinstance(new, Tensor):
        return torch.where(mask if mask.ndim == new.ndim else expand_right(mask.reshape(-1), new), new, old)
    if isinstance(new, tuple | list):
        return getattr(new, "_make", type(new))([select(mask, a, b) for a, b in zip(new, old)])
    if isinstance(new, dict):
        return {key: select(mask, value, old[key]) for key, value in new.items()}
    return new
