"""MADE: one network whose outputs for a feature see only the features before it.

Features stand in an order; the feature at place p of it (from 0) has degree p + 1 as an input and p as an output, and
a hidden unit of degree m sees what has degree at most m: the first m features, and the condition. Along every path
degrees never fall, so an output sees the features before its own and no others (Germain et al. 2015,
https://arxiv.org/abs/1502.03509).
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .activations import activation_named
from .join import join_condition
from .masked_linear import MaskedLinear
from .relu_layers import relu_layers


@register
class MaskedMLP(nn.Module):
    """`size` parameters for each of `inputs` features, made from the features before it in `order` and the condition.

    x `(n, inputs)` and condition `(n, condition)` to `(n, size * inputs)`: output `k * inputs + i` is parameter k of
    feature i. `order` lists the features, the first one first; left out, it is 0, 1, 2, ... Hidden units are sorted by
    degree, and spread evenly over the degrees. `hidden`, `activation`, `zero_last` and `dropout` are as for `MLP`. One
    feature alone sees the condition; without one its parameters are learned constants.

    Raises `ConfigError` for an order that does not hold each feature once, or widths and dropout as for `MLP`; `ShapeError`
    when x or the condition does not fit.

    >>> network = MaskedMLP(3, 2, hidden=(16,), order=[2, 0, 1])
    >>> jacobian = torch.autograd.functional.jacobian(lambda x: network(x[None])[0], torch.randn(3))
    >>> (jacobian[:3] != 0).int()    # feature 0 sees 2; feature 1 sees 2 and 0; feature 2 is the first
    tensor([[0, 0, 1],
            [1, 0, 1],
            [0, 0, 0]], dtype=torch.int32)
    """

    def __init__(self, inputs: int, size: int, hidden: Sequence[int] = (128, 128), activation: str = "relu",
                 condition: int = 0, order: Sequence[int] | None = None, zero_last: bool = False, dropout: float = 0.0):  # fmt: skip
        super().__init__()
        if condition < 0 or min((inputs, size, *hidden)) < 1:
            raise ConfigError("expected inputs, size and hidden widths of at least 1, condition of at least 0, "
                              f"got {inputs}, {size}, {list(hidden)} and {condition}; raise what is too small")  # fmt: skip
        if not 0 <= dropout < 1:
            raise ConfigError(f"expected a dropout in [0, 1), got {dropout:g}; 0.2 is usual for small data")
        order = list(range(inputs)) if order is None else list(order)
        if sorted(order) != list(range(inputs)):
            raise ConfigError(
                f"expected an order of each of 0 .. {inputs - 1} once, got {order}; list the features, the first one first"
            )
        self.inputs, self.size, self.outputs, self.condition = inputs, size, size * inputs, condition
        self.dropout, self.order, self.activation = dropout, order, activation_named(activation)
        lowest = 0 if condition else 1  # without a condition, units of degree 0 would be constants
        widths = hidden if inputs > lowest else ()
        self.degrees = [degrees(width, lowest, inputs - 1) for width in widths]
        place = [order.index(i) for i in range(inputs)]
        stages = [[p + 1 for p in place] + [0] * condition, *self.degrees, place * size]
        self.layers = nn.ModuleList(
            MaskedLinear(before, after, zero_last and i == len(widths))
            for i, (before, after) in enumerate(pairwise(stages))
        )

    def forward(self, x: Float[Tensor, "n inputs"],
                condition: Float[Tensor, "rows given"] | None = None) -> Float[Tensor, "n outputs"]:  # fmt: skip
        """Evaluate the network."""
        return self._run(x, condition, columns=False, dropout=True)

    def columns(self, x: Float[Tensor, "n inputs"],
                condition: Float[Tensor, "rows given"] | None = None, dropout: bool = True) -> Float[Tensor, "outputs n"]:  # fmt: skip
        """The transposed output, with one contiguous row for each output, as of `MLP.columns`; perhaps without dropout."""
        return self._run(x, condition, columns=True, dropout=dropout)

    def linears(self) -> list[MaskedLinear]:
        """The layers, from input to output."""
        return [layer for layer in self.layers if isinstance(layer, MaskedLinear)]

    def relu_parameters(self, dropout: bool = True) -> tuple[list[Tensor], list[Tensor]] | None:
        """Weights, masked, and biases where this is `relu_layers` of them now; None where it is not, as of `MLP`."""
        if self.activation is not torch.relu or (dropout and self.training and self.dropout):
            return None
        layers = self.linears()
        return [layer.masked() for layer in layers], [layer.bias for layer in layers]

    def _run(self, x: Tensor, condition: Tensor | None, columns: bool, dropout: bool) -> Tensor:
        h, layers = join_condition(x, condition, self.inputs, self.condition), self.linears()
        left_out = self.dropout if dropout and self.training else 0.0
        if (plain := self.relu_parameters(dropout)) is not None:
            return relu_layers(h, *plain, columns)
        for layer in layers[:-1]:
            h = self.activation(layer(h))
            if left_out:
                h = functional.dropout(h, left_out)
        return layers[-1].columns(h) if columns else layers[-1](h)


def degrees(width: int, lowest: int, highest: int) -> list[int]:
    """`width` degrees in ascending order, spread evenly over lowest .. highest, both ends included where two fit.

    >>> degrees(5, 1, 3), degrees(3, 0, 8)
    ([1, 1, 2, 2, 3], [0, 4, 8])
    """
    count = highest - lowest + 1
    if width >= count:
        return [lowest + j * count // width for j in range(width)]
    gaps = max(width - 1, 1)
    return [lowest + (2 * j * (count - 1) + gaps) // (2 * gaps) for j in range(width)]
