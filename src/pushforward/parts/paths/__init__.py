"""Gaussian paths x_t = alpha(t) data + sigma(t) noise, from data at t = 0 to noise; one path, one file.

A path is two functions, alpha and sigma. What follows from them is written once: conversions, drift and diffusion in
`pushforward.Path`, the clock that all paths share in `angle`, the terms of the reverse process in `reverse_terms`.
"""

from .angle import angle, time_of_angle
from .coefficients import combination, conversion
from .cosine import Cosine
from .discrete_vp import DiscreteVP
from .edm import EDM
from .linear import Linear
from .noise_ladder import NoiseLadder
from .reverse import reverse_terms
from .sub_vp import SubVP
from .ve import VE
from .vp import VP

__all__ = [
    "EDM",
    "VE",
    "VP",
    "Cosine",
    "DiscreteVP",
    "Linear",
    "NoiseLadder",
    "SubVP",
    "angle",
    "combination",
    "conversion",
    "reverse_terms",
    "time_of_angle",
]
