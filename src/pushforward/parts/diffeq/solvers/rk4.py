"""The classical Runge-Kutta method: four evaluations a step, fourth order (Kutta, 1901)."""

from pushforward.core.registry import register
from pushforward.core.solver import Solver

from . import runge_kutta

TABLEAU = runge_kutta.Tableau(
    a=((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
    c=(0.0, 1 / 2, 1 / 2, 1.0),
)


@register
class RK4(Solver):
    """y1 = y0 + (k_1 + 2 k_2 + 2 k_3 + k_4) / 6, with slopes at the start, twice in the middle, and at the end.

    >>> RK4().order
    4
    """

    order = 4
    float_times = True
    init, step = runge_kutta.methods(TABLEAU)[:2]
