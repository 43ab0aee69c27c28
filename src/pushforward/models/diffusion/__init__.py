"""Diffusion, score and flow-matching models: one class, `Diffusion`, on any path with any prediction.

Named models are functions that assemble one: `ddpm`, `v_diffusion`, `dit`, `flow_matching`, `score_sde`, `edm`, `ncsn`. Samplers are apart, in `samplers`.
"""

from . import exact, guidance, inverse, samplers
from .bridge_flow import BridgeFlow, bridge
from .consistency import Boundary, Consistency, consistency
from .ddpm import ddpm
from .denoiser import Denoiser
from .diffusion import Diffusion
from .dit import dit
from .edm import edm
from .flow_matching import flow_matching
from .likelihood import LogProbEstimate
from .ncsn import largest_distance, ncsn
from .objective import Denoising
from .preconditioned import Preconditioned
from .reflow import Pairs, reflow, straightness
from .scaled_condition import ScaledCondition
from .score_matching import (
    ScoreLangevin,
    ScoreMatching,
    ScoreNetwork,
    denoising_score_matching,
    explicit_score_matching,
    implicit_score_matching,
    score_of,
    sliced_score_matching,
    sliced_score_matching_vr,
)
from .score_sde import score_sde
from .v_diffusion import v_diffusion
from .variational_bound import VariationalBound, variational_bound
from .velocity_matching import FlowMatching

__all__ = [
    "Boundary",
    "BridgeFlow",
    "Consistency",
    "Denoiser",
    "Denoising",
    "Diffusion",
    "FlowMatching",
    "LogProbEstimate",
    "Pairs",
    "Preconditioned",
    "ScaledCondition",
    "ScoreLangevin",
    "ScoreMatching",
    "ScoreNetwork",
    "VariationalBound",
    "bridge",
    "consistency",
    "ddpm",
    "denoising_score_matching",
    "dit",
    "edm",
    "exact",
    "explicit_score_matching",
    "flow_matching",
    "guidance",
    "implicit_score_matching",
    "inverse",
    "largest_distance",
    "ncsn",
    "reflow",
    "samplers",
    "score_of",
    "score_sde",
    "sliced_score_matching",
    "sliced_score_matching_vr",
    "straightness",
    "v_diffusion",
    "variational_bound",
]
