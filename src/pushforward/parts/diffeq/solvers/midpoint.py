"""The explicit midpoint method: two evaluations a step, second order (Runge, 1895)."""

from pushforward.core.registry import register
from pushforward.core.solver import Solver

from . import runge_kutta

TABLEAU = runge_kutta.Tableau(
    a=((), (1 / 2,)),
    b=(0.0, 1.0),
    c=(0.0, 1 / 2),
)


@register
class Midpoint(Solver):
    """y1 = y0 + h f(t0 + h/2, y0 + h/2 f(t0, y0)).

    >>> Midpoint().order
    2
    """

    order = 2
    float_times = True
    init, step = runge_kutta.methods(TABLEAU)[:2]
