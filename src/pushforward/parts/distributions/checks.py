"""What every constructor of a distribution asks of its tensors."""

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError


def require_floats(tensors: dict[str, Tensor]) -> None:
    """Raise `ConfigError` unless all these tensors, by name, are finite, floating and of one dtype."""
    for name, value in tensors.items():
        if not isinstance(value, Tensor) or not value.is_floating_point():
            got = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise ConfigError(f"expected {name} as a floating tensor, got {got}; write torch.tensor([1.0, ...])")
        if not torch.isfinite(value).all():
            raise ConfigError(
                f"expected finite numbers in {name}, got {int((~torch.isfinite(value)).sum())} inf or NaN; remove them"
            )
    if len({value.dtype for value in tensors.values()}) > 1:
        dtypes = ", ".join(f"{name} {value.dtype}" for name, value in tensors.items())
        raise ConfigError(f"expected one dtype, got {dtypes}; convert them with .to(dtype)")
