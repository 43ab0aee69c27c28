"""Kvaerno's method 3(2): three implicit stages a step, A- and L-stable, for stiff problems at loose tolerances.

Kvaerno, 2004, Singly diagonally implicit Runge-Kutta methods with an explicit first stage,
https://doi.org/10.1023/B:BITN.0000046811.70614.38.
"""

from pushforward.core.registry import register
from pushforward.core.solver import Solver

from . import esdirk

GAMMA = 0.435866521508459  # the root of 6 g^3 - 18 g^2 + 9 g - 1 that makes the method L-stable

TABLEAU = esdirk.Implicit(
    a=(
        (0.0,),
        (GAMMA, GAMMA),
        ((-4 * GAMMA**2 + 6 * GAMMA - 1) / (4 * GAMMA), (1 - 2 * GAMMA) / (4 * GAMMA), GAMMA),
        (
            (6 * GAMMA - 1) / (12 * GAMMA),
            -1 / (12 * GAMMA * (2 * GAMMA - 1)),
            (-6 * GAMMA**2 + 6 * GAMMA - 1) / (3 * (2 * GAMMA - 1)),
            GAMMA,
        ),
    )
)


@register
class Kvaerno3(Solver):
    """Third order with a second-order error estimate and cubic dense output; implicit, for stiff fields.

    The field must be differentiable by autograd in y.

    >>> Kvaerno3().order
    3
    """

    order = 3
    adaptive = True
    dense = TABLEAU.dense()
    init, step, step_dense = esdirk.methods(TABLEAU)
