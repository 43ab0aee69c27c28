"""Parameters of a layer that a condition may move: learned numbers plus what a network makes of the condition.

In variational inference every data point has a flow of its own, whose parameters a network supplies (Rezende and
Mohamed 2015, https://arxiv.org/abs/1505.05770, section 4.2).
"""

from collections.abc import Sequence

from torch import Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.parts.nn import MLP


class Amortised(nn.Module):
    """`start + network(condition)`, `(n, size)`; without a condition `start` alone, `(1, size)`.

    The last layer of the network begins at zero, so that a flow begins as `start` says, whatever the condition.
    """

    def __init__(self, start: Tensor, condition: int, hidden: Sequence[int]):
        super().__init__()
        if condition < 0:
            raise ConfigError(f"expected a condition of width at least 0, got {condition}; 0 is none")
        self.start = nn.Parameter(start)
        self.network = MLP(0, len(start), hidden, condition=condition, zero_last=True) if condition else None

    def forward(self, condition: Tensor | None) -> Tensor:
        """The parameters for each row of the condition, or the one set of all rows."""
        start = self.start[None]
        if self.network is None or condition is None:
            return start
        return start + self.network(condition.new_empty(len(condition), 0), condition)
