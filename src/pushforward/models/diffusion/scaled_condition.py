"""A condition in the user's units, standardised in front of a network."""

from torch import Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register


@register
class ScaledCondition(nn.Module):
    """network(y, t, (condition - loc) / scale), for conditions `(n, k)`; loc and scale are `(k,)`.

    Raises `ConfigError` for a scale that is not positive.

    >>> import torch
    >>> from pushforward.parts.nn import TimeMLP
    >>> net = ScaledCondition(TimeMLP(2, hidden=16, condition=1), torch.tensor([1900.0]), torch.tensor([50.0]))
    >>> net(torch.zeros(3, 2), torch.zeros(3), torch.full((3, 1), 1950.0)).shape
    torch.Size([3, 2])
    """

    def __init__(self, network: nn.Module, loc: Tensor, scale: Tensor):
        super().__init__()
        if not (scale > 0).all():
            raise ConfigError(
                f"expected a positive scale, got one with minimum {scale.min().item():g}; leave out what never changes"
            )
        self.network, self.loc, self.scale = network, nn.Buffer(loc.detach().clone()), nn.Buffer(scale.detach().clone())

    def forward(self, y: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        """The network's prediction."""
        return self.network(y, t, (condition - self.loc) / self.scale)
