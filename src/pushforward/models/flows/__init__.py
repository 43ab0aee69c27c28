"""Normalizing flows, assembled: each function returns a `Flow`, or a `Dequantised` one for tables with whole numbers."""

from .bernstein import bernstein
from .editing import decode, direction, edit, encode, interpolate
from .ffjord import ffjord
from .ffjord_images import ffjord_images
from .glow import glow
from .hybrid import hybrid
from .hybrid_model import HybridModel
from .iaf import iaf
from .invertible_resnet_classifier import InvertibleResNetClassifier, invertible_resnet_classifier
from .maf import maf
from .neural_autoregressive import neural_autoregressive
from .neural_spline import neural_spline
from .nice import nice
from .planar import planar
from .planar_continuous import planar_continuous
from .radial import radial
from .realnvp import realnvp
from .realnvp_images import realnvp_images
from .regularised import Regularised
from .residual import residual
from .residual_images import residual_images
from .sum_of_squares import sum_of_squares
from .sylvester import sylvester
from .temperature import tempered
from .transformer_flow import transformer_flow
from .typicality import AnomalyScore, anomaly_score
from .umnn import umnn

__all__ = [
    "AnomalyScore",
    "HybridModel",
    "InvertibleResNetClassifier",
    "Regularised",
    "anomaly_score",
    "bernstein",
    "decode",
    "direction",
    "edit",
    "encode",
    "ffjord",
    "ffjord_images",
    "glow",
    "hybrid",
    "iaf",
    "interpolate",
    "invertible_resnet_classifier",
    "maf",
    "neural_autoregressive",
    "neural_spline",
    "nice",
    "planar",
    "planar_continuous",
    "radial",
    "realnvp",
    "realnvp_images",
    "residual",
    "residual_images",
    "sum_of_squares",
    "sylvester",
    "tempered",
    "transformer_flow",
    "umnn",
]
