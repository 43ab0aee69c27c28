"""Gaussian mixtures with everything in closed form at every time of every path: a test bench for samplers and models."""

from .guided import guided_log_density, guided_score
from .mixture import GaussianMixture
from .network import MixtureNetwork, exact_model
from .posterior import posterior
from .presets import PRESETS, grid25, random64d, ring, two_gaussians

__all__ = [
    "PRESETS",
    "GaussianMixture",
    "MixtureNetwork",
    "exact_model",
    "grid25",
    "guided_log_density",
    "guided_score",
    "posterior",
    "random64d",
    "ring",
    "two_gaussians",
]
