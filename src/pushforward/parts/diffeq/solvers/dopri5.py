"""The method of Dormand and Prince, 5(4): six evaluations a step, first same as last, fourth-order dense output.

Dormand and Prince, 1980, A family of embedded Runge-Kutta formulae, https://doi.org/10.1016/0771-050X(80)90013-3; dense
output of Shampine, as in Hairer, Norsett and Wanner, 1993, Solving Ordinary Differential Equations I, section II.6.
"""

from pushforward.core.registry import register
from pushforward.core.solver import Solver

from . import runge_kutta

TABLEAU = runge_kutta.Tableau(
    a=(
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
    b=(35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0),
    c=(0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
    e=(71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40),
    quartic=(
        -12715105075 / 11282082432,
        0.0,
        87487479700 / 32700410799,
        -10690763975 / 1880347072,
        701980252875 / 199316789632,
        -1453857185 / 822651844,
        69997945 / 29380423,
    ),
)


@register
class Dopri5(Solver):
    """Fifth order with a fourth-order error estimate: the usual choice.

    >>> Dopri5().order
    5
    """

    order = 5
    adaptive = True
    dense = TABLEAU.dense()
    float_times = True
    init, step, step_dense = runge_kutta.methods(TABLEAU)
