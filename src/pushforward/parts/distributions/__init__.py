"""Distributions to start from and to put together: bases, mixtures, and flows."""

from .dequantised import Dequantised
from .flow import Flow
from .gaussian import FullGaussian, Gaussian
from .mixture import Mixture
from .uniform import Uniform

__all__ = ["Dequantised", "Flow", "FullGaussian", "Gaussian", "Mixture", "Uniform"]
