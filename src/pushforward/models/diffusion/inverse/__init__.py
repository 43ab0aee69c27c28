"""Inverse problems: data from a linear measurement of them, with a diffusion model as the prior.

`solve(model, measurement, operator)` is the front door; the methods behind it are a guide (`PiGDM`), for any sampler, and two samplers
(`Projection`, which is RePaint with `resamplings`, and `DPS`).
"""

from .dps import DPS
from .operators import Colorise, Inpaint, LinearOperator, Operator, SuperResolve
from .pigdm import PiGDM
from .projection import Projection
from .solve import solve

__all__ = [
    "DPS",
    "Colorise",
    "Inpaint",
    "LinearOperator",
    "Operator",
    "PiGDM",
    "Projection",
    "SuperResolve",
    "solve",
]
