"""Gated recurrent unit over the points of series that differ in length and spacing.

h_i = GRU(x_i, h_{i-1}), or with decay h_i = GRU(x_i, exp(-max(0, w d_i + b)) h_{i-1}) for d_i the time since the point
before. Cho et al., 2014, https://arxiv.org/abs/1406.1078; Che et al., 2018, https://arxiv.org/abs/1606.01865, equation 11.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register


def last_real(states: Float[Tensor, "n points hidden"], real: Bool[Tensor, "n points"]) -> Float[Tensor, "n hidden"]:
    """The state after the last real point of each row, whose padding is at the end; zeros for a row without points."""
    if not states.shape[1]:
        return states.new_zeros(len(states), states.shape[-1])
    count = real.sum(1)
    place = (count - 1).clamp(min=0)[:, None, None].expand(-1, 1, states.shape[-1])
    return torch.where((count > 0)[:, None], states.gather(1, place)[:, 0], 0.0)


@register
class SeriesGRU(nn.Module):
    """States `(n, points, hidden)` after each of the points x `(n, points, inputs)`, from a state of zeros.

    `gaps` `(n, points)` is the time from the point before to this one, and `real` `(n, points)` is False for padding, which
    stands at the end of a row. With `decay` each number of the state shrinks with the gap, by a rate that is learned and begins
    at 1/2; without, the gaps are not looked at and PyTorch's fused layer does the work.

    Raises `ConfigError` for sizes below 1.

    >>> network = SeriesGRU(3, 8)
    >>> network(torch.zeros(2, 5, 3), torch.ones(2, 5), torch.ones(2, 5, dtype=torch.bool)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, inputs: int, hidden: int, decay: bool = False):
        super().__init__()
        if min(inputs, hidden) < 1:
            raise ConfigError(f"expected inputs and hidden of at least 1, got {inputs} and {hidden}; raise them")
        self.inputs, self.hidden, self.decay = inputs, hidden, decay
        self.layer = nn.GRU(inputs, hidden, batch_first=True)
        self.rate = nn.Parameter(torch.full((hidden,), 0.5)) if decay else None
        self.bias = nn.Parameter(torch.zeros(hidden)) if decay else None

    def evolve(self, h: Float[Tensor, "n hidden"], gap: Float[Tensor, " n"]) -> Float[Tensor, "n hidden"]:
        """The state a time `gap` after it was h, without a point in between."""
        if self.rate is None or self.bias is None:
            return h
        shrunk = h * torch.exp(-torch.relu(gap[:, None] * self.rate + self.bias))
        return torch.where((gap != 0)[:, None], shrunk, h)

    def forward(self, x: Float[Tensor, "n points inputs"], gaps: Float[Tensor, "n points"],
                real: Bool[Tensor, "n points"]) -> Float[Tensor, "n points hidden"]:  # fmt: skip
        """The state after each point; after padding it is of no meaning, see `last_real`."""
        x = torch.where(real[..., None], x, 0.0)
        if not self.decay:
            return self.layer(x)[0] if x.shape[1] else x.new_zeros(len(x), 0, self.hidden)
        weights, h, states = self.layer.all_weights[0], x.new_zeros(len(x), self.hidden), []
        for point, gap in zip(x.unbind(1), gaps.unbind(1)):
            h = torch.gru_cell(point, self.evolve(h, gap), *weights)
            states.append(h)
        return torch.stack(states, 1) if states else x.new_zeros(len(x), 0, self.hidden)
