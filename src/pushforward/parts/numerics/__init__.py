"""Numerical tools: the divergence of a field, exact or estimated with a standard error."""

from .divergence import divergence_exact, divergence_hutchinson, draw_probes

__all__ = ["divergence_exact", "divergence_hutchinson", "draw_probes"]
