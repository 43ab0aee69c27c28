"""A small model to train in the tests of the loop: a conditional Gaussian whose mean is an MLP with dropout."""

import torch
from torch import Size, Tensor, nn

from pushforward.core.distribution import Distribution
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register


@register
class NoisyLine(Distribution):
    """p(x) = N(m(1), s^2 I), trained with dropout so that hidden randomness shows."""

    def __init__(self, features: int = 3, hidden: int = 16, dropout: float = 0.1):
        super().__init__()
        self.event_shape = Size((features,))
        self.net = nn.Sequential(nn.Linear(1, hidden), nn.Tanh(), nn.Dropout(dropout), nn.Linear(hidden, features))
        self.log_scale = nn.Parameter(torch.zeros(features))

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        mean = self.net(self.log_scale.new_ones(generator.rows, 1))
        return mean + self.log_scale.exp() * generator.normal(*self.event_shape)

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        mean = self.net(x.new_ones(len(x), 1))
        return torch.distributions.Normal(mean, self.log_scale.exp()).log_prob(x).sum(-1)


def line_data(rows: int = 400) -> Tensor:
    """Rows of a Gaussian with different means and scales."""
    generator = torch.Generator().manual_seed(7)
    return torch.randn(rows, 3, generator=generator) * torch.tensor([0.5, 1.0, 2.0]) + torch.tensor([1.0, -1.0, 0.0])
