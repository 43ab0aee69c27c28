"""Paths through observed points, which drive a controlled differential equation: linear, rectilinear, Hermite, natural cubic."""

from .hermite import hermite
from .linear import linear
from .natural_cubic import natural_cubic
from .piecewise import PiecewisePolynomial
from .rectilinear import rectilinear

__all__ = ["PiecewisePolynomial", "hermite", "linear", "natural_cubic", "rectilinear"]
