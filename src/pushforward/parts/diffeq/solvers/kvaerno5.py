"""Kvaerno's method 5(4): six implicit stages a step, A- and L-stable, for stiff problems.

Kvaerno, 2004, Singly diagonally implicit Runge-Kutta methods with an explicit first stage,
https://doi.org/10.1023/B:BITN.0000046811.70614.38.
"""

from pushforward.core.registry import register
from pushforward.core.solver import Solver

from . import esdirk

GAMMA = 0.26

TABLEAU = esdirk.Implicit(
    a=(
        (0.0,),
        (GAMMA, GAMMA),
        (0.13, 0.84033320996790809, GAMMA),
        (0.22371961478320505, 0.47675532319799699, -0.06470895363112615, GAMMA),
        (0.16648564323248321, 0.10450018841591720, 0.03631482272098715, -0.13090704451073998, GAMMA),
        (0.13855640231268224, 0.0, -0.04245337201752043, 0.02446657898003141, 0.61943039072480676, GAMMA),
        (
            0.13659751177640291,
            0.0,
            -0.05496908796538376,
            -0.04118626728321046,
            0.62993304899016403,
            0.06962479448202728,
            GAMMA,
        ),
    ),
    # The shortest vector d with sum d = sum d c = sum d c^2 = 0, sum d c^3 = 1/4 and sum d A c^2 = 1/12, by which the
    # cubic through both ends and slopes becomes of fourth order; the other conditions follow from stage order two.
    quartic=(
        -0.4842493496458575,
        0.0,
        0.9921747011803447,
        -0.6241080331021572,
        1.3801004273784265,
        -0.631958872905376,
        -0.631958872905376,
    ),
)


@register
class Kvaerno5(Solver):
    """Fifth order with a fourth-order error estimate and fourth-order dense output; implicit, for stiff fields.

    The field must be differentiable by autograd in y. The third stage lies at t0 + 1.23 h: the field is asked beyond
    the end of a step, and of the last step too.

    >>> Kvaerno5().order
    5
    """

    order = 5
    adaptive = True
    dense = TABLEAU.dense()
    init, step, step_dense = esdirk.methods(TABLEAU)
