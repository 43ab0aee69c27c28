"""`Solved`: how an iteration went, for maps whose inverse has no closed form."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Solved:
    """What the last iterative inverse of a bijection reports, as its field `solved`.

    `residual` is the largest |T(z) - x| over the rows and places, in units of x, measured and not assumed. `bound` is a bound
    on |z - z*|, in units of z, where the theory gives one (a contraction), and None elsewhere.
    """

    iterations: int
    residual: float
    bound: float | None = None
