"""Differential equations: terms f dX, solvers of one step, and `solve`, one loop with a status for every sample."""

from .fixed import march
from .solution import Solution, SolveError, Status
from .solve import solve
from .solvers import RK4, Bosh3, Dopri5, Euler, Heun, Midpoint, Tsit5
from .step_size import PID
from .terms import ControlPath, ControlTerm, ODETerm

__all__ = [
    "PID",
    "RK4",
    "Bosh3",
    "ControlPath",
    "ControlTerm",
    "Dopri5",
    "Euler",
    "Heun",
    "Midpoint",
    "ODETerm",
    "Solution",
    "SolveError",
    "Status",
    "Tsit5",
    "march",
    "solve",
]
