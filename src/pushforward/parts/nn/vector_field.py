"""Vector fields f(t, h) to be solved: a perceptron on vectors, and a small convolutional network on images.

Chen et al., 2018, Neural Ordinary Differential Equations, https://arxiv.org/abs/1806.07366.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .activations import activation_named
from .mlp import MLP


@register
class VectorField(nn.Module):
    """f(t, h) for h `(n, features)` and t `(n,)`: an `MLP` of h, and with `time` of t beside it.

    The activation should be smooth: at the kinks of a ReLU an adaptive solver takes many small steps.

    >>> VectorField(3, (16,), time=True)(torch.zeros(5), torch.randn(5, 3)).shape
    torch.Size([5, 3])
    """

    def __init__(self, features: int, hidden: Sequence[int] = (64, 64), activation: str = "tanh", time: bool = False):
        super().__init__()
        self.features, self.time = features, time
        self.network = MLP(features, features, hidden, activation, condition=int(time))

    def forward(self, t: Float[Tensor, " n"], h: Float[Tensor, "n features"]) -> Float[Tensor, "n features"]:
        """dh/dt."""
        return self.network(h, t[:, None]) if self.time else self.network(h)


@register
class ConvVectorField(nn.Module):
    """f(t, h) for h `(n, channels, height, width)`: three 3 x 3 convolutions, `width` channels inside, t as one more channel.

    Raises `ConfigError` for sizes below 1.

    >>> ConvVectorField(2, 8)(torch.zeros(5), torch.randn(5, 2, 4, 4)).shape
    torch.Size([5, 2, 4, 4])
    """

    def __init__(self, channels: int, width: int = 32, activation: str = "softplus", time: bool = True):
        super().__init__()
        if min(channels, width) < 1:
            raise ConfigError(f"expected channels and width of at least 1, got {channels} and {width}; raise them")
        self.channels, self.time, self.activation = channels, time, activation_named(activation)
        self.first = nn.Conv2d(channels + int(time), width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, t: Float[Tensor, " n"], h: Float[Tensor, "n c a b"]) -> Float[Tensor, "n c a b"]:
        """dh/dt."""
        if self.time:
            h = torch.cat([h, t[:, None, None, None].expand(-1, 1, *h.shape[2:])], 1)
        return self.last(self.activation(self.second(self.activation(self.first(h)))))
