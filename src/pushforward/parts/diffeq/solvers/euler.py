"""Euler's method: one evaluation a step, first order (Euler, 1768, Institutionum calculi integralis)."""

from pushforward.core.registry import register
from pushforward.core.solver import Solver

from . import runge_kutta

TABLEAU = runge_kutta.Tableau(
    a=((),),
    b=(1.0,),
    c=(0.0,),
)


@register
class Euler(Solver):
    """y1 = y0 + h f(t0, y0).

    >>> Euler().order
    1
    """

    order = 1
    float_times = True
    init, step = runge_kutta.methods(TABLEAU)[:2]
