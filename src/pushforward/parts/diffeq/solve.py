"""`solve`: one front door for differential equations dy = sum_i f_i(t, y) dX_i.

Kidger, 2022, On Neural Differential Equations, https://arxiv.org/abs/2202.02435; Hairer, Norsett and Wanner, 1993,
Solving Ordinary Differential Equations I.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.solver import Solver
from pushforward.core.term import Term

from .adaptive import Adaptive, Outcome
from .adjoint import Backsolve
from .attached import Rule, attach
from .captured import Captured
from .checkpointed import Log, Segments, adaptive_replay, fixed_replay, solve_grid
from .dense import DenseSolver
from .events import Event
from .fixed import Grid, hold, reached, solve_each, solve_shared
from .plan import Plan
from .reversible import Undo, solve_reversible
from .solution import Solution, Status, raise_failures
from .solvers.dopri5 import Dopri5
from .solvers.reversible_heun import ReversibleHeun
from .step_size import PID, error_norm
from .stochastic_terms import DiffusionTerm, check, is_sde, seek
from .terms import Counter, ODETerm, as_terms, is_ode
from .trees import Packing
from .undo_heun import UndoHeun, solve_heun

Gradient = Literal["direct", "checkpointed", "adjoint", "reversible"]

_DOPRI5 = Dopri5()
_PID = PID()


def solve(terms: Term | Callable[..., Any] | Sequence[Term | Callable[..., Any]], y0: Tensor | tuple | list | dict,
          t: Tensor | Sequence[float], *, solver: Solver = _DOPRI5, step_size: float | PID | None = None,
          rtol: float = 1e-5, atol: float = 1e-7, max_steps: int = 10_000, event: Event | None = None,
          gradient: Gradient = "direct", throw: bool = True) -> Solution:  # fmt: skip
    """Solve dy = f(t, y) dt from y0 at the first of the times `t` to the last, and give y at all of them.

    `terms` is a function f(t, y), a `Term`, or several that add up; f sees t as `(n,)` and y as `(n, *event)`, and
    must treat them row by row. `y0` is a tensor `(n, *event)`, or a tuple, list or dict of tensors with the same n, as
    y in f then is. `t` is `(T,)`, shared, or `(n, T)`, with T >= 2: ascending or, to solve backwards, descending;
    repeats are allowed.

    An adaptive solver chooses the steps of every sample by itself, such that each step's error is about
    atol + rtol |y|; save times are interpolated between steps. `step_size` may be a `PID` controller for it. With a
    number as `step_size` any solver takes steps of that length, the last before a save time shortened to hit it; a
    solver that is not adaptive and has none takes one step from each save time to the next. rtol, atol and max_steps
    (trial steps of a sample) are for adaptive steps only. An `Event` ends the solve of a sample where its condition
    crosses zero, or notes all crossings with `terminal=False`; the times are in `Solution.event_t`, with gradients.

    Returns a `Solution` whose y is `(T, n, *event)`, save times first. Gradients flow to y0, t and whatever f uses; the
    choice of the steps is not differentiated. `gradient` says how they are computed:

    - "direct": autograd through the steps, all of which are kept;
    - "checkpointed": the same gradients from a memory of about the square root of the number of steps;
    - "adjoint": the adjoint equation solved backwards, memory independent of the steps. Gradients of the equation, not of
      the steps, as good as rtol and atol; explicit solvers and terms in dt only;
    - "reversible": steps of given size of a method that can be undone, twice the evaluations, memory independent of the
      steps. Exact gradients of its own steps, which are not those of the solver, though of the same order.

    The last three evaluate f again in the backward pass, so f must give the same every time (no dropout), and they have
    no second derivatives. `check_gradients` compares any of them with finite differences.

    Times `(n, T)` may end in NaN in some rows, where samples have fewer times: the last state of a row is repeated there.
    With `throw`, a sample that does not reach its last time raises `SolveError`; without, it holds its last good state
    and says so in `Solution.status`. Raises `ShapeError` and `ConfigError` for arguments that do not fit.

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
    if event is not None and (not solver.adaptive or isinstance(step_size, float | int)):
        raise ConfigError("expected adaptive steps for an event, got steps of given size; leave out step_size, "
                          "or take an adaptive solver such as Dopri5")  # fmt: skip
    adaptive = solver.adaptive and not isinstance(step_size, float | int)
    _check_gradient(gradient, event, adaptive)
    pid = (step_size if isinstance(step_size, PID) else _PID) if adaptive else None
    step = None if isinstance(step_size, PID) else step_size
    plan = Plan(solver, step, pid, rtol, atol, max_steps, forward)
    check(read, solver)
    _begin(read, times, plan, gradient)
    counter = Counter()
    watched = counter.watch(read)
    try:
        if not len(start):
            outcome = _empty(start, times)
        elif gradient == "direct":
            read_event = None if event is None else replace(event, condition=lambda t, y: event.condition(t, unpack(y)))
            outcome = _plain(watched, start, t, times, plan, read_event)
        else:
            outcome = _with_rule(gradient, read, watched, start, t, times, plan)
    finally:
        seek(read, None)
    solution = Solution(times, unpack(outcome.y), outcome.status, counter.calls, outcome.accepted, outcome.rejected,
                        outcome.last_t, unpack(outcome.last_y), outcome.event_t,
                        None if outcome.event_y is None else unpack(outcome.event_y))  # fmt: skip
    if throw:
        raise_failures(solution, adaptive)
    return solution


