"""The critic of an adversarial network: one number for an event, with the event's class or given numbers beside its features."""

import torch
from torch import Tensor, nn

from pushforward.core.registry import register


@register
class Critic(nn.Module):
    """head([encoder(y), condition]): `(n, *event)` to `(n,)`; `head` takes the features of the encoder, and the condition by its side.

    >>> from pushforward.models.latent.dense import DenseEncoder
    >>> from pushforward.parts.nn import MLP
    >>> Critic(DenseEncoder((2,), [8]), MLP(8, 1, hidden=[4]))(torch.zeros(3, 2)).shape
    torch.Size([3])
    """

    def __init__(self, encoder: nn.Module, head: nn.Module):
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, y: Tensor, condition: Tensor | None = None) -> Tensor:
        """High for what looks real."""
        return self.head(self.encoder(y), condition)[:, 0]


def input_gradient(critic: nn.Module, y: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
    """D(y) and dD/dy, both differentiable by the weights, also where gradients are switched off around it."""
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        score = critic(y, condition)
        (slope,) = torch.autograd.grad(score.sum(), y, create_graph=True)
    return score, slope


def gradient_at_real(slope: Tensor) -> Tensor:
    """R1: E |dD/dy|^2 / 2 at real events (Mescheder et al. 2018, https://arxiv.org/abs/1801.04406)."""
    return 0.5 * slope.flatten(1).square().sum(1).mean()


def gradient_between(slope: Tensor) -> Tensor:
    """WGAN-GP: E (|dD/dy| - 1)^2 (Gulrajani et al. 2017, https://arxiv.org/abs/1704.00028)."""
    # The norm has no gradient at 0; there the critic is flat and should rise, any way.
    return ((slope.flatten(1).square().sum(1) + 1e-12).sqrt() - 1).square().mean()
