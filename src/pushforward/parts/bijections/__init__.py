"""Bijections: invertible maps from noise to data, one in each file."""

from .actnorm import ActNorm, start_from_data
from .actnorm_conv import ActNormConv
from .additive_transformer import AdditiveTransformer
from .affine import Affine
from .affine_transformer import AffineTransformer
from .bernstein_transformer import BernsteinTransformer
from .chain import Chain
from .circular_spline_transformer import CircularSplineTransformer
from .class_prior import ClassPrior
from .continuous import Continuous
from .coupling import Coupling
from .diagonal import Diagonal
from .elementwise import ElementwiseTransformer
from .flip import Flip
from .image_coupling import ImageCoupling
from .integral_transformer import IntegralTransformer
from .inverse import Inverse
from .inverse_transformer import InverseTransformer
from .invertible_conv import InvertibleConv1x1
from .lu_linear import LULinear
from .masked_autoregressive import MaskedAutoregressive
from .multi_scale import MultiScale
from .neural_transformer import NeuralTransformer
from .orthogonal import Orthogonal
from .patches import Patches
from .permutation import Permutation, random_permutation
from .planar import Planar
from .planar_continuous import PlanarField
from .qr_linear import QRLinear
from .radial import Radial
from .rational_quadratic_transformer import RationalQuadraticTransformer
from .reshape import Reshape
from .residual import Residual
from .sigmoid import Sigmoid, logit
from .squeeze import Squeeze
from .sum_of_squares_transformer import SumOfSquaresTransformer
from .sylvester import Sylvester
from .token_autoregressive import TokenAutoregressive

__all__ = [
    "ActNorm",
    "ActNormConv",
    "AdditiveTransformer",
    "Affine",
    "AffineTransformer",
    "BernsteinTransformer",
    "Chain",
    "CircularSplineTransformer",
    "ClassPrior",
    "Continuous",
    "Coupling",
    "Diagonal",
    "ElementwiseTransformer",
    "Flip",
    "ImageCoupling",
    "IntegralTransformer",
    "Inverse",
    "InverseTransformer",
    "InvertibleConv1x1",
    "LULinear",
    "MaskedAutoregressive",
    "MultiScale",
    "NeuralTransformer",
    "Orthogonal",
    "Patches",
    "Permutation",
    "Planar",
    "PlanarField",
    "QRLinear",
    "Radial",
    "RationalQuadraticTransformer",
    "Reshape",
    "Residual",
    "Sigmoid",
    "Squeeze",
    "SumOfSquaresTransformer",
    "Sylvester",
    "TokenAutoregressive",
    "logit",
    "random_permutation",
    "start_from_data",
]