def _begin(terms: list[Term], times: Tensor, plan: Plan, gradient: Gradient) -> None:
    """If there is noise, tell its path what is to come, and refuse what it cannot do."""
    noises = [term for term in terms if isinstance(term, DiffusionTerm)]
    if not noises:
        return
    if torch.is_grad_enabled() and times.requires_grad:
        raise ConfigError("expected times without gradient for a DiffusionTerm, since no Brownian path has a derivative, "
                          "got times that require one; pass t.detach()")  # fmt: skip
    if gradient == "adjoint" or (gradient == "reversible" and not isinstance(plan.solver, ReversibleHeun)):
        raise ConfigError(f'expected gradient="direct" or "checkpointed" for {type(plan.solver).__name__} with a DiffusionTerm, got '
                          f'{gradient!r}; take one of them, or gradient="reversible" with ReversibleHeun')  # fmt: skip
    if times.numel():
        low, high = torch.stack([times.amin(), times.amax()]).tolist()
        for noise in noises:
            noise.path.begin(low, high, plan.step)
            noise.path.seek(0)


def _check_gradient(gradient: Gradient, event: Event | None, adaptive: bool) -> None:
    if gradient not in get_args(Gradient):
        raise ConfigError(f"expected gradient to be one of {', '.join(get_args(Gradient))}, got {gradient!r}")
    if event is not None and gradient != "direct":
        raise ConfigError(
            f'expected gradient="direct" for a solve with an event, got {gradient!r}; leave one of them out'
        )
    if gradient == "reversible" and adaptive:
        raise ConfigError(
            'expected steps of given size for gradient="reversible", got adaptive ones; pass step_size=, or '
            'gradient="checkpointed"'
        )


def _plain(terms: list[Term], y0: Tensor, t: Tensor | Sequence[float], times: Tensor, plan: Plan,
           event: Event | None = None, log: Log | None = None) -> Outcome:  # fmt: skip
    if plan.pid is not None:
        return _adaptive(terms, y0, times, plan, event, log)
    return _fixed(terms, y0, t, times, plan.solver, plan.step)


def _with_rule(gradient: Gradient, terms: list[Term], watched: list[Term], y0: Tensor, t: Tensor | Sequence[float],
               times: Tensor, plan: Plan) -> Outcome:  # fmt: skip
    """States computed without a graph, with gradients by one of the rules."""
    each, solver = _for_each(times, len(y0)), plan.solver
    captured = Captured(terms, each[:, 0], each[:, -1], y0) if torch.is_grad_enabled() else None
    if captured is not None and not (captured.tensors or y0.requires_grad or each.requires_grad):
        captured = None
    rule: Rule | None = None
    with torch.no_grad():
        if gradient == "reversible":
            shared = times.ndim == 1
            if isinstance(solver, ReversibleHeun):
                y, z, accepted = solve_heun(watched, y0, each, solver, Grid(each, plan.step, shared))
            else:
                y, z, accepted = solve_reversible(watched, y0, each, solver, plan.step)
            outcome = _finished(y, times, accepted)
            if captured is not None:
                place = torch.minimum(reached(y), reached(z)).clamp(min=0)
                held, z = _held_times(each, place), hold(z, place)
                rule = Undo(terms, solver, plan.step, captured, held, z)
                if isinstance(solver, ReversibleHeun):
                    rule = UndoHeun(terms, plan.step, captured, held, z, shared)
        elif gradient == "checkpointed" and captured is not None:
            outcome, rule = _checkpointed(terms, watched, y0, times, each, plan, captured)
        else:
            outcome = _plain(watched, y0, t, times, plan)
            if captured is not None:
                rule = Backsolve(terms, plan, captured, each, outcome.last_t)
    if captured is None or rule is None:
        return outcome
    y = attach(outcome.y, rule, y0, each, captured)
    return replace(outcome, y=y, last_y=y[-1])


def _checkpointed(terms: list[Term], watched: list[Term], y0: Tensor, times: Tensor, each: Tensor, plan: Plan,
                  captured: Captured) -> tuple[Outcome, Rule]:  # fmt: skip
    solver = plan.solver
    if plan.pid is None:
        grid = Grid(each, plan.step, times.ndim == 1)
        y, checkpoints = solve_grid(watched, y0, each, solver, grid)
        outcome = _finished(y, times, grid.counts.sum(1))
        return outcome, Segments(checkpoints, captured, each, partial(fixed_replay, terms, solver, grid))
    log = Log()
    outcome = _adaptive(watched, y0, times, plan, None, log)
    assert isinstance(solver, DenseSolver)
    replay = partial(adaptive_replay, terms, solver, plan.forward, log.taken)
    return outcome, Segments(log.checkpoints, captured, each, replay)


