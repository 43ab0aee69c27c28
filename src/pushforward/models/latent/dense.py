"""Multilayer perceptrons between events of any shape and vectors: the two halves of a model that knows nothing of neighbours."""

from collections.abc import Sequence

from torch import Tensor, nn

from pushforward.core.registry import register
from pushforward.core.shapes import as_size
from pushforward.parts.nn import MLP


@register
class DenseEncoder(nn.Module):
    """y `(n, *event)` to features `(n, hidden[-1])`.

    >>> import torch
    >>> DenseEncoder((1, 2, 2), hidden=[8, 6])(torch.zeros(5, 1, 2, 2)).shape
    torch.Size([5, 6])
    """

    def __init__(self, event_shape: Sequence[int], hidden: Sequence[int] = (128, 128), activation: str = "silu"):
        super().__init__()
        self.outputs = hidden[-1]
        self.layers = MLP(as_size(event_shape).numel(), hidden[-1], hidden[:-1], activation)
        self.activation = self.layers.activation

    def forward(self, y: Tensor) -> Tensor:
        """Features."""
        return self.activation(self.layers(y.flatten(1)))


@register
class DenseDecoder(nn.Module):
    """z `(n, latents)` to `size` numbers for each number of an event, `(n, size, *event)`.

    >>> import torch
    >>> DenseDecoder(3, (1, 2, 2), size=2, hidden=[8])(torch.zeros(5, 3)).shape
    torch.Size([5, 2, 1, 2, 2])
    """

    def __init__(self, latents: int, event_shape: Sequence[int], size: int = 1, hidden: Sequence[int] = (128, 128),
                 activation: str = "silu"):  # fmt: skip
        super().__init__()
        self.shape = (size, *as_size(event_shape))
        self.layers = MLP(latents, size * as_size(event_shape).numel(), hidden, activation)

    def forward(self, z: Tensor) -> Tensor:
        """Numbers for the likelihood."""
        return self.layers(z).reshape(len(z), *self.shape)
