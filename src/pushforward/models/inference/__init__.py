"""Inference: samples of a density that is known up to a constant, by kernels that take chains from state to state."""

from .adaptation import Warmed, warm_up
from .annealed import AnnealedLogZ, annealed_log_z
from .chains import Chains, sample_chains
from .diagnostics import effective_sample_size, ess_bulk, ess_tail, monte_carlo_error, split_r_hat
from .hmc import HMC
from .langevin import Langevin
from .mala import MALA
from .maximum_a_posteriori import Mode, map_estimate
from .nuts import NUTS
from .parallel_tempering import ParallelTempering
from .smc import Particles, sequential_monte_carlo
from .stochastic_gradient_langevin import StochasticGradientLangevin
from .target import Target
from .variational import (
    PosteriorReport,
    bound_objective,
    fit_posterior,
    full_rank,
    mean_field,
    pareto_smoothed,
    posterior_report,
)

__all__ = [
    "HMC",
    "MALA",
    "NUTS",
    "AnnealedLogZ",
    "Chains",
    "Langevin",
    "Mode",
    "ParallelTempering",
    "Particles",
    "PosteriorReport",
    "StochasticGradientLangevin",
    "Target",
    "Warmed",
    "annealed_log_z",
    "bound_objective",
    "effective_sample_size",
    "ess_bulk",
    "ess_tail",
    "fit_posterior",
    "full_rank",
    "map_estimate",
    "mean_field",
    "monte_carlo_error",
    "pareto_smoothed",
    "posterior_report",
    "sample_chains",
    "sequential_monte_carlo",
    "split_r_hat",
    "warm_up",
]
