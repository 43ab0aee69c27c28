"""Heun's method, the explicit trapezoidal rule: two evaluations a step, second order (Heun, 1900)."""

from pushforward.core.registry import register
from pushforward.core.solver import Solver

from . import runge_kutta

TABLEAU = runge_kutta.Tableau(
    a=((), (1.0,)),
    b=(1 / 2, 1 / 2),
    c=(0.0, 1.0),
)


@register
class Heun(Solver):
    """y1 = y0 + h/2 (f(t0, y0) + f(t1, y0 + h f(t0, y0))).

    >>> Heun().order
    2
    """

    order = 2
    float_times = True
    init, step = runge_kutta.methods(TABLEAU)[:2]
