"""Covariance functions of Gaussian processes, by name, and the factor of their matrices.

With r = |x - x'| and length scale l, all with variance one (Rasmussen and Williams, 2006,
http://gaussianprocess.org/gpml, chapter 4):

    rbf       exp(-r^2 / 2 l^2)
    matern52  (1 + a + a^2 / 3) exp(-a),  a = sqrt(5) r / l
    matern32  (1 + a) exp(-a),  a = sqrt(3) r / l
    matern12  exp(-r / l), the Ornstein-Uhlenbeck process
    periodic  exp(-2 sin^2(pi r / period) / l^2)
    brownian  min(x, x') for x >= 0, whose variance grows and which has no length scale

Sums and products are kernels again: "rbf+periodic", "rbf*periodic". A name may be followed by scales of its own, a length scale and
for `periodic` a period, and a number is a variance: "0.5*rbf(2)*periodic(1, 0.25) + matern12(0.1)".
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.core.errors import ConfigError, DataError

KERNELS = ("rbf", "matern52", "matern32", "matern12", "periodic", "brownian")


@dataclass(frozen=True)
class Factor:
    """A kernel of variance one, with its scales: numbers, or tensors that are being fitted."""

    name: str
    length_scale: Any
    period: Any


@dataclass(frozen=True)
class Summand:
    """A variance times a product of kernels."""

    variance: Any
    factors: tuple[Factor, ...]


def parse_kernel(kernel: str, *, length_scale: float = 0.2, period: float = 1.0) -> tuple[Summand, ...]:
    """Read an expression as above; `length_scale` and `period` are for the names without scales of their own.

    Raises `ConfigError` for an unknown kernel and for scales that are not positive.

    >>> [len(own.factors) for own in parse_kernel("2*rbf(0.5)*periodic(1, 0.25) + matern12")]
    [2, 1]
    """
    if not (length_scale > 0 and period > 0):
        raise ConfigError(
            f"expected a positive length scale and period, got {length_scale} and {period}; give distances"
        )
    return tuple(_summand(text, length_scale, period) for text in re.split(r"\+(?![^(]*\))", kernel))


def kernel_text(summands: Sequence[Summand]) -> str:
    """Write kernels with all their scales, so that `parse_kernel` reads the same ones whatever its defaults.

    >>> kernel_text(parse_kernel("rbf*periodic", length_scale=0.5))
    'rbf(0.5)*periodic(0.5, 1.0)'
    """

    def number(value: Any) -> str:
        return repr(float(value.detach() if isinstance(value, Tensor) else value))

    def one(own: Factor) -> str:
        scales = {"brownian": (), "periodic": (own.length_scale, own.period)}.get(own.name, (own.length_scale,))
        return own.name + (f"({', '.join(map(number, scales))})" if scales else "")

    texts = []
    for own in summands:
        weight = [] if number(own.variance) == "1.0" else [number(own.variance)]
        texts.append("*".join([*weight, *map(one, own.factors)]))
    return " + ".join(texts)


def covariance_matrix(kernel: str, x1: Float[Tensor, "*batch rows dim"], x2: Float[Tensor, "*batch columns dim"], *,
                      length_scale: float = 0.2, period: float = 1.0) -> Float[Tensor, "*batch rows columns"]:  # fmt: skip
    """k(x1_i, x2_j) for a kernel named as above, in the dtype of x1.

    Raises `ConfigError` for an unknown kernel and for scales that are not positive; `DataError` for Brownian motion
    at points that are not numbers >= 0.

    >>> covariance_matrix("matern12", torch.zeros(1, 1), torch.ones(1, 1), length_scale=1.0)
    tensor([[0.3679]])
    """
    return covariance_of(parse_kernel(kernel, length_scale=length_scale, period=period), x1, x2)


def covariance_of(
    summands: Sequence[Summand], x1: Float[Tensor, "*batch rows dim"], x2: Float[Tensor, "*batch columns dim"]
) -> Float[Tensor, "*batch rows columns"]:
    """k(x1_i, x2_j) of kernels that were read before, differentiable in scales that are tensors."""
    # The fast formula |x|^2 + |x'|^2 - 2 x'x would lose half of the digits of small distances.
    r = torch.cdist(x1, x2, compute_mode="donot_use_mm_for_euclid_dist")
    total = torch.zeros_like(r)
    for own in summands:
        product = own.variance * _one(own.factors[0], x1, x2, r)
        for factor_ in own.factors[1:]:
            product = product * _one(factor_, x1, x2, r)
        total = total + product
    return total


def variances_of(summands: Sequence[Summand], x: Float[Tensor, "*batch rows dim"]) -> Float[Tensor, "*batch rows"]:
    """The diagonal k(x_i, x_i), without the matrix."""
    total = torch.zeros_like(x[..., 0])
    for own in summands:
        brownian = sum(factor_.name == "brownian" for factor_ in own.factors)
        total = total + own.variance * x[..., 0] ** brownian
    return total


def _summand(text: str, length_scale: float, period: float) -> Summand:
    variance, factors = 1.0, []
    for part in text.split("*"):
        match = re.fullmatch(r"\s*([a-z][a-z0-9]*|[0-9][0-9.e+-]*)\s*(?:\(([^()]*)\))?\s*", part)
        name = part.strip() if match is None else match[1]
        try:
            scales = [] if match is None or match[2] is None else [float(number) for number in match[2].split(",")]
            if match is not None and match[2] is None and match[1][0].isdigit():
                variance *= float(match[1])
                continue
        except ValueError:
            raise ConfigError(
                f"expected numbers as the scales of a kernel, got {part.strip()!r}; correct them"
            ) from None
        if name not in KERNELS:
            raise ConfigError(
                f"expected kernels among {', '.join(KERNELS)}, joined by + or *, got {name!r}; correct the name"
            )
        if len(scales) > {"periodic": 2, "brownian": 0}.get(name, 1) or not all(0 < own < math.inf for own in scales):
            raise ConfigError(f"expected a positive length scale in brackets, for periodic also a period, for brownian nothing, got "
                              f"{part.strip()!r}; correct them")  # fmt: skip
        factors.append(Factor(name, *(scales + [length_scale, period][len(scales) :])))
    if not factors or not variance > 0:
        raise ConfigError(f"expected a kernel and a positive variance, got {text.strip()!r}; for example 0.5*rbf")
    return Summand(variance, tuple(factors))


def _one(own: Factor, x1: Tensor, x2: Tensor, r: Tensor) -> Tensor:
    l = own.length_scale  # noqa: E741
    if own.name == "rbf":
        return (-(r**2) / (2 * l**2)).exp()
    if own.name == "matern52":
        a = math.sqrt(5) * r / l
        return (1 + a + a**2 / 3) * (-a).exp()
    if own.name == "matern32":
        a = math.sqrt(3) * r / l
        return (1 + a) * (-a).exp()
    if own.name == "matern12":
        return (-r / l).exp()
    if own.name == "periodic":
        return (-2 * (math.pi * r / own.period).sin() ** 2 / l**2).exp()
    # Without points there is nothing to check.
    if x1.shape[-1] != 1 or min(*(float(x.min()) if x.numel() else 0.0 for x in (x1, x2))) < 0:
        least = min(*(float(x.min()) if x.numel() else 0.0 for x in (x1, x2)))
        raise DataError(f"expected times of one dimension, 0 or later, got dimension {x1.shape[-1]} and minimum "
                        f"{least:g}; set x_dim=1 and low=0")  # fmt: skip
    return torch.minimum(x1, x2.mT)


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
