"""Numerical tools: divergences with a standard error, roots and fixed points with implicit gradients."""

from .divergence import divergence_exact, divergence_hutchinson, draw_probes
from .fixed_point import fixed_point
from .root import monotone_root

__all__ = ["divergence_exact", "divergence_hutchinson", "draw_probes", "fixed_point", "monotone_root"]
