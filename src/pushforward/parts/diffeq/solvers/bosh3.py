"""The method of Bogacki and Shampine, 3(2): three evaluations a step, first same as last, cubic dense output.

Bogacki and Shampine, 1989, A 3(2) pair of Runge-Kutta formulas, https://doi.org/10.1016/0893-9659(89)90079-7.
"""

from pushforward.core.registry import register
from pushforward.core.solver import Solver

from . import runge_kutta

TABLEAU = runge_kutta.Tableau(
    a=((), (1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
    b=(2 / 9, 1 / 3, 4 / 9, 0.0),
    c=(0.0, 1 / 2, 3 / 4, 1.0),
    e=(2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8),
)


@register
class Bosh3(Solver):
    """Third order with a second-order error estimate: for loose tolerances.

    >>> Bosh3().order
    3
    """

    order = 3
    adaptive = True
    dense = TABLEAU.dense()
    float_times = True
    init, step, step_dense = runge_kutta.methods(TABLEAU)
