"""The columns of a table as an autoregressive network takes them: each encoded, and each with an output of its kind.

In the model's units a column is (x - loc) / scale: a whole number 0, 1, 2, ... for levels, a standardised one for densities.
"""

import json
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn import functional

from pushforward.core.errors import ConfigError
from pushforward.core.registry import describe, register
from pushforward.parts.distributions.outputs import Categorical, LogisticMixture, Output


@register
class ColumnOutputs(nn.Module):
    """One output for each column, with `loc` and `scale` `(columns,)` that lead from the model's units to the user's.

    Columns with equal outputs are evaluated together. Raises `ConfigError` for outputs of more than one number, and for `loc`
    and `scale` of another shape or a scale that is not positive.

    >>> from pushforward.parts.distributions.outputs import Bernoulli
    >>> columns = ColumnOutputs([Bernoulli(), Categorical(3)])
    >>> columns.encode(torch.tensor([[1.0, 2.0]]))    # a number, and one for each level
    tensor([[1., 0., 0., 1.]])
    """

    loc: Tensor
    scale: Tensor
    by_level: Tensor

    def __init__(self, outputs: Sequence[Output], loc: Tensor | None = None, scale: Tensor | None = None):
        super().__init__()
        self.outputs = list(outputs)
        if not self.outputs or any(not isinstance(o, Output) or o.element for o in self.outputs):
            raise ConfigError(
                f"expected an output of single numbers for each column, got {[type(o).__name__ for o in self.outputs]}"
            )
        count = len(self.outputs)
        loc, scale = (torch.full((count,), v) if p is None else p for p, v in ((loc, 0.0), (scale, 1.0)))
        if loc.shape != (count,) or scale.shape != (count,) or not (scale > 0).all():
            raise ConfigError(
                f"expected loc and scale of shape ({count},), the scale positive, got {tuple(loc.shape)} and {tuple(scale.shape)}"
            )
        self.widths = [o.levels if isinstance(o, Categorical) else 1 for o in self.outputs]
        self.sizes = [o.size for o in self.outputs]
        self.uniforms = max(o.uniforms for o in self.outputs)
        self.loc, self.scale = nn.Buffer(loc.detach().clone()), nn.Buffer(scale.detach().clone())
        # What a column's number is divided by before it enters the network: levels of pixels lie between 0 and 1.
        reach = [o.levels - 1.0 if isinstance(o, LogisticMixture) else 1.0 for o in self.outputs]
        self.by_level = nn.Buffer(torch.tensor(reach), persistent=False)
        self.groups: list[tuple[Output, list[int]]] = []
        known: dict[str, list[int]] = {}
        for i, output in enumerate(self.outputs):
            key = json.dumps(describe(output, {}))
            if key not in known:
                known[key] = []
                self.groups.append((output, known[key]))
            known[key].append(i)
        starts = [0, *accumulate(self.sizes)]
        for g, (output, members) in enumerate(self.groups):
            at = [starts[i] + k for i in members for k in range(output.size)]
            self.register_buffer(f"columns{g}", torch.tensor(members), persistent=False)
            self.register_buffer(f"parameters{g}", torch.tensor(at), persistent=False)

    def to_model(self, x: Tensor) -> Tensor:
        """x `(n, columns)` in the model's units."""
        return (x - self.loc) / self.scale

    def to_user(self, y: Tensor) -> Tensor:
        """Numbers `(n, columns)` of the model in the user's units."""
        return y * self.scale + self.loc

    def log_det(self) -> Tensor:
        """What the log density gains by the change of units: only columns that have a density count."""
        dense = torch.tensor([not o.discrete for o in self.outputs], device=self.scale.device)
        return -torch.where(dense, self.scale.log(), 0).sum()

    def encode(self, y: Tensor) -> Tensor:
        """What the network sees of y `(n, columns)`: `(n, sum(widths))`."""
        if max(self.widths) == 1:
            return y / self.by_level
        return torch.cat([self.encode_column(i, y[:, i]).T for i in range(len(self.widths))], 1)

    def encode_column(self, i: int, y: Tensor) -> Tensor:
        """What the network sees of column i, y `(n,)`: `(width, n)`."""
        if self.widths[i] == 1:
            return (y / self.by_level[i])[None]
        level = y.round().clamp(0, self.widths[i] - 1).long()
        return functional.one_hot(level, self.widths[i]).T.to(y.dtype)

    def log_prob(self, parameters: Tensor, y: Tensor) -> Tensor:
        """Log probability of each column `(n, columns)`, in the model's units, by parameters `(n, sum(sizes))`."""
        if len(self.groups) == 1:
            output, members = self.groups[0]
            return output.log_prob(parameters.unflatten(1, (len(members), output.size)), y)
        each = y.new_empty(y.shape)
        for g, (output, members) in enumerate(self.groups):
            own = parameters.index_select(1, self.get_buffer(f"parameters{g}"))
            at = self.get_buffer(f"columns{g}")
            own = own.unflatten(1, (len(members), output.size))
            each = each.index_copy(1, at, output.log_prob(own, y.index_select(1, at)))
        return each
