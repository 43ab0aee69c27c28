"""A Gaussian for each class, as a map of standard noise: what makes a flow draw the class it is asked for.

z = loc_k + exp(s_k) noise for class k, which is N(loc_k, exp(2 s_k)): Glow's class-conditional top prior (Kingma and
Dhariwal 2018, https://arxiv.org/abs/1807.03039).
"""

from collections.abc import Sequence

import torch
from torch import Size, Tensor, nn

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError, DataError
from pushforward.core.registry import register
from pushforward.core.shapes import as_size, sum_event


@register
class ClassPrior(Bijection):
    """x = loc[k] + exp(s[k]) z, elementwise, for the class k that is the condition: a number 0 .. classes - 1.

    All numbers of the event have a location and a scale of their own for each class; s is kept within -3 .. 3, as by
    `AffineTransformer`. It begins as the identity.

    Raises `ConfigError` for fewer than one class, and `DataError` for a condition that is no number of a class.

    >>> prior = ClassPrior((2, 4, 4), classes=3)
    >>> prior(torch.randn(5, 2, 4, 4), torch.tensor([0.0, 1.0, 2.0, 2.0, 0.0]))[0].shape
    torch.Size([5, 2, 4, 4])
    """

    def __init__(self, event_shape: int | Sequence[int], classes: int):
        super().__init__()
        if classes < 1:
            raise ConfigError(f"expected at least 1 class, got {classes}")
        self.event_shape = self.output_shape = as_size(event_shape)
        self.condition_shape, self.classes = Size(()), classes
        self.loc, self.raw_scale = (nn.Parameter(torch.zeros(classes, *self.event_shape)) for _ in range(2))

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        loc, log_scale = self._of_class(condition)
        return torch.addcmul(loc, z, log_scale.exp()), sum_event(log_scale)

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        loc, log_scale = self._of_class(condition)
        return (x - loc) * (-log_scale).exp(), -sum_event(log_scale)

    def _of_class(self, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        assert condition is not None
        label = condition.round()
        if not (((label - condition).abs() < 1e-3) & (label >= 0) & (label < self.classes)).all():
            raise DataError(f"expected classes as whole numbers from 0 to {self.classes - 1}, got numbers from {condition.min():g} to "
                            f"{condition.max():g}; number the classes from 0, as Images.of does")  # fmt: skip
        label = label.long()
        return self.loc[label], 3 * torch.tanh(self.raw_scale[label] / 3)
