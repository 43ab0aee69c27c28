"""Diffusion, score and flow-matching models: one class, `Diffusion`, on any path with any prediction.

Named models are functions that assemble one: `ddpm`, `v_diffusion`, `flow_matching`. Samplers are apart, in `samplers`.
"""

from . import samplers
from .ddpm import ddpm
from .denoiser import Denoiser
from .diffusion import Diffusion
from .flow_matching import flow_matching
from .likelihood import LogProbEstimate
from .objective import Denoising
from .scaled_condition import ScaledCondition
from .score_matching import denoising_score_matching
from .v_diffusion import v_diffusion

__all__ = [
    "Denoiser",
    "Denoising",
    "Diffusion",
    "LogProbEstimate",
    "ScaledCondition",
    "ddpm",
    "denoising_score_matching",
    "flow_matching",
    "samplers",
    "v_diffusion",
]
