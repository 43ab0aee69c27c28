"""A dilated causal convolution of a sequence: y_t = b + sum_j W_j x_{t - j d}, which never looks ahead.

Stacked with d = 1, 2, 4, ... the past that is seen doubles with every layer: van den Oord et al. 2016, "WaveNet",
https://arxiv.org/abs/1609.03499, section 2.1.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register


@register
class CausalConv(nn.Module):
    """`taps` matrices, `dilation` apart, the last of them at the present; time runs along the second dimension.

    Outputs are those whose whole past was given: `past = (taps - 1) * dilation` fewer than inputs. Raises `ConfigError` for a
    dilation or a number of taps below 1.

    >>> CausalConv(3, 4, dilation=2)(torch.zeros(1, 10, 3)).shape
    torch.Size([1, 8, 4])
    """

    def __init__(self, inputs: int, outputs: int, dilation: int = 1, taps: int = 2):
        super().__init__()
        if dilation < 1 or taps < 1:
            raise ConfigError(f"expected a dilation and taps of at least 1, got {dilation} and {taps}")
        self.dilation, self.taps, self.past = dilation, taps, (taps - 1) * dilation
        self.linear = nn.Linear(taps * inputs, outputs)

    def forward(self, x: Float[Tensor, "n time_in inputs"]) -> Float[Tensor, "n time_out outputs"]:
        """One product of matrices: the taps lie side by side, the oldest first."""
        time = x.shape[1] - self.past
        shifted = [x[:, j * self.dilation : j * self.dilation + time] for j in range(self.taps)]
        return self.linear(torch.cat(shifted, 2))
