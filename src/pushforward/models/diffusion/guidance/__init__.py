"""Guidance: another denoiser in the place of a model's own, so that samples show more of a class or of quality.

Every sampler takes one: `model.sample(64, labels, guide=functools.partial(ClassifierFree, weight=2.0))`.
"""

from .autoguidance import Autoguidance
from .classifier import ClassifierGuidance
from .classifier_free import ClassifierFree
from .time_classifier import TimeClassifier, time_classifier
from .time_conv_classifier import TimeConvClassifier

__all__ = [
    "Autoguidance",
    "ClassifierFree",
    "ClassifierGuidance",
    "TimeClassifier",
    "TimeConvClassifier",
    "time_classifier",
]
