"""Amplitudes from -1 to 1 as a few levels: mu-law companding, or equal steps.

    f(x) = sign(x) ln(1 + mu |x|) / ln(1 + mu),    level = round((f(x) + 1) (levels - 1) / 2),

so that steps are fine near silence and coarse where it is loud: ITU-T Recommendation G.711, 1988; WaveNet
(https://arxiv.org/abs/1609.03499, section 2.2) has mu = 255 and 256 levels. With mu = 0 levels are equally apart, and 65,536
of them are the whole numbers of a 16-bit recording.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register


@register
class AmplitudeLevels:
    """`levels` cells that cover [-1, 1]. `decode` gives the amplitude that stands for a cell, and `encode` takes it back.

    Raises `ConfigError` for fewer than 2 levels or a negative mu.

    >>> levels = AmplitudeLevels(256)
    >>> levels.encode(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([  0., 128., 255.])
    """

    def __init__(self, levels: int = 256, mu: float = 255.0):
        if levels < 2 or not 0 <= mu < math.inf:
            raise ConfigError(
                f"expected at least 2 levels and mu of 0 or more, got {levels} and {mu:g}; 256 and 255 are usual"
            )
        self.levels, self.mu = levels, mu

    def encode(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The level, a whole number from 0, of each amplitude; NaN, the mark of no sample, stays NaN."""
        if self.mu == 0:
            return ((x + 1) * (self.levels / 2)).round().clamp(0, self.levels - 1)
        return ((compand(x, self.mu) + 1) * ((self.levels - 1) / 2) + 0.5).floor().clamp(0, self.levels - 1)

    def decode(self, level: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The amplitude that stands for each level."""
        if self.mu == 0:
            return level * (2 / self.levels) - 1
        y = level * (2 / (self.levels - 1)) - 1
        return y.sign() * torch.expm1(y.abs() * math.log1p(self.mu)) / self.mu


def compand(x: Float[Tensor, "*shape"], mu: float = 255.0) -> Float[Tensor, "*shape"]:
    """f(x) of the module: from [-1, 1] onto itself, steep at 0."""
    return x.sign() * torch.log1p(mu * x.abs()) / math.log1p(mu)
