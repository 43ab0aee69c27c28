"""Covariance functions of Gaussian processes, by name, and the factor of their matrices.

With r = |x - x'| and length scale l, all with variance one (Rasmussen and Williams, 2006,
http://gaussianprocess.org/gpml, chapter 4):

    rbf       exp(-r^2 / 2 l^2)
    matern52  (1 + a + a^2 / 3) exp(-a),  a = sqrt(5) r / l
    matern12  exp(-r / l), the Ornstein-Uhlenbeck process
    periodic  exp(-2 sin^2(pi r / period) / l^2)
    brownian  min(x, x') for x >= 0, whose variance grows and which has no length scale

A sum of processes is written with plus signs: "rbf+periodic".
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.core.errors import ConfigError, DataError

KERNELS = ("rbf", "matern52", "matern12", "periodic", "brownian")


def covariance_matrix(kernel: str, x1: Float[Tensor, "*batch rows dim"], x2: Float[Tensor, "*batch columns dim"], *,
                      length_scale: float = 0.2, period: float = 1.0) -> Float[Tensor, "*batch rows columns"]:  # fmt: skip
    """k(x1_i, x2_j) for a kernel named as above, in the dtype of x1.

    Raises `ConfigError` for an unknown kernel and for scales that are not positive; `DataError` for Brownian motion
    at points that are not numbers >= 0.

    >>> covariance_matrix("matern12", torch.zeros(1, 1), torch.ones(1, 1), length_scale=1.0)
    tensor([[0.3679]])
    """
    if not (length_scale > 0 and period > 0):
        raise ConfigError(
            f"expected a positive length scale and period, got {length_scale} and {period}; give distances"
        )
    # The fast formula |x|^2 + |x'|^2 - 2 x'x would lose half of the digits of small distances.
    r = torch.cdist(x1, x2, compute_mode="donot_use_mm_for_euclid_dist")
    total = torch.zeros_like(r)
    for name in kernel.split("+"):
        total = total + _one(name.strip(), x1, x2, r, length_scale, period)
    return total


def _one(name: str, x1: Tensor, x2: Tensor, r: Tensor, l: float, period: float) -> Tensor:  # noqa: E741
    if name == "rbf":
        return (-(r**2) / (2 * l**2)).exp()
    if name == "matern52":
        a = math.sqrt(5) * r / l
        return (1 + a + a**2 / 3) * (-a).exp()
    if name == "matern12":
        return (-r / l).exp()
    if name == "periodic":
        return (-2 * (math.pi * r / period).sin() ** 2 / l**2).exp()
    if name == "brownian":
        if x1.shape[-1] != 1 or min(x1.min(), x2.min()) < 0:
            raise DataError(f"expected times of one dimension, 0 or later, got dimension {x1.shape[-1]} and minimum "
                            f"{min(x1.min().item(), x2.min().item()):g}; set x_dim=1 and low=0")  # fmt: skip
        return torch.minimum(x1, x2.mT)
    raise ConfigError(f"expected kernels among {', '.join(KERNELS)}, joined by +, got {name!r}; correct the name")


def factor(covariance: Float[Tensor, "*batch d d"]) -> Float[Tensor, "*batch d d"]:
    """The Cholesky factor, with the least of a few jitters on the diagonal of each matrix that needs one.

    Smooth kernels at close points are singular in floating point though not on paper. Raises `DataError` when 1e-6 is
    not enough.
    """
    lower, failed = torch.linalg.cholesky_ex(covariance)
    for jitter in (1e-10, 1e-8, 1e-6):
        if not failed.any():
            break
        again, still = torch.linalg.cholesky_ex(covariance + jitter * torch.eye(covariance.shape[-1]).to(covariance))
        # One by one, so that a function does not depend on its neighbours in the batch.
        lower, failed = torch.where((failed > 0)[..., None, None], again, lower), torch.where(failed > 0, still, failed)
    if failed.any():
        raise DataError(f"expected positive definite covariances, got {int((failed > 0).sum())} that are not, even with 1e-6 "
                        "on the diagonal; add noise or spread the points")  # fmt: skip
    return lower
