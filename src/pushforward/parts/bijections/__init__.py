"""Bijections: invertible maps from noise to data, one in each file."""

from .affine import Affine
from .affine_transformer import AffineTransformer
from .chain import Chain
from .coupling import Coupling
from .elementwise import ElementwiseTransformer
from .inverse import Inverse
from .permutation import Permutation, random_permutation
from .rational_quadratic_transformer import RationalQuadraticTransformer
from .sigmoid import Sigmoid, logit

__all__ = [
    "Affine",
    "AffineTransformer",
    "Chain",
    "Coupling",
    "ElementwiseTransformer",
    "Inverse",
    "Permutation",
    "RationalQuadraticTransformer",
    "Sigmoid",
    "logit",
    "random_permutation",
]
