"""From all numbers to an interval, and back by the logit, with every constant (Dinh et al. 2017, section 4.1).

x = low + (high - low) (sigmoid(z) - alpha) / (1 - 2 alpha),
log dx/dz = log sigmoid(z) + log sigmoid(-z) + log(high - low) - log(1 - 2 alpha).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError, DataError
from pushforward.core.registry import register
from pushforward.core.shapes import as_size, sum_event

from .inverse import Inverse


@register
class Sigmoid(Bijection):
    """All numbers to an interval, elementwise: the data side of a model of pixels or of other bounded numbers.

    `alpha` keeps the logit of the ends finite: low maps to logit(alpha) and high to logit(1 - alpha). The price is that
    samples may leave the interval, by up to alpha / (1 - 2 alpha) of its width; only alpha = 0 maps onto the open interval.

    Raises `ConfigError` for an empty interval or alpha outside [0, 1/2), and in `inverse` `DataError` for numbers that
    no z gives.

    >>> Sigmoid((1,), low=-1.0, high=1.0)(torch.zeros(1))
    (tensor([0.]), tensor(-0.6931))
    """

    def __init__(self, event_shape: int | Sequence[int], alpha: float = 0.0, low: float = 0.0, high: float = 1.0):
        super().__init__()
        if not (0 <= alpha < 0.5 and low < high):
            raise ConfigError(
                f"expected 0 <= alpha < 0.5 and low < high, got alpha {alpha:g}, low {low:g}, high {high:g}; alpha is small, 0.05 say"
            )
        self.event_shape = self.output_shape = as_size(event_shape)
        self.alpha, self.low, self.width = alpha, low, (high - low) / (1 - 2 * alpha)

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        x = self.low + self.width * (torch.sigmoid(z) - self.alpha)
        return x, sum_event(logsigmoid(z) + logsigmoid(-z) + math.log(self.width))

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        u = (x - self.low) / self.width + self.alpha
        if not ((u > 0) & (u < 1)).all():
            least, most = self.low - self.alpha * self.width, self.low + (1 - self.alpha) * self.width
            raise DataError(f"expected x between {least:g} and {most:g}, ends excluded, got {x.min():g} to {x.max():g}; "
                            "rescale it, or take alpha > 0 to have the ends of the interval")  # fmt: skip
        log_u, log_rest = u.log(), torch.log1p(-u)
        return log_u - log_rest, -sum_event(log_u + log_rest + math.log(self.width))


def logit(event_shape: int | Sequence[int], alpha: float = 0.0, low: float = 0.0, high: float = 1.0) -> Inverse:
    """The inverse of `Sigmoid` as a bijection: numbers of an interval to all numbers.

    >>> logit(1)(torch.tensor([0.5]))
    (tensor([0.]), tensor(1.3863))
    """
    return Inverse(Sigmoid(event_shape, alpha, low, high))
