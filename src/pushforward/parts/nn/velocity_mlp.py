"""The velocity field of a continuous flow: a perceptron of z and t that gives its value and its divergence in one pass.

Every layer sees t as one more input ("concat" of FFJORD, Grathwohl et al. 2019, https://arxiv.org/abs/1810.01367). With one
or two hidden layers the exact trace of the Jacobian has a closed form (`traced_layers.py`) that costs as much as one more
hidden layer in any number of dimensions; deeper fields carry tangents, J v, by hand through their layers.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Size, Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .join import join_condition
from .traced_layers import SMOOTH, activate, traced_layers


@register
class VelocityMLP(nn.Module):
    """f(t, z, condition) for z `(n, features)`, t `(n,)` and condition `(n, condition)`, with its trace or with J v.

    The activation is "tanh" or "softplus": the trace of the Jacobian is learned from, so the field must be curved. The
    last layer begins at zero, so that a flow along the field begins as the identity; with `zero_last=False` it does not.

    Raises `ConfigError` for another activation or widths below 1, `ShapeError` when z or the condition does not fit.

    >>> field = VelocityMLP(3, (16, 16), zero_last=False)
    >>> f, trace = field.value_and_trace(torch.rand(5), torch.randn(5, 3))
    >>> f.shape, trace.shape
    (torch.Size([5, 3]), torch.Size([5]))
    """

    def __init__(self, features: int, hidden: Sequence[int] = (64, 64), activation: str = "tanh", condition: int = 0,
                 zero_last: bool = True):  # fmt: skip
        super().__init__()
        if activation not in SMOOTH:
            raise ConfigError(f"expected a smooth activation, {' or '.join(SMOOTH)}, got {activation!r}")
        if not hidden or min(features, *hidden) < 1 or condition < 0:
            raise ConfigError("expected features and at least one hidden width of at least 1 and condition of at least 0, "
                              f"got {features}, {list(hidden)} and {condition}; raise what is too small")  # fmt: skip
        self.features, self.condition, self.activation = features, condition, activation
        self.event_shape = Size((features,))
        self.closed_trace = len(hidden) <= 2  # then the exact trace costs next to nothing
        self.numbers = 4 * sum(hidden)  # kept of a row by an evaluation with gradients
        sizes = [features + condition, *hidden, features]
        self.layers = nn.ModuleList(nn.Linear(before + 1, after) for before, after in pairwise(sizes))
        if zero_last:
            for parameter in self.layers[-1].parameters():
                nn.init.zeros_(parameter)

    def forward(self, t: Float[Tensor, " n"], z: Float[Tensor, "n d"],
                condition: Tensor | None = None) -> Float[Tensor, "n d"]:  # fmt: skip
        """dz/dt."""
        h, column = self._input(t, z, condition), t.unsqueeze(1)
        for i, (weight, bias) in enumerate(self._pairs()):
            if i:
                h, _ = activate(self.activation, h)
                h = torch.addmm(torch.addcmul(bias, column, weight[:, -1]), h, weight[:, :-1].t())
            else:
                h = torch.addmm(bias, h, weight.t())
        return h

    def value_and_trace(self, t: Float[Tensor, " n"], z: Float[Tensor, "n d"],
                        condition: Tensor | None = None) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:  # fmt: skip
        """dz/dt and the exact trace of its Jacobian in z."""
        if self.closed_trace and not torch.is_autocast_enabled(z.device.type):
            return traced_layers(self._input(t, z, condition), self.features, self.activation, self._pairs())
        unit = torch.eye(self.features, dtype=z.dtype, device=z.device)
        f, moved = self.value_and_tangents(t, z, unit.unsqueeze(1).expand(-1, len(z), -1), condition)
        return f, torch.einsum("ini->n", moved)

    def value_and_tangents(self, t: Float[Tensor, " n"], z: Float[Tensor, "n d"], vectors: Float[Tensor, "k n d"],
                           condition: Tensor | None = None,
                           ) -> tuple[Float[Tensor, "n d"], Float[Tensor, "k n d"]]:  # fmt: skip
        """dz/dt and J v for each of k vectors v, from one pass of k + 1 rows a row."""
        k, n = len(vectors), len(z)
        column = torch.cat([t, t.new_zeros(k * n)]).unsqueeze(1)
        (first, bias), *rest = self._pairs()
        value = torch.addmm(bias, self._input(t, z, condition), first.t())
        moved = torch.mm(vectors.reshape(k * n, self.features), first[:, : self.features].t())
        for weight, bias in rest:
            h, slope = activate(self.activation, value)
            rows = torch.cat([h, (moved.reshape(k, n, h.shape[1]) * slope).reshape(k * n, h.shape[1])])
            rows = torch.addmm(column * weight[:, -1], rows, weight[:, :-1].t())
            value, moved = rows[:n] + bias, rows[n:]
        return value, moved.reshape(k, n, self.features)

    def _input(self, t: Tensor, z: Tensor, condition: Tensor | None) -> Tensor:
        joined = join_condition(z, condition, self.features, self.condition)
        return torch.cat([joined, t.unsqueeze(1)], 1)

    def _pairs(self) -> list[tuple[Tensor, Tensor]]:
        return [(layer.weight, layer.bias) for layer in self.layers]  # pyright: ignore[reportReturnType]
