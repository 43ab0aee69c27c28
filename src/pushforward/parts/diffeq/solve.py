"""`solve`: one front door for differential equations dy = sum_i f_i(t, y) dX_i.

Kidger, 2022, On Neural Differential Equations, https://arxiv.org/abs/2202.02435; Hairer, Norsett and Wanner, 1993,
Solving Ordinary Differential Equations I.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.solver import Solver
from pushforward.core.term import Term

from .adaptive import Adaptive, Outcome
from .dense import DenseSolver
from .fixed import solve_each, solve_shared
from .solution import Solution, Status, raise_failures
from .solvers.dopri5 import Dopri5
from .step_size import PID, error_norm
from .terms import Counter, ODETerm, as_terms, is_ode
from .trees import Packing

_DOPRI5 = Dopri5()
_PID = PID()


def solve(terms: Term | Callable[..., Any] | Sequence[Term | Callable[..., Any]], y0: Tensor | tuple | list | dict,
          t: Tensor | Sequence[float], *, solver: Solver = _DOPRI5, step_size: float | PID | None = None,
          rtol: float = 1e-5, atol: float = 1e-7, max_steps: int = 10_000, throw: bool = True) -> Solution:  # fmt: skip
    """Solve dy = f(t, y) dt from y0 at the first of the times `t` to the last, and give y at all of them.

    `terms` is a function f(t, y), a `Term`, or several that add up; f sees t as `(n,)` and y as `(n, *event)`, and
    must treat them row by row. `y0` is a tensor `(n, *event)`, or a tuple, list or dict of tensors with the same n, as
    y in f then is. `t` is `(T,)`, shared, or `(n, T)`, with T >= 2: ascending or, to solve backwards, descending;
    repeats are allowed.

    An adaptive solver chooses the steps of every sample by itself, such that each step's error is about
    atol + rtol |y|; save times are interpolated between steps. `step_size` may be a `PID` controller for it. With a
    number as `step_size` any solver takes steps of that length, the last before a save time shortened to hit it; a
    solver that is not adaptive and has none takes one step from each save time to the next. rtol, atol and max_steps
    (trial steps of a sample) are for adaptive steps only.

    Returns a `Solution` whose y is `(T, n, *event)`, save times first. Gradients flow to y0, t and whatever f uses, by
    plain autograd through the steps taken; the choice of the steps is not differentiated. With `throw`, a sample that
    does not reach its last time raises `SolveError`; without, it holds its last good state and says so in
    `Solution.status`. Raises `ShapeError` and `ConfigError` for arguments that do not fit.

    >>> solution = solve(lambda t, y: -y, torch.ones(1, 1, dtype=torch.float64), [0.0, 1.0, 2.0])
    >>> [round(value, 4) for value in solution.y.flatten().tolist()]
    [1.0, 0.3679, 0.1353]
    """
    read, start, unpack = _read(terms, y0)
    times, forward = _read_times(t, start)
    if not rtol >= 0 or not atol > 0 or max_steps < 1:
        raise ConfigError(f"expected rtol >= 0, atol > 0 and max_steps >= 1, got {rtol}, {atol} and {max_steps}")
    if isinstance(step_size, float | int) and not 0 < step_size < float("inf"):
        raise ConfigError(f"expected step_size > 0, the sign comes from t, got {step_size}")
    if isinstance(step_size, PID) and not solver.adaptive:
        raise ConfigError(
            f"expected an adaptive solver for a PID controller, got {type(solver).__name__}; use Dopri5, Tsit5 or Bosh3"
        )
    counter = Counter()
    watched = counter.watch(read)
    adaptive = solver.adaptive and not isinstance(step_size, float | int)
    if not len(start):
        outcome = _empty(start, times)
    elif adaptive:
        pid = step_size if isinstance(step_size, PID) else _PID
        outcome = _adaptive(watched, start, times, solver, pid, rtol, atol, max_steps, forward)
    else:
        outcome = _fixed(watched, start, t, times, solver, step_size)  # pyright: ignore[reportArgumentType]
    solution = Solution(times, unpack(outcome.y), outcome.status, counter.calls, outcome.accepted, outcome.rejected,
                        outcome.last_t, unpack(outcome.last_y))  # fmt: skip
    if throw:
        raise_failures(solution, adaptive)
    return solution


def _adaptive(terms: list[Term], y0: Tensor, times: Tensor, solver: Solver, pid: PID, rtol: float, atol: float,
              max_steps: int, forward: bool) -> Outcome:  # fmt: skip
    if not is_ode(terms):
        raise ConfigError(
            "expected terms in dt for adaptive steps, got a control, whose bends within a step no error estimate sees; "
            "pass step_size=, or the term's as_ode() if its path is smooth"
        )
    if not isinstance(solver, DenseSolver):
        raise ConfigError(
            f"expected a solver with dense output, got {type(solver).__name__}; give it dense and step_dense"
        )
    each, norm = _for_each(times, len(y0)), error_norm(rtol, atol, y0)
    outcome = Adaptive(terms, y0, each, solver, pid, norm, forward=forward).run(max_steps)
    if outcome.wild and torch.is_grad_enabled():
        outcome = Adaptive(terms, y0, each, solver, pid, norm, forward=forward, careful=True).run(max_steps)
    return outcome


def _fixed(terms: list[Term], y0: Tensor, t: Tensor | Sequence[float], times: Tensor, solver: Solver,
           step: float | None) -> Outcome:  # fmt: skip
    shared = times.ndim == 1 and is_ode(terms) and not (torch.is_grad_enabled() and times.requires_grad)
    n = len(y0)
    if shared:
        numbers = t.tolist() if isinstance(t, Tensor) else [float(value) for value in t]
        y, steps = solve_shared(terms, y0, numbers, solver, step)
        accepted = torch.full((n,), steps, device=y0.device)
    else:
        y, accepted = solve_each(terms, y0, _for_each(times, n), solver, step)
    status, reached = torch.zeros_like(accepted), torch.full_like(accepted, len(y) - 1)
    if not y[-1].isfinite().all():  # infinities and NaNs stay, so that the last state tells
        good = y.isfinite().reshape(len(y), n, -1).all(2).long().cumprod(0).sum(0) - 1
        reached = good.clamp(min=0)
        status = torch.where(good < len(y) - 1, int(Status.NON_FINITE), int(Status.SUCCESS))
        rows = torch.arange(n, device=y0.device)
        y = y[torch.minimum(torch.arange(len(y), device=y0.device).unsqueeze(1), reached), rows]
    last_t = times.expand(n, times.shape[-1]).gather(1, reached.unsqueeze(1)).squeeze(1)
    return Outcome(y, status, accepted, torch.zeros_like(accepted), last_t, y[-1], False)


def _for_each(times: Tensor, n: int) -> Tensor:
    """Save times `(n, T)` in memory of their own: forward-mode derivatives in f refuse numbers that samples share."""
    return times.expand(n, times.shape[-1]).contiguous()


def _empty(y0: Tensor, times: Tensor) -> Outcome:
    none = torch.zeros(0, dtype=torch.long, device=y0.device)
    return Outcome(y0.expand(times.shape[-1], *y0.shape), none, none, none, times.new_zeros(0), y0, False)


def _read(terms: Any, y0: Any) -> tuple[list[Term], Tensor, Callable[[Tensor], Any]]:
    """The terms and the state as one tensor, and how to take that apart again."""
    if isinstance(y0, Tensor):
        read, start, unpack = as_terms(terms), y0, _same
    else:
        packing = Packing(y0)
        given = list(terms) if isinstance(terms, Sequence) else [terms]
        read, start, unpack = as_terms([_packed(term, packing) for term in given]), packing.pack(y0), packing.unpack
    if start.ndim < 1 or start.dtype not in (torch.float32, torch.float64):
        raise ShapeError(
            f"expected y0 of shape (n, *event) in float32 or float64, got {tuple(start.shape)} in {start.dtype}; "
            "add a batch dimension, or keep the state in float32 and let the network run under autocast"
        )
    return read, start, unpack


def _same(y: Tensor) -> Tensor:
    return y


def _packed(term: Any, packing: Packing) -> ODETerm:
    if isinstance(term, Term) and not isinstance(term, ODETerm):
        raise ConfigError(
            f"expected terms in dt for a state of several tensors, got {type(term).__name__}; join the tensors"
        )
    f = term.f if isinstance(term, ODETerm) else term
    return ODETerm(lambda t, y: packing.pack(f(t, packing.unpack(y))))


def _read_times(t: Tensor | Sequence[float], y0: Tensor) -> tuple[Tensor, bool]:
    """Times in the dtype of the state, and whether they ascend."""
    times = torch.as_tensor(t, dtype=y0.dtype, device=y0.device)
    if times.ndim not in (1, 2) or times.shape[-1] < 2 or (times.ndim == 2 and len(times) != len(y0)):
        raise ShapeError(f"expected t of shape (T,) or ({len(y0)}, T) with T >= 2, got {tuple(times.shape)}; "
                         "give the start and at least one time to reach")  # fmt: skip
    if not times.numel():
        return times, True
    steps = times.detach().diff(dim=-1)
    facts = times.detach().isfinite().all(), (steps >= 0).all(), (steps <= 0).all()
    finite, rising, falling = torch.stack(facts).tolist()
    if not finite or not (rising or falling):
        found = "times that turn" if finite else "infinite or NaN times"
        raise ConfigError(
            f"expected finite t that ascends for all samples or descends for all, got {found}; "
            "sort them, or solve in two calls"
        )
    return times, rising
