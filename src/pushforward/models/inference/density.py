"""What inference asks of a density: a function of `(n, d)` to `(n,)`, known up to a constant, and finite where it begins."""

from collections.abc import Callable

import torch
from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError, UserError

Density = Distribution | Callable[[Tensor], Tensor]


def log_density_of(target: Density) -> Callable[[Tensor], Tensor]:
    """The function itself, or the `log_prob` of a distribution.

    Raises `ConfigError` for a distribution whose log_prob is a bound or an estimate, and for what cannot be called.
    """
    if isinstance(target, Distribution):
        if target.log_prob_kind != "exact":
            raise ConfigError(f"expected a distribution with an exact log_prob, got {type(target).__name__}, whose log_prob is "
                              f"{target.log_prob_kind!r}; a target is evaluated at every step")  # fmt: skip
        return target.log_prob
    if not callable(target):
        raise ConfigError(f"expected a Target, a distribution or a function of z (n, d), got {type(target).__name__}; "
                          "write log p as a function that returns (n,)")  # fmt: skip
    return target


def features_of(target: Density, features: int | None = None) -> int:
    """How many numbers a row of the target has. Raises `ConfigError` where nothing says so."""
    known = getattr(target, "features", None)
    if isinstance(target, Distribution) and len(target.event_shape) == 1:
        known = target.event_shape[0]
    if known is None and features is None:
        raise ConfigError(
            "expected features or a start for a plain function, got neither; say how many numbers it takes"
        )
    if known is not None and features is not None and known != features:
        raise ConfigError(f"expected {known} features, as the target has, got {features}; leave it out")
    return int(known if known is not None else features)  # type: ignore[arg-type]


def finite_start(target: Density, z: Tensor) -> Tensor:
    """log p(z) `(n,)`. Raises `UserError` when it is not one finite number a row, and says where."""
    with torch.no_grad():
        value = log_density_of(target)(z)
    if value.shape != z.shape[:1]:
        raise UserError(f"expected a log density of shape ({len(z)},), one number a row, got {tuple(value.shape)}; "
                        "sum over everything but the first dimension")  # fmt: skip
    bad = (~torch.isfinite(value)).nonzero()[:, 0]
    if len(bad):
        row = int(bad[0])
        named = target.constrain(z[row : row + 1]) if hasattr(target, "constrain") else {"z": z[row : row + 1]}  # type: ignore[union-attr]
        where = ", ".join(f"{name} = {_short(v[0])}" for name, v in named.items())
        raise UserError(f"expected a finite log density at the start, got {float(value[row])} in {len(bad)} of {len(z)} rows, the first at "
                        f"{where}; begin where the density is positive, or mend log_joint there")  # fmt: skip
    return value


def _short(value: Tensor) -> str:
    numbers = value.flatten().tolist()
    text = ", ".join(f"{v:.4g}" for v in numbers[:4]) + (", ..." if len(numbers) > 4 else "")
    return text if value.ndim == 0 else f"[{text}]"
