"""The nonlinearities a network can be built with, by name, so that a network can be written down."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from pushforward.core.errors import ConfigError

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "elu": functional.elu,
    "gelu": functional.gelu,
    "relu": torch.relu,
    "silu": functional.silu,
    "softplus": functional.softplus,
    "tanh": torch.tanh,
}


def activation_named(name: str) -> Callable[[Tensor], Tensor]:
    """The function of this name. Raises `ConfigError` for an unknown one.

    >>> activation_named("relu")(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    if name not in ACTIVATIONS:
        raise ConfigError(f"expected an activation among {', '.join(ACTIVATIONS)}, got {name!r}; choose one of these")
    return ACTIVATIONS[name]
