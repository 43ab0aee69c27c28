"""The velocity field of a continuous flow of images: convolutions of z and t that also give J v, by tangents carried by hand.

FFJORD for images (Grathwohl et al. 2019, https://arxiv.org/abs/1810.01367): 3 x 3 convolutions with softplus between them,
time as one more channel of each. v'Jv for one v costs twice a pass, and no backward pass inside the solve.
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Size, Tensor, nn
from torch.nn import functional

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.registry import register
from pushforward.core.shapes import as_size

from .traced_layers import SMOOTH, activate


@register
class VelocityConvNet(nn.Module):
    """f(t, z) for images z `(n, channels, height, width)`: `layers` convolutions, `width` channels between them.

    The last layer begins at zero, so that a flow along the field begins as the identity.

    Raises `ConfigError` for sizes below 1 or an activation that is not smooth, `ShapeError` for other images.

    >>> field = VelocityConvNet((1, 4, 4), width=8)
    >>> f, moved = field.value_and_tangents(torch.rand(5), torch.randn(5, 1, 4, 4), torch.randn(2, 5, 1, 4, 4))
    >>> f.shape, moved.shape
    (torch.Size([5, 1, 4, 4]), torch.Size([2, 5, 1, 4, 4]))
    """

    def __init__(self, event_shape: tuple[int, ...] | list[int], width: int = 32, layers: int = 4,
                 activation: str = "softplus"):  # fmt: skip
        super().__init__()
        shape = as_size(event_shape)
        if len(shape) != 3 or min(*shape, width) < 1 or layers < 2 or activation not in SMOOTH:
            raise ConfigError(f"expected images of shape (channels, height, width), a width of at least 1, 2 layers and {' or '.join(SMOOTH)}, "
                              f"got {tuple(shape)}, {width}, {layers} and {activation!r}")  # fmt: skip
        self.event_shape, self.activation = Size(shape), activation
        self.numbers = 4 * width * (layers - 1) * shape[1] * shape[2]
        sizes = [shape[0], *[width] * (layers - 1), shape[0]]
        self.layers = nn.ModuleList(nn.Conv2d(a + 1, b, 3, padding=1) for a, b in pairwise(sizes))
        for parameter in self.layers[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, t: Float[Tensor, " n"], z: Float[Tensor, "n c h w"],
                condition: Tensor | None = None) -> Float[Tensor, "n c h w"]:  # fmt: skip
        """dz/dt."""
        return self.value_and_tangents(t, z, z.new_empty(0, *z.shape), condition)[0]

    def value_and_tangents(self, t: Float[Tensor, " n"], z: Float[Tensor, "n c h w"], vectors: Float[Tensor, "k n c h w"],
                           condition: Tensor | None = None,
                           ) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "k n c h w"]]:  # fmt: skip
        """dz/dt and J v for each of k vectors v, from one pass of k + 1 images an image."""
        if z.shape[1:] != self.event_shape or condition is not None:
            raise ShapeError(f"expected images of shape (n, {', '.join(map(str, self.event_shape))}) and no condition, "
                             f"got {tuple(z.shape)}; build the network for this size")  # fmt: skip
        k, n = len(vectors), len(z)
        clock = torch.cat([t, t.new_zeros(k * n)]).reshape(-1, 1, 1, 1).expand(-1, 1, *z.shape[2:])
        rows = torch.cat([z, vectors.reshape(k * n, *z.shape[1:])])
        for i, (weight, bias) in enumerate(self._pairs()):
            if i:
                h, slope = activate(self.activation, rows[:n])
                rows = torch.cat([h, (rows[n:].reshape(k, *h.shape) * slope).reshape(k * n, *h.shape[1:])])
            rows = functional.conv2d(torch.cat([rows, clock], 1), weight, padding=1)
            rows = torch.cat([rows[:n] + bias.reshape(-1, 1, 1), rows[n:]])
        return rows[:n], rows[n:].reshape(k, *z.shape)

    def _pairs(self) -> list[tuple[Tensor, Tensor]]:
        return [(layer.weight, layer.bias) for layer in self.layers]  # pyright: ignore[reportReturnType]
