"""The preconditioning of EDM: a network whose input and target have unit variance at every level of noise.

With s = sigma / alpha the noise in units of the data and d the standard deviation of the data,

    data = c_skip x + c_out F(c_in x; c_noise),   c_skip = d^2 / (s^2 + d^2),  c_out = s d / sqrt(s^2 + d^2),
    c_in = 1 / sqrt(s^2 + d^2),

where x = x_t / alpha. F is what the network computes; where there is little noise it need only say what noise there is, where
there is much it predicts the data. Karras et al. 2022, https://arxiv.org/abs/2206.00364, section 5.
"""

import math

import torch
from torch import Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.core.path import Path
from pushforward.core.registry import register
from pushforward.core.shapes import expand_right
from pushforward.parts.paths.angle import angle


@register
class Preconditioned(nn.Module):
    """The data predicted from y = x_t / sqrt(alpha^2 + sigma^2) `(n, *event)` and t `(n,)`, around a network F(y, t, condition).

    F is given times in [0, 1]: the angle atan(s), in right angles, in the place of log(s) / 4, of which it is a function.
    With `loss=Denoising("edm", sigma_data=...)` the error of F counts the same at every time.

    Raises `ConfigError` for a sigma_data that is not positive.

    >>> from pushforward.parts.nn import TimeMLP
    >>> from pushforward.parts.paths import EDM
    >>> network = Preconditioned(TimeMLP(2, hidden=16), EDM(), sigma_data=0.5)
    >>> network(torch.ones(1, 2), torch.tensor([0.5]), None).detach()  # F is zero in the beginning: c_skip x
    tensor([[0.5590, 0.5590]])
    """

    def __init__(self, network: nn.Module, path: Path, sigma_data: float = 1.0):
        super().__init__()
        if not 0 < sigma_data < math.inf:
            raise ConfigError(f"expected a positive sigma_data, got {sigma_data}; it is a standard deviation")
        self.network, self.path, self.sigma_data = network, path, sigma_data

    def forward(self, y: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """E[data | x_t], in model units."""
        d, theta = self.sigma_data, angle(self.path, t)
        cos, sin = theta.cos(), theta.sin()
        spread = torch.hypot(sin, d * cos)  # of y: cos data + sin noise
        f = self.network(y / expand_right(spread, y), 2 / math.pi * theta, condition)
        return expand_right(d * d * cos / spread.square(), y) * y + expand_right(sin * d / spread, y) * f
