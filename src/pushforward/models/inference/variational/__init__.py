"""Variational inference: an approximate posterior fitted by a lower bound, and what tells whether it is good."""

from .fit_posterior import PosteriorHistory, fit_posterior
from .full_rank import full_rank
from .mean_field import mean_field
from .objective import Draws, bound_objective
from .psis import Smoothed, pareto_smoothed
from .report import PosteriorReport, posterior_report

__all__ = [
    "Draws",
    "PosteriorHistory",
    "PosteriorReport",
    "Smoothed",
    "bound_objective",
    "fit_posterior",
    "full_rank",
    "mean_field",
    "pareto_smoothed",
    "posterior_report",
]
