"""Differential equations: terms f dX, solvers of one step, and `solve`, one loop with a status for every sample."""

from . import interpolation
from .check_gradients import GradientCheck, check_gradients
from .events import Event
from .fixed import march
from .solution import Solution, SolveError, Status
from .solve import solve
from .solvers import RK4, Bosh3, Dopri5, Dopri8, Euler, Heun, Kvaerno3, Kvaerno5, Midpoint, Tsit5
from .step_size import PID
from .terms import ControlPath, ControlTerm, ODETerm

__all__ = [
    "PID",
    "RK4",
    "Bosh3",
    "ControlPath",
    "ControlTerm",
    "Dopri5",
    "Dopri8",
    "Euler",
    "Event",
    "GradientCheck",
    "Heun",
    "Kvaerno3",
    "Kvaerno5",
    "Midpoint",
    "ODETerm",
    "Solution",
    "SolveError",
    "Status",
    "Tsit5",
    "check_gradients",
    "interpolation",
    "march",
    "solve",
]
