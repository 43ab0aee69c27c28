"""Diffusion, score and flow-matching models: one class, `Diffusion`, on any path with any prediction.

Named models are functions that assemble one: `ddpm`, `v_diffusion`, `flow_matching`, `score_sde`, `edm`. Samplers are apart, in `samplers`.
"""

from . import guidance, inverse, samplers
from .ddpm import ddpm
from .denoiser import Denoiser
from .diffusion import Diffusion
from .edm import edm
from .flow_matching import flow_matching
from .likelihood import LogProbEstimate
from .objective import Denoising
from .preconditioned import Preconditioned
from .scaled_condition import ScaledCondition
from .score_matching import denoising_score_matching
from .score_sde import score_sde
from .v_diffusion import v_diffusion
from .variational_bound import VariationalBound, variational_bound

__all__ = [
    "Denoiser",
    "Denoising",
    "Diffusion",
    "LogProbEstimate",
    "Preconditioned",
    "ScaledCondition",
    "VariationalBound",
    "ddpm",
    "denoising_score_matching",
    "edm",
    "flow_matching",
    "guidance",
    "inverse",
    "samplers",
    "score_sde",
    "v_diffusion",
    "variational_bound",
]
