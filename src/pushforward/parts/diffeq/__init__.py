"""Differential equations: terms f dX, solvers of one step, and `solve`, one loop with a status for every sample."""

from . import interpolation
from .brownian import BrownianPath
from .check_gradients import GradientCheck, check_gradients
from .events import Event
from .fixed import march
from .solution import Solution, SolveError, Status
from .solve import solve
from .solvers import (
    RK4,
    Bosh3,
    Dopri5,
    Dopri8,
    Euler,
    EulerMaruyama,
    Heun,
    Kvaerno3,
    Kvaerno5,
    Midpoint,
    Milstein,
    ReversibleHeun,
    StochasticHeun,
    StochasticRungeKutta,
    Tsit5,
)
from .step_size import PID
from .stochastic_terms import DiffusionTerm, ito_to_stratonovich, stratonovich_to_ito
from .terms import ControlPath, ControlTerm, ODETerm
from .wiener import WienerIncrements

__all__ = [
    "PID",
    "RK4",
    "Bosh3",
    "BrownianPath",
    "ControlPath",
    "ControlTerm",
    "DiffusionTerm",
    "Dopri5",
    "Dopri8",
    "Euler",
    "EulerMaruyama",
    "Event",
    "GradientCheck",
    "Heun",
    "Kvaerno3",
    "Kvaerno5",
    "Midpoint",
    "Milstein",
    "ODETerm",
    "ReversibleHeun",
    "Solution",
    "SolveError",
    "Status",
    "StochasticHeun",
    "StochasticRungeKutta",
    "Tsit5",
    "WienerIncrements",
    "check_gradients",
    "interpolation",
    "ito_to_stratonovich",
    "march",
    "solve",
    "stratonovich_to_ito",
]
