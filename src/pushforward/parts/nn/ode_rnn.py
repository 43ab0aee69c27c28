"""ODE-RNN: a recurrent state that moves by an ODE between points and jumps at each of them.

h' = f(h) from t_{i-1} to t_i, then h_i = GRU(x_i, h(t_i)). Rubanova, Chen and Duvenaud, 2019,
https://arxiv.org/abs/1907.03907, algorithm 1.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register
from pushforward.core.solver import Solver
from pushforward.parts.diffeq import Euler, march

from .vector_field import VectorField


@register
class ODERNN(nn.Module):
    """States `(n, points, hidden)` after each of the points x `(n, points, inputs)`, from a state of zeros.

    `gaps` `(n, points)` is the time from the point before to this one, and `real` `(n, points)` is False for padding, which
    stands at the end of a row. Each gap is crossed by `substeps` equal steps of `solver` (Euler's, if none is given), so that a
    batch takes the same operations whatever its times are. f does not depend on the time, only on the state.

    Raises `ConfigError` for sizes or substeps below 1.

    >>> network = ODERNN(3, 8)
    >>> network(torch.zeros(2, 5, 3), torch.ones(2, 5), torch.ones(2, 5, dtype=torch.bool)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, inputs: int, hidden: int, field_hidden: Sequence[int] = (64,), substeps: int = 1,
                 solver: Solver | None = None):  # fmt: skip
        super().__init__()
        if min(inputs, hidden, substeps) < 1:
            raise ConfigError(f"expected inputs, hidden and substeps of at least 1, got {inputs}, {hidden} and {substeps}; "
                              "raise what is too small")  # fmt: skip
        self.inputs, self.hidden, self.substeps = inputs, hidden, substeps
        self.solver = solver or Euler()
        self.field = VectorField(hidden, field_hidden)
        self.cell = nn.GRUCell(inputs, hidden)

    def evolve(self, h: Float[Tensor, "n hidden"], gap: Float[Tensor, " n"]) -> Float[Tensor, "n hidden"]:
        """The state a time `gap` after it was h, without a point in between."""
        # On the clock s = (t - t_{i-1}) / gap all rows go from 0 to 1, with dh/ds = gap f(h): no row has times of its own.
        length = gap[:, None]
        times = [step / self.substeps for step in range(self.substeps + 1)]
        return list(march(lambda s, y: length * self.field(gap, y), h, times, solver=self.solver))[-1]

    def forward(self, x: Float[Tensor, "n points inputs"], gaps: Float[Tensor, "n points"],
                real: Bool[Tensor, "n points"]) -> Float[Tensor, "n points hidden"]:  # fmt: skip
        """The state after each point; after padding it is of no meaning, see `last_real`."""
        x = torch.where(real[..., None], x, 0.0)
        h, states = x.new_zeros(len(x), self.hidden), []
        for place, (point, gap) in enumerate(zip(x.unbind(1), gaps.unbind(1))):
            h = self.cell(point, self.evolve(h, gap) if place else h)
            states.append(h)
        return torch.stack(states, 1) if states else x.new_zeros(len(x), 0, self.hidden)
