"""Angles for a network, as points of the circle: it cannot tell pi from -pi."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register


@register
class Periodic(nn.Module):
    """network([cos x, sin x], condition) for angles x `(n, inputs)` in radians; the network has twice as many inputs.

    Whatever the network, the outcome has period 2 pi in every angle, without a seam. The condition passes as it is.

    Raises `ConfigError` for a network with an odd number of inputs.

    >>> from pushforward.parts.nn import MLP
    >>> network = Periodic(MLP(4, 3))
    >>> x = torch.tensor([[torch.pi, 0.5]])
    >>> bool(torch.allclose(network(x), network(x - 2 * torch.pi), atol=1e-6))
    True
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        inputs = getattr(network, "inputs", None)
        if not isinstance(inputs, int) or inputs % 2:
            raise ConfigError(
                f"expected a network with an even number of inputs, got {inputs}; it has a cosine and a sine for every angle"
            )
        self.inputs, self.outputs = inputs // 2, getattr(network, "outputs", None)
        self.condition: int = getattr(network, "condition", 0)
        self.network = network

    def forward(self, x: Float[Tensor, "n inputs"],
                condition: Float[Tensor, "rows given"] | None = None) -> Float[Tensor, "n outputs"]:  # fmt: skip
        """Evaluate the network."""
        return self.network(_embedded(x), condition)

    def columns(self, x: Float[Tensor, "n inputs"],
                condition: Float[Tensor, "rows given"] | None = None) -> Float[Tensor, "outputs n"]:  # fmt: skip
        """The transposed output, as of `MLP.columns`."""
        columns: Any = getattr(self.network, "columns", None)
        x = _embedded(x)
        return self.network(x, condition).T if columns is None else columns(x, condition)


def _embedded(x: Tensor) -> Tensor:
    return torch.cat([x.cos(), x.sin()], 1)
