"""Numerical tools: divergences with a standard error, roots and fixed points with implicit gradients."""

from .assignment import assignment, entropic_plan
from .divergence import divergence_exact, divergence_hutchinson, draw_probes
from .fixed_point import fixed_point
from .log_det_series import log_det_converged, log_det_exact, log_det_series, log_det_unbiased, probes_of_rows
from .quadrature import clenshaw_curtis, gauss_legendre
from .root import monotone_root

__all__ = [
    "assignment",
    "clenshaw_curtis",
    "divergence_exact",
    "divergence_hutchinson",
    "draw_probes",
    "entropic_plan",
    "fixed_point",
    "gauss_legendre",
    "log_det_converged",
    "log_det_exact",
    "log_det_series",
    "log_det_unbiased",
    "monotone_root",
    "probes_of_rows",
]
