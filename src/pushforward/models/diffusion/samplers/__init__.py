"""Samplers: the way from noise to data. Any of them works with any `Diffusion`, whatever its network predicts.

They are kernels, built without a model: `model.sample(64, sampler=DDIM(steps=20))`, or, step by step,
`DDIM(steps=20).on(model)`.
"""

from .ancestral import Ancestral
from .annealed_langevin import AnnealedLangevin
from .ddim import DDIM
from .ode import ProbabilityFlow

__all__ = ["DDIM", "Ancestral", "AnnealedLangevin", "ProbabilityFlow"]
