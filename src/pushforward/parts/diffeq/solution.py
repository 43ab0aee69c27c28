"""What a solve gives back: the states at the save times, and how it went for every sample."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from torch import Tensor

from pushforward.core.errors import UserError


class Status(IntEnum):
    """How the solve of one sample ended."""

    SUCCESS = 0
    MAX_STEPS = 1  # max_steps trial steps did not reach the last time
    STEP_UNDERFLOW = 2  # the error estimate asked for steps below the spacing of floating-point times
    NON_FINITE = 3  # the state or its error estimate became infinite or NaN, however short the step
    EVENT = 4  # the event happened: the end that was asked for


class SolveError(UserError):
    """Some samples reached neither their last time nor an event."""


@dataclass(frozen=True)
class Solution:
    """States at the save times, save times first: y[k] is every sample at its k-th save time.

    `t` are the save times as used, `(T,)` or `(n, T)`. `y` is `(T, n, *event)`, or a tree of such tensors if y0 was
    one. A sample whose status is not SUCCESS holds its last good state, that at `last_t`, at the save times that it
    did not reach. A sample that met its event holds the state there, and `last_t` is the time of the event.

    With `Event(..., terminal=False)` the solve goes on, and `event_t` `(n, k)` are the times of all crossings in the order of the
    solve, infinite behind the last of a sample; `event_y` there is the last state.
    """

    t: Tensor
    y: Any
    status: Tensor  # (n,), values of Status
    evaluations: int  # calls of the vector field, each on all samples
    accepted: Tensor  # (n,) steps taken
    rejected: Tensor  # (n,) steps tried and thrown away
    last_t: Tensor  # (n,) time reached: the last save time unless the solve of the sample failed
    last_y: Any  # the state there, (n, *event) or a tree
    event_t: Tensor | None = None  # (n,) times of the events, infinite where there was none; None without `event`
    event_y: Any = None  # of an event that is not terminal: the states at all its crossings, (k, n, *event) or a tree


def raise_failures(solution: Solution, adaptive: bool) -> None:
    """Say in one sentence how many samples failed, where, and what to do; return if none did."""
    failed = (solution.status.ne(Status.SUCCESS) & solution.status.ne(Status.EVENT)).nonzero()[:, 0].tolist()
    if not failed:
        return
    kinds = [Status(value) for value in solution.status[failed].tolist()]
    counts = ", ".join(f"{kinds.count(kind)} {kind.name}" for kind in sorted(set(kinds)))
    first, times = failed[0], solution.t if solution.t.ndim == 1 else solution.t[failed[0]]
    times = times.detach()
    remedies = {
        Status.MAX_STEPS: "raise max_steps or loosen rtol and atol",
        Status.STEP_UNDERFLOW: "loosen rtol and atol, or solve in float64",
        Status.NON_FINITE: "stop before the solution blows up, or check f there",
    }
    if not adaptive:
        remedies[Status.NON_FINITE] = "take a smaller step_size"
    advice = "; ".join(remedies[kind] for kind in sorted(set(kinds)))
    raise SolveError(
        f"expected all {len(solution.status)} samples to reach their last time, got {len(failed)} that did not "
        f"({counts}; the first is sample {first}, good until t = {float(solution.last_t[first].detach()):.6g} "
        f"of {float(times[0]):.6g} to {float(times[-1]):.6g}): {advice}, or pass throw=False and read Solution.status"
    )
