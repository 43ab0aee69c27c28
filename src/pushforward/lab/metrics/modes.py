"""Which bumps of a known mixture a sampler finds, and how many of its draws lie on one.

A draw is good if it is within 3 standard deviations of a centre; a mode is covered if any good draw belongs to it (Metz et al. 2017,
https://arxiv.org/abs/1611.02163; Srivastava et al. 2017, https://arxiv.org/abs/1705.07761, from where the figures for adversarial networks).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.core.errors import UserError


@dataclass(frozen=True)
class ModeCoverage:
    """`covered` of the modes and `good` of the draws, as shares; `draws_each` `(modes,)` counts the good ones."""

    covered: float
    good: float
    draws_each: Tensor


def mode_coverage(draws: Float[Tensor, "n d"], centres: Float[Tensor, "modes d"], std: float) -> ModeCoverage:
    """Shares of the modes that are covered, and of the draws that are good.

    In the plane a perfect sampler has 1 - exp(-4.5) = 98.9 % of good draws. Raises `UserError` without draws.

    >>> coverage = mode_coverage(torch.tensor([[0.0], [0.1], [5.0]]), torch.tensor([[0.0], [1.0]]), 0.1)
    >>> coverage.covered, round(coverage.good, 3), coverage.draws_each.tolist()
    (0.5, 0.667, [2, 0])
    """
    if not len(draws) or not std > 0:
        raise UserError(f"expected draws and a positive std, got {len(draws)} draws and {std:g}; draw a few thousand")
    distance, nearest = torch.cdist(draws, centres).min(1)
    good = distance < 3 * std
    each = torch.bincount(nearest[good], minlength=len(centres))
    return ModeCoverage(float((each > 0).double().mean()), float(good.double().mean()), each)
