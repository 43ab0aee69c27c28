"""What `solve` was asked for, as one value that the ways to compute gradients share."""

from dataclasses import dataclass

from pushforward.core.solver import Solver

from .step_size import PID


@dataclass(frozen=True)
class Plan:
    """A solver with steps of size `step` (None: from one save time to the next), or adaptive ones, chosen by `pid`."""

    solver: Solver
    step: float | None
    pid: PID | None
    rtol: float
    atol: float
    max_steps: int
    forward: bool  # do times ascend?
