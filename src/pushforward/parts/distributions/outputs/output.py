"""`Output`: the distribution of one element of an event, given by `size` numbers that a network puts out.

An autoregressive model is a product of these: log p(x) = sum_i log p(x_i | parameters_i(x before i)).
"""

from typing import Protocol, runtime_checkable

import torch
from torch import Size, Tensor

from pushforward.core.errors import ConfigError


@runtime_checkable
class Output(Protocol):
    """An elementwise likelihood: `size` parameters for each element of shape `element`, `()` but for colours.

    Drawing takes `uniforms` numbers in [0, 1) for each element: nothing else is random.
    """

    size: int
    uniforms: int
    element: Size
    discrete: bool  # whether log_prob is that of a probability, not of a density
    nucleus: bool  # whether draws can be truncated to the most probable `top_p` of the mass

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Log probability or density `(...)` of x `(..., *element)`, by parameters `(..., size)`; -inf off the support."""
        ...

    def sample(self, parameters: Tensor, u: Tensor, temperature: float = 1.0, top_p: float = 1.0) -> Tensor:
        """The element `(..., *element)` that numbers u `(..., uniforms)` select."""
        ...


def off_support(x: Tensor) -> Tensor:
    """The log probability of a value that cannot be: -inf, and NaN where x is NaN, since a missing value is not one outside."""
    return torch.where(x.isnan(), x, -torch.inf)


def require_settings(temperature: float, top_p: float, nucleus: bool) -> None:
    """Raise `ConfigError` for a temperature or a truncation that cannot be."""
    if not 0 < temperature < float("inf"):
        raise ConfigError(f"expected a temperature above 0, got {temperature:g}; 1 draws from the model itself")
    if not 0 < top_p <= 1:
        raise ConfigError(f"expected top_p in (0, 1], got {top_p:g}; 1 leaves nothing out")
    if top_p < 1 and not nucleus:
        raise ConfigError(
            f"expected top_p=1 for an output of numbers, got {top_p:g}; use a temperature below 1 instead"
        )


def select(probabilities: Tensor, u: Tensor) -> Tensor:
    """The index `(...)` that u `(...)` selects by weights `(..., k)`, which need not sum to one; never one of weight 0.

    >>> select(torch.tensor([[0.5, 0.0, 0.5]]), torch.tensor([0.5]))
    tensor([2])
    """
    # In float64 the sum of many weights loses nothing, and u times the total stays below the total.
    cumulative = probabilities.double().cumsum(-1)
    at = u.double()[..., None] * cumulative[..., -1:]
    return torch.searchsorted(cumulative.contiguous(), at, right=True)[..., 0].clamp(max=probabilities.shape[-1] - 1)
