r"""Continuous ranked probability score: the error of a prediction, in the unit of the data; lower is better.

    CRPS(F, y) = int (F(x) - 1[x >= y])^2 dx = E|X - y| - E|X - X'| / 2

Gneiting and Raftery 2007, https://doi.org/10.1198/016214506000001437.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.core.errors import UserError


def crps(
    mean: Float[Tensor, "*batch"], std: Float[Tensor, "*batch"], y: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch"]:
    """Closed form for N(mean, std^2): std (z (2 Phi(z) - 1) + 2 phi(z) - 1/sqrt(pi)) with z = (y - mean)/std.

    >>> round(float(crps(torch.zeros(()), torch.ones(()), torch.zeros(()))), 4)
    0.2337
    """
    if not (std > 0).all():
        raise UserError(
            f"expected positive standard deviations, got one of {float(std.min()):.3g}; pass std, not log std"
        )
    z = (y - mean) / std
    phi = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    return std * (z * torch.special.erf(z / math.sqrt(2)) + 2 * phi - 1 / math.sqrt(math.pi))


def crps_from_samples(samples: Float[Tensor, "s *batch"], y: Float[Tensor, "*batch"], *,
                      fair: bool = True) -> Float[Tensor, "*batch"]:  # fmt: skip
    """CRPS from `s` draws of the prediction, in O(s log s).

    `fair` divides the second term by s (s - 1) and is an unbiased estimate for the distribution the draws came from
    (Ferro 2014, https://doi.org/10.1002/qj.2270); otherwise by s^2, which is the exact score of the draws' own step
    function. Raises `UserError` for fewer than two draws.
    """
    s = len(samples)
    if s < 2:
        raise UserError(f"expected at least two draws, got {s}; draw more")
    ordered = samples.sort(0).values
    # sum over pairs i < j of (x_(j) - x_(i)) = sum over i of (2 i - s - 1) x_(i), i from 1
    weight = torch.arange(1 - s, s, 2, dtype=samples.dtype, device=samples.device)
    spread = torch.tensordot(weight, ordered, 1) / (s * (s - 1) if fair else s * s)
    return (samples - y).abs().mean(0) - spread
