"""Solvers: one step of a differential equation each, one solver a file."""

from .bosh3 import Bosh3
from .dopri5 import Dopri5
from .dopri8 import Dopri8
from .euler import Euler
from .euler_maruyama import EulerMaruyama
from .heun import Heun
from .kvaerno3 import Kvaerno3
from .kvaerno5 import Kvaerno5
from .midpoint import Midpoint
from .milstein import Milstein
from .reversible_heun import ReversibleHeun
from .rk4 import RK4
from .stochastic_heun import StochasticHeun
from .stochastic_runge_kutta import StochasticRungeKutta
from .tsit5 import Tsit5

__all__ = [
    "RK4",
    "Bosh3",
    "Dopri5",
    "Dopri8",
    "Euler",
    "EulerMaruyama",
    "Heun",
    "Kvaerno3",
    "Kvaerno5",
    "Midpoint",
    "Milstein",
    "ReversibleHeun",
    "StochasticHeun",
    "StochasticRungeKutta",
    "Tsit5",
]
