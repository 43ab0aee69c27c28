"""Calibration of predictive Gaussians: does the 90 % interval hold 90 % of the points?

Gneiting, Balabdaoui and Raftery 2007, https://doi.org/10.1111/j.1467-9868.2007.00587.x.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.core.errors import UserError

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class Calibration:
    """Central intervals of probability `levels`, the share of points they hold, `coverage`, and its standard error.

    `error` is the mean absolute difference between the two.
    """

    levels: Float[Tensor, " k"]
    coverage: Float[Tensor, " k"]
    std_error: Float[Tensor, " k"]
    error: float


def calibration(mean: Float[Tensor, "n *points"], std: Float[Tensor, "n *points"], y: Float[Tensor, "n *points"], *,
                levels: tuple[float, ...] = LEVELS) -> Calibration:  # fmt: skip
    """Coverage of the central intervals of N(mean, std^2) at each level.

    Rows are taken as independent, points within a row (of one function, one series) need not be: the standard errors
    are over rows. Raises `UserError` for a level outside (0, 1) or a standard deviation that is not positive.

    >>> mean, std = torch.zeros(2000), torch.ones(2000)
    >>> calibration(mean, std, torch.randn(2000, generator=torch.Generator().manual_seed(0))).error < 0.05
    True
    """
    if not all(0 < level < 1 for level in levels):
        raise UserError(f"expected levels between 0 and 1, got {levels}; write 90 % as 0.9")
    if not (std > 0).all():
        raise UserError(
            f"expected positive standard deviations, got one of {float(std.min()):.3g}; pass std, not log std"
        )
    nominal = torch.tensor(levels, dtype=torch.float64)
    half_width = torch.special.ndtri((1 + nominal) / 2)
    z = ((y - mean) / std).detach().double().cpu().abs().reshape(len(y), -1, 1)
    held = (z <= half_width).double().mean(1)
    coverage = held.mean(0)
    std_error = held.std(0) / len(held) ** 0.5 if len(held) > 1 else torch.full_like(coverage, torch.inf)
    return Calibration(nominal, coverage, std_error, float((coverage - nominal).abs().mean()))
