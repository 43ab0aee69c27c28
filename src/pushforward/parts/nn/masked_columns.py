"""MADE's network for columns of different kinds, in several orders with one set of weights.

Column i enters as `widths[i]` numbers (one for each level of a category, say) and gets `sizes[i]` parameters. All numbers of a
column have its degree; otherwise the masks are those of `masked_mlp.py`. Each order has masks of its own over the same weights:
order-agnostic training (Germain et al. 2015, https://arxiv.org/abs/1502.03509, section 4.2).
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .activations import activation_named
from .column_walk import Walk
from .join import join_condition
from .masked_mlp import degrees


@register
class MaskedColumns(nn.Module):
    """`sizes[i]` parameters for each column i, made from the columns before it in an order and from the condition.

    x `(n, sum(widths))` and condition `(n, condition)` to `(n, sum(sizes))`, columns side by side in both; `order` picks one
    of `orders`, each of which lists all columns, the first one first.

    Raises `ConfigError` for widths, sizes, dropout or orders that cannot be, `ShapeError` when x or the condition does not fit.

    >>> network = MaskedColumns([2, 1], [2, 1], hidden=[8], orders=[[0, 1], [1, 0]])
    >>> seen = lambda order: torch.autograd.functional.jacobian(lambda x: network(x[None], order=order)[0], torch.randn(3))
    >>> (seen(0) != 0).int()    # the second column sees both numbers of the first
    tensor([[0, 0, 0],
            [0, 0, 0],
            [1, 1, 0]], dtype=torch.int32)
    """

    def __init__(self, widths: Sequence[int], sizes: Sequence[int], hidden: Sequence[int] = (128, 128), activation: str = "relu",
                 condition: int = 0, orders: Sequence[Sequence[int]] | None = None, dropout: float = 0.0):  # fmt: skip
        super().__init__()
        columns = len(widths)
        if len(sizes) != columns or condition < 0 or min((*widths, *sizes, *hidden, columns)) < 1:
            raise ConfigError(
                f"expected a width and a size of at least 1 for each column, hidden widths of at least 1 and a condition of at "
                f"least 0, got {list(widths)}, {list(sizes)}, {list(hidden)} and {condition}; raise what is too small"
            )
        if not 0 <= dropout < 1:
            raise ConfigError(f"expected a dropout in [0, 1), got {dropout:g}; 0.2 is usual for small data")
        self.orders = [list(order) for order in ([range(columns)] if orders is None else orders)]
        if not self.orders or any(sorted(order) != list(range(columns)) for order in self.orders):
            raise ConfigError(
                f"expected orders that hold each of 0 .. {columns - 1} once, got {self.orders}; list the columns, the first one first"
            )
        self.widths, self.sizes, self.condition = list(widths), list(sizes), condition
        self.dropout, self.activation = dropout, activation_named(activation)
        lowest = 0 if condition else 1  # without a condition, units of degree 0 would be constants
        self.degrees = [degrees(width, lowest, columns - 1) for width in (hidden if columns > lowest else ())]
        stages = [sum(widths) + condition, *(len(row) for row in self.degrees), sum(sizes)]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for i, (before, after) in enumerate(pairwise(stages)):
            masks = [self._mask(i, order) for order in (self.orders if i in (0, len(stages) - 2) else self.orders[:1])]
            self.register_buffer(f"masks{i}", torch.stack(masks), persistent=False)
            # Within 1 / sqrt(the inputs that an output reads), in the first order.
            reach = masks[0].sum(1, keepdim=True).clamp(min=1).rsqrt()
            self.weights.append(nn.Parameter((torch.rand(after, before) * 2 - 1) * reach))
            self.biases.append(nn.Parameter(torch.zeros(after)))

    def forward(self, x: Float[Tensor, "n inputs"], condition: Float[Tensor, "rows given"] | None = None,
                order: int = 0) -> Float[Tensor, "n outputs"]:  # fmt: skip
        """Evaluate the network in one of its orders."""
        h, last = join_condition(x, condition, sum(self.widths), self.condition), len(self.weights) - 1
        for i in range(last + 1):
            h = functional.linear(h, self.masked(i, order), self.biases[i])
            if i < last:
                h = self.activation(h)
                if self.dropout and self.training:
                    h = functional.dropout(h, self.dropout)
        return h

    def masked(self, layer: int, order: int) -> Tensor:
        """The weights of a layer with zeros in their places."""
        masks = self.get_buffer(f"masks{layer}")
        return self.weights[layer] * masks[order if len(masks) > 1 else 0]

    def walk(self, condition: Tensor | None, order: int = 0) -> Walk:
        """The network prepared to be evaluated column by column, in order; see `column_walk.py`."""
        with torch.no_grad():
            device, sequence, inputs = self.biases[0].device, self.orders[order], sum(self.widths)
            weights = [self.masked(i, order) for i in range(len(self.weights))]
            biases = [bias.detach().clone()[:, None] for bias in self.biases]
            rows = torch.tensor(_places(self.sizes, sequence), device=device)
            weights[-1], biases[-1] = weights[-1][rows], biases[-1][rows]
            given = weights[0][:, inputs:]
            weights[0] = weights[0][:, torch.tensor(_places(self.widths, sequence), device=device)]
            if condition is not None:
                biases[0] = torch.addmm(biases[0], given, condition.T)
        widths, sizes = ([numbers[i] for i in sequence] for numbers in (self.widths, self.sizes))
        # Column p is known one step after its parameters: place p is below degree p + 1.
        hidden = [[sum(d < p for d in row) for p in range(len(sequence) + 1)] for row in self.degrees]
        cuts = [[0, 0, *accumulate(widths[:-1])], *hidden, [0, *accumulate(sizes)]]
        return Walk(0, weights, biases, cuts, self.activation, widths)

    def _mask(self, layer: int, order: Sequence[int]) -> Tensor:
        place = {column: p for p, column in enumerate(order)}
        inputs = [place[i] + 1 for i, width in enumerate(self.widths) for _ in range(width)] + [0] * self.condition
        outputs = [place[i] for i, size in enumerate(self.sizes) for _ in range(size)]
        before, after = [inputs, *self.degrees, outputs][layer : layer + 2]
        return (torch.tensor(before)[None, :] <= torch.tensor(after)[:, None]).to(torch.get_default_dtype())


def _places(widths: Sequence[int], order: Sequence[int]) -> list[int]:
    """Where the numbers of the columns stand, in this order of the columns."""
    starts = [0, *accumulate(widths)]
    return [starts[i] + j for i in order for j in range(widths[i])]
