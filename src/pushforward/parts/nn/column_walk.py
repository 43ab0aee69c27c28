"""A masked network evaluated feature by feature, for the price of about one evaluation.

To sample x_0, x_1, ... in order, each from parameters that the ones before it decide, the network would have to run once for
every feature. But when feature p - 1 becomes known, only the units of degree p become computable that were not before, and
no unit changes afterwards. Units are sorted by degree, so each step is a product with a slice of each weight matrix; all
steps together do the work of one evaluation, of which the masks even save half.

Activations stand feature-first, `(units, n)`, in memory that is allocated once. Steps go in blocks: what was known before a
block enters all its units by one large product, which runs many times faster than a narrow one for every step.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .masked_mlp import MaskedMLP

BLOCK = 8  # features


@dataclass(frozen=True)
class Walk:
    """A masked network with features and outputs in its order, and without gradients.

    `weights[l]` leads from stage l to stage l + 1: stage 0 is the features, the last one the outputs, `size` for each place.
    `cuts[l][p]` of stage l's units have degrees below p, so that they are known once p - 1 features are.
    """

    size: int
    weights: list[Tensor]
    biases: list[Tensor]  # `(units, 1)`, or with the condition's share `(units, n)`
    cuts: list[list[int]]
    activation: Callable[[Tensor], Tensor]
    widths: list[int]  # how many inputs each place has: 1 for a number, one for each level of a category

    @classmethod
    def of(cls, network: MaskedMLP, condition: Tensor | None) -> "Walk":
        """Copy the weights, so that what happens to the network later does not change this."""
        with torch.no_grad():
            layers, size, places = network.linears(), network.size, network.inputs
            weights, biases = [layer.masked() for layer in layers], [layer.bias.clone()[:, None] for layer in layers]
            # The order first, since with one layer the first is the last.
            order = torch.tensor(network.order, device=biases[0].device)
            weights[-1] = weights[-1].view(size, places, -1)[:, order].transpose(0, 1).reshape(size * places, -1)
            biases[-1] = biases[-1].view(size, places)[:, order].T.reshape(-1, 1)
            given = weights[0][:, places:]
            weights[0] = weights[0][:, :places].index_select(1, order)
            if condition is not None:
                biases[0] = torch.addmm(biases[0], given, condition.T)
            hidden = [[bisect_left(row, p) for p in range(places + 1)] for row in network.degrees]
        # A feature is known one step later than a unit of its number: place p is below degree p + 1.
        cuts = [[max(p - 1, 0) for p in range(places + 1)], *hidden, [p * size for p in range(places + 1)]]
        return cls(size, weights, biases, cuts, network.activation, [1] * places)

    def forward(self, rows: int, step: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Features `(places, n)` in order, each of them `step(place, parameters)` with parameters `(size, n)`.

        A place of several inputs gives them all, `(width, n)`.
        """
        places = len(self.cuts[-1]) - 1
        first = self.biases[0]
        stages = [
            first.new_empty(sum(self.widths), rows),
            *(b.expand(-1, rows).clone(memory_format=torch.contiguous_format) for b in self.biases),
        ]
        known = stages[0].split(self.widths)
        for start in range(0, places, BLOCK):
            end = min(start + BLOCK, places)
            for i, weight in enumerate(self.weights):
                old, a, b = self.cuts[i][start], self.cuts[i + 1][start], self.cuts[i + 1][end]
                if old and b > a:
                    stages[i + 1][a:b].addmm_(weight[a:b, :old], stages[i][:old])
            for place in range(start, end):
                known[place].copy_(step(place, self._advance(stages, start, place)))
        return stages[0]

    def _advance(self, stages: list[Tensor], start: int, place: int) -> Tensor:
        """Compute the units of degree `place`, and with them the parameters of the feature there."""
        last, unit = len(self.weights) - 1, stages[0]
        for i, weight in enumerate(self.weights):
            (low, high), (a, b) = (self.cuts[i][start], self.cuts[i][place + 1]), self.cuts[i + 1][place : place + 2]
            if a == b:
                continue
            unit = stages[i + 1][a:b]
            if high > low:
                unit.addmm_(weight[a:b, low:high], stages[i][low:high])
            if i < last:
                if self.activation is torch.relu:
                    unit.relu_()
                else:
                    unit.copy_(self.activation(unit))
        return unit

    def evaluate(self, features: Tensor) -> tuple[list[Tensor], Tensor]:
        """For features `(places, n)` in order: the activation's slope at every hidden unit, and all parameters, `(size * places, n)`."""
        slopes, h = [], features
        for weight, bias in zip(self.weights[:-1], self.biases):
            with torch.no_grad():
                before = torch.addmm(bias, weight, h)
            with torch.enable_grad():
                after = self.activation(before.requires_grad_())
                slopes.append(torch.autograd.grad(after.sum(), before)[0])
            h = after.detach()
        with torch.no_grad():
            return slopes, torch.addmm(self.biases[-1], self.weights[-1], h)

    def transposed(self, slopes: list[Tensor], by_parameters: Tensor, gradient: Tensor) -> Tensor:
        """v with v = gradient + J' v, where J is the Jacobian of features -> parameters -> step; `slopes` as of `evaluate`.

        `gradient` is `(places, n)` in order, and `by_parameters` `(size * places, n)` is the derivative of each step by its
        own parameters. J is triangular: walking back from the last feature costs one backward pass.
        """
        last = len(self.weights) - 1
        bars = [gradient.clone(), *(torch.empty_like(slope) for slope in slopes), torch.empty_like(by_parameters)]
        for place in range(len(gradient) - 1, -1, -1):
            own = slice(place * self.size, (place + 1) * self.size)
            torch.mul(by_parameters[own], bars[0][place], out=bars[-1][own])
            for i in range(last, -1, -1):
                (a, b), upper = self.cuts[i][place : place + 2], self.cuts[i + 1][place]
                if a == b:
                    continue
                weight, bar = self.weights[i][upper:, a:b].T, bars[i][a:b]
                if i:
                    torch.mm(weight, bars[i + 1][upper:], out=bar).mul_(slopes[i - 1][a:b])
                else:
                    bar.addmm_(weight, bars[1][upper:])
        return bars[0]
