"""A learned scale for each feature: the last layer of NICE (Dinh et al. 2015, https://arxiv.org/abs/1410.8516, section 3.3)."""

import torch
from torch import Size, Tensor, nn

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .nonsingular import positive_diagonal


@register
class Diagonal(Bijection):
    """x = exp(s) z, elementwise, with learned log scales s `(features,)`; log abs det = sum s. It begins as the identity.

    Raises `ConfigError` for fewer than 1 feature, and when used with log scales so far out that exp(s) is 0 or infinite.

    >>> layer = Diagonal(3)
    >>> _ = torch.nn.init.constant_(layer.log_scale, 0.5)
    >>> layer(torch.ones(3))
    (tensor([1.6487, 1.6487, 1.6487], grad_fn=<ViewBackward0>), tensor(1.5000, grad_fn=<ViewBackward0>))
    """

    def __init__(self, features: int):
        super().__init__()
        if features < 1:
            raise ConfigError(f"expected at least 1 feature, got {features}; give the width of a row")
        self.event_shape = self.output_shape = Size((features,))
        self.log_scale = nn.Parameter(torch.zeros(features))

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return z * positive_diagonal(self.log_scale), self.log_scale.sum().expand(len(z))

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return x / positive_diagonal(self.log_scale), -self.log_scale.sum().expand(len(x))
