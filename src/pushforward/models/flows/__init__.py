"""Normalizing flows, assembled: each function returns a `Flow`, or a `Dequantised` one for tables with whole numbers."""

from .neural_spline import neural_spline
from .realnvp import realnvp

__all__ = ["neural_spline", "realnvp"]