def _held_times(t: Tensor, place: Tensor) -> Tensor:
    """The save times with every one after `place` replaced by the one there: no steps are left between them."""
    columns = torch.arange(t.shape[1], device=t.device).expand_as(t)
    return t.detach().gather(1, torch.minimum(columns, place.unsqueeze(1)))


def _adaptive(terms: list[Term], y0: Tensor, times: Tensor, plan: Plan, event: Event | None,
              log: Log | None) -> Outcome:  # fmt: skip
    if not is_ode(terms):
        raise ConfigError(
            "expected terms in dt for adaptive steps, got a control, whose bends within a step no error estimate sees; "
            "pass step_size=, or the term's as_ode() if its path is smooth"
        )
    solver, pid = plan.solver, plan.pid
    if not isinstance(solver, DenseSolver) or pid is None:
        raise ConfigError(
            f"expected a solver with dense output, got {type(solver).__name__}; give it dense and step_dense"
        )
    each, norm = _for_each(times, len(y0)), error_norm(plan.rtol, plan.atol, y0)
    run = Adaptive(terms, y0, each, solver, pid, norm, forward=plan.forward, event=event, log=log)
    outcome = run.run(plan.max_steps)
    if outcome.wild and torch.is_grad_enabled():
        run = Adaptive(terms, y0, each, solver, pid, norm, forward=plan.forward, careful=True, event=event)
        outcome = run.run(plan.max_steps)
    return outcome


def _fixed(terms: list[Term], y0: Tensor, t: Tensor | Sequence[float], times: Tensor, solver: Solver,
           step: float | None) -> Outcome:  # fmt: skip
    plain = is_ode(terms) or is_sde(terms)
    shared = times.ndim == 1 and plain and not (torch.is_grad_enabled() and times.requires_grad)
    n = len(y0)
    if shared:
        numbers = t.tolist() if isinstance(t, Tensor) else [float(value) for value in t]
        y, steps = solve_shared(terms, y0, numbers, solver, step)
        accepted = torch.full((n,), steps, device=y0.device)
    else:
        y, accepted = solve_each(terms, y0, _for_each(times, n), solver, step)
    return _finished(y, times, accepted)


def _finished(y: Tensor, times: Tensor, accepted: Tensor) -> Outcome:
    """What steps of given size came to: infinities and NaNs stay in a state, so that the last one tells."""
    n, status, place = y.shape[1], torch.zeros_like(accepted), torch.full_like(accepted, len(y) - 1)
    if not y[-1].isfinite().all():
        good = reached(y)
        place = good.clamp(min=0)
        status = torch.where(good < len(y) - 1, int(Status.NON_FINITE), int(Status.SUCCESS))
        y = hold(y, place)
    last_t = times.expand(n, times.shape[-1]).gather(1, place.unsqueeze(1)).squeeze(1)
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


def _packed(term: Any, packing: Packing) -> Term:
    if isinstance(term, DiffusionTerm):
        g, kind = term.g, term.noise
        if kind in ("diagonal", "scalar") or (kind == "additive" and len(term.path.shape) == 1):
            return DiffusionTerm(
                lambda t, y: packing.pack(g(t, packing.unpack(y))), term.path, kind, term.interpretation
            )
        raise ConfigError(
            f"expected diagonal or scalar noise for a state of several tensors, got {kind}; join the tensors"
        )
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
    if not finite and times.ndim == 2 and bool(times.isnan().any()):
        return _read_times(_without_padding(times), y0)
    if not finite or not (rising or falling):
        found = _turning(steps) if finite else "infinite or NaN times"
        raise ConfigError(
            f"expected finite t that ascends for all samples or descends for all, got {found}; "
            "sort them, or solve in two calls"
        )
    return times, rising


def _without_padding(t: Tensor) -> Tensor:
    """Times `(n, T)` with NaN at the end of a row replaced by the row's last time."""
    real = ~t.detach().isnan()
    counts = real.sum(1)
    gaps = (counts == 0) | (real.long().cumprod(1).sum(1) != counts)
    if bool(gaps.any()):
        row = int(gaps.nonzero()[0])
        found = "none" if int(counts[row]) == 0 else "one after a NaN"
        raise ConfigError(f"expected the times of a sample first and NaN only as padding at the end, got {found} in row {row}; "
                          "move its times to the front, or leave the sample out")  # fmt: skip
    return torch.where(real, t, t.gather(1, counts.unsqueeze(1) - 1))


def _turning(steps: Tensor) -> str:
    """What is wrong with times whose differences are `steps`."""
    turns = (steps > 0).any(-1) & (steps < 0).any(-1)
    if steps.ndim == 1:
        return "times that turn"
    row = int(turns.long().argmax())
    return f"times that turn in row {row}" if bool(turns.any()) else "times that turn from row to row"
