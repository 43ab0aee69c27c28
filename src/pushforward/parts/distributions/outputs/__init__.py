"""What a network's numbers say about one element of an event: a level, yes or no, a pixel, a number."""

from .bernoulli import Bernoulli
from .categorical import Categorical
from .gaussian_mixture import GaussianMixture
from .logistic_mixture import ColourLogisticMixture, LogisticMixture
from .output import Output

__all__ = ["Bernoulli", "Categorical", "ColourLogisticMixture", "GaussianMixture", "LogisticMixture", "Output"]
