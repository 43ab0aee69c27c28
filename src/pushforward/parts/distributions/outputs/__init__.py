"""What a network's numbers say about one element of an event: a level, yes or no, a pixel, a number."""

from .bernoulli import Bernoulli
from .categorical import Categorical
from .logistic_mixture import ColourLogisticMixture, LogisticMixture
from .normal_mixture import NormalMixture
from .output import Output

__all__ = ["Bernoulli", "Categorical", "ColourLogisticMixture", "LogisticMixture", "NormalMixture", "Output"]
