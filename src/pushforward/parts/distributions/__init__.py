"""Distributions to start from and to put together: bases, mixtures, and flows."""

from . import outputs
from .check_report import CheckReport
from .dequantised import Dequantised
from .flow import Flow
from .gaussian import FullGaussian, Gaussian
from .logistic import Logistic
from .mixture import Mixture
from .uniform import Uniform
from .variational_dequantised import VariationalDequantised

__all__ = [
    "CheckReport",
    "Dequantised",
    "Flow",
    "FullGaussian",
    "Gaussian",
    "Logistic",
    "Mixture",
    "Uniform",
    "VariationalDequantised",
    "outputs",
]
