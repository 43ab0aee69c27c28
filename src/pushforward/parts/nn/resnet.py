"""Residual perceptron: h + W_2 act(W_1 act(h)), repeated (He et al. 2016, https://arxiv.org/abs/1603.05027)."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .activations import activation_named
from .head import Head
from .join import join_condition


@register
class ResidualMLP(nn.Module):
    """A linear layer to `width`, `blocks` residual blocks, a linear layer out; x `(n, inputs)` -> `(n, outputs)`.

    Every block begins near the identity (its second layer starts near zero), so that depth costs nothing at first.
    `activation`, `condition` `(n, condition)`, `zero_last`, `dropout` (in the middle of a block) and the constant of a
    network without input are as in `MLP`.

    Raises `ConfigError` for an unknown activation, a width below 1 or a dropout outside [0, 1), `ShapeError` when x or the
    condition does not fit.

    >>> import torch
    >>> ResidualMLP(3, 2, width=16, condition=1)(torch.randn(5, 3), torch.randn(5, 1)).shape
    torch.Size([5, 2])
    """

    def __init__(self, inputs: int, outputs: int, width: int = 128, blocks: int = 2, activation: str = "silu",
                 condition: int = 0, zero_last: bool = False, dropout: float = 0.0):  # fmt: skip
        super().__init__()
        if min(inputs, condition) < 0 or min(outputs, width, blocks) < 1:
            raise ConfigError("expected outputs, width and blocks of at least 1, inputs and condition of at least 0, "
                              f"got {outputs}, {width}, {blocks}, {inputs} and {condition}; raise what is too small")  # fmt: skip
        if not 0 <= dropout < 1:
            raise ConfigError(f"expected a dropout in [0, 1), got {dropout:g}; 0.2 is usual for small data")
        self.inputs, self.outputs, self.condition, self.dropout = inputs, outputs, condition, dropout
        self.activation = activation_named(activation)
        joined = inputs + condition
        self.enter = nn.Linear(joined, width) if joined else None
        self.first = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks if joined else 0))
        self.second = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks if joined else 0))
        for parameter in self.second.parameters():
            nn.init.uniform_(parameter, -1e-3, 1e-3)
        self.head = Head(width if joined else 0, outputs, zero_last)

    def forward(self, x: Float[Tensor, "n inputs"],
                condition: Float[Tensor, "rows given"] | None = None) -> Float[Tensor, "n outputs"]:  # fmt: skip
        """Evaluate the network."""
        return self.head(self._features(x, condition))

    def columns(self, x: Float[Tensor, "n inputs"],
                condition: Float[Tensor, "rows given"] | None = None) -> Float[Tensor, "outputs n"]:  # fmt: skip
        """The transposed output, with one contiguous row for each output, as of `MLP.columns`."""
        return self.head.columns(self._features(x, condition))

    def _features(self, x: Tensor, condition: Tensor | None) -> Tensor:
        h = join_condition(x, condition, self.inputs, self.condition)
        if self.enter is None:
            return h
        h = self.enter(h)
        for first, second in zip(self.first, self.second):
            change = self.activation(first(self.activation(h)))
            if self.training and self.dropout:
                change = functional.dropout(change, self.dropout)
            h = h + second(change)
        return self.activation(h)
