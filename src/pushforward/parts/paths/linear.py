"""Linear path of flow matching and rectified flow: a straight line from a data point to a noise point.

x_t = (1 - t) data + t noise,  dx_t/dt = noise - data.
Lipman et al. 2023, https://arxiv.org/abs/2210.02747; Liu, Gong and Liu 2023, https://arxiv.org/abs/2209.03003
(both run time the other way; here t = 0 is data).
"""

from dataclasses import dataclass

from torch import Tensor

from pushforward.core.path import Path
from pushforward.core.registry import register


@register
@dataclass(frozen=True)
class Linear(Path):
    """alpha(t) = 1 - t, sigma(t) = t, for t from 0.001 to 0.999.

    >>> import torch
    >>> Linear().sample(torch.tensor([[2.0]]), torch.tensor([[-1.0]]), torch.tensor([0.25]))
    tensor([[1.2500]])
    """

    t_min = 1e-3
    t_max = 1 - 1e-3

    def alpha(self, t: Tensor) -> Tensor:
        """Scale of the data."""
        return 1 - t

    def sigma(self, t: Tensor) -> Tensor:
        """Standard deviation of the noise."""
        return t.clone()
