"""Multilayer perceptron: linear layers with a nonlinearity between them, and perhaps a condition beside the input."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .activations import activation_named
from .head import Head
from .join import join_condition
from .relu_layers import relu_layers


@register
class MLP(nn.Module):
    """W_k act(... act(W_1 [x, condition] + b_1) ...) + b_k, for x `(n, inputs)` and condition `(n, condition)`.

    `hidden` lists the widths between input and output; `activation` is a name (see `activation_named`). With
    `zero_last` the output begins at zero, so that a flow built on it begins as the identity. Without any input
    (`inputs` and `condition` both 0) it is a learned constant, which begins at zero. `dropout` is the probability that a
    hidden unit is left out; like every dropout of PyTorch it acts in training mode only, and draws from the global generator.

    Raises `ConfigError` for an unknown activation, a width below 1 or a dropout outside [0, 1), `ShapeError` when x or the
    condition does not fit.

    >>> import torch
    >>> MLP(3, 2, hidden=(16,), condition=1)(torch.randn(5, 3), torch.randn(5, 1)).shape
    torch.Size([5, 2])
    >>> MLP(0, 2)(torch.empty(3, 0)).tolist()
    [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    """

    def __init__(self, inputs: int, outputs: int, hidden: Sequence[int] = (128, 128), activation: str = "silu",
                 condition: int = 0, zero_last: bool = False, dropout: float = 0.0):  # fmt: skip
        super().__init__()
        if min(inputs, condition) < 0 or min((outputs, *hidden)) < 1:
            raise ConfigError("expected outputs and hidden widths of at least 1, inputs and condition of at least 0, "
                              f"got {outputs}, {list(hidden)}, {inputs} and {condition}; raise what is too small")  # fmt: skip
        if not 0 <= dropout < 1:
            raise ConfigError(f"expected a dropout in [0, 1), got {dropout:g}; 0.2 is usual for small data")
        self.inputs, self.outputs, self.condition, self.dropout = inputs, outputs, condition, dropout
        self.activation = activation_named(activation)
        width = inputs + condition
        sizes = [width, *hidden] if width else [0]
        self.hidden = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(sizes))
        self.head = Head(sizes[-1], outputs, zero_last)

    def forward(self, x: Float[Tensor, "n inputs"],
                condition: Float[Tensor, "rows given"] | None = None) -> Float[Tensor, "n outputs"]:  # fmt: skip
        """Evaluate the network."""
        return self._run(x, condition, columns=False)

    def columns(self, x: Float[Tensor, "n inputs"],
                condition: Float[Tensor, "rows given"] | None = None) -> Float[Tensor, "outputs n"]:  # fmt: skip
        """The transposed output, with one contiguous row for each output; it costs no more than `forward`.

        Elementwise maps that read one parameter of all rows at a time, such as splines, are several times faster on it.
        """
        return self._run(x, condition, columns=True)

    def relu_parameters(self) -> tuple[list[Tensor], list[Tensor]] | None:
        """Weights and biases where this is `relu_layers` of them now; None with another activation, or dropout at work."""
        if self.activation is not torch.relu or self.head.linear is None or (self.training and self.dropout):
            return None
        layers = [*self.hidden, self.head.linear]
        return [layer.weight for layer in layers], [layer.bias for layer in layers]

    def _run(self, x: Tensor, condition: Tensor | None, columns: bool) -> Tensor:
        h = join_condition(x, condition, self.inputs, self.condition)
        if (plain := self.relu_parameters()) is not None:
            return relu_layers(h, *plain, columns)
        for layer in self.hidden:
            h = self.activation(layer(h))
            if self.training and self.dropout:
                h = functional.dropout(h, self.dropout)
        return self.head.columns(h) if columns else self.head(h)
