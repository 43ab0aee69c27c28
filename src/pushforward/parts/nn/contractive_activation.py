"""Nonlinearities of slope at most 1, with their slopes: what a contractive network may have between its layers."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pushforward.core.errors import ConfigError

CONTRACTIVE = ("lipswish", "elu", "tanh", "softplus")
START = 3.0  # of beta: with the 0.5 of the paper, slopes near 1/2 bend little until hundreds of steps have raised it


class ContractiveActivation(nn.Module):
    """An elementwise function with |slope| <= 1 that is smooth, as the gradient of a log det wants second derivatives.

    "lipswish" is x sigmoid(b x) / 1.1 with a learned b = softplus(beta): the slope of x sigmoid(x) reaches 1.0998 (Chen et al. 2019,
    https://arxiv.org/abs/1906.02735, section 4). Others have nothing to learn. Raises `ConfigError` for an unknown name.

    >>> ContractiveActivation("tanh").with_slope(torch.zeros(1))
    (tensor([0.]), tensor([1.]))
    """

    beta: Tensor | None

    def __init__(self, name: str = "lipswish"):
        super().__init__()
        if name not in CONTRACTIVE:
            raise ConfigError(f"expected an activation among {', '.join(CONTRACTIVE)}, whose slopes are at most 1, got {name!r}; choose one of these")  # fmt: skip
        self.name = name
        self.beta = nn.Parameter(torch.tensor(START)) if name == "lipswish" else None

    def forward(self, x: Tensor) -> Tensor:
        """The values, of the shape of x."""
        if self.beta is not None:
            return x * torch.sigmoid(functional.softplus(self.beta) * x) / 1.1
        return functional.elu(x) if self.name == "elu" else torch.tanh(x) if self.name == "tanh" else functional.softplus(x)  # fmt: skip

    def with_slope(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values and slopes, both differentiable."""
        if self.beta is not None:
            bx = functional.softplus(self.beta) * x
            s = torch.sigmoid(bx)
            return x * s / 1.1, s * (1 + bx * (1 - s)) / 1.1
        if self.name == "elu":
            return functional.elu(x), torch.exp(x.clamp(max=0))
        if self.name == "tanh":
            y = torch.tanh(x)
            return y, 1 - y * y
        return functional.softplus(x), torch.sigmoid(x)
