"""Samplers: the way from noise to data. Any of them works with any `Diffusion`, whatever its network predicts.

They are kernels, built without a model: `model.sample(64, sampler=DDIM(steps=20))`, or, step by step,
`DDIM(steps=20).on(model)`.
"""

from .ancestral import Ancestral
from .annealed_langevin import AnnealedLangevin
from .churned_heun import ChurnedHeun
from .ddim import DDIM
from .dpm_solver import DPMSolver
from .euler_maruyama import ReverseEulerMaruyama
from .langevin_corrector import LangevinCorrector
from .named import named
from .ode import ProbabilityFlow
from .predictor_corrector import PredictorCorrector
from .reverse_diffusion import ReverseDiffusion
from .reverse_runge_kutta import ReverseRungeKutta
from .uni_pc import UniPC

__all__ = [
    "DDIM",
    "Ancestral",
    "AnnealedLangevin",
    "ChurnedHeun",
    "DPMSolver",
    "LangevinCorrector",
    "PredictorCorrector",
    "ProbabilityFlow",
    "ReverseDiffusion",
    "ReverseEulerMaruyama",
    "ReverseRungeKutta",
    "UniPC",
    "named",
]
