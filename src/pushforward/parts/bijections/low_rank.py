"""What planar and Sylvester flows share: v + r tanh(r~ v + c) is increasing when r r~ > -1, and how to keep it so.

The slope is 1 + r r~ h' with h' = 1 - tanh^2 in (0, 1]. A free number a becomes the product m(a) = log(1 - p + p e^a),
which is -1 + softplus of a shifted a but for a constant: m(0) = 0, m(a) ~ a for large a, and m > log(1 - p) = -0.999.
Rezende and Mohamed (2015, appendix A.1) use the unshifted function, with m > -1 in exact arithmetic only (a float
softplus does reach 0) and m(0) = -0.31, which is far from the identity and sends u to infinity as w goes to 0.
"""

import math

import torch
from torch import Tensor

from pushforward.core.solved import Solved
from pushforward.parts.numerics import monotone_root

LEAST_SLOPE = 1e-3
_P = -math.expm1(LEAST_SLOPE - 1)
_Q = _P * (1 - _P)
# m is the cumulant generating function of a coin that shows 1 with probability p; its Taylor series are the cumulants.
_SERIES = (_P, _Q / 2, _Q * (1 - 2 * _P) / 6, _Q * (1 - 6 * _Q) / 24, _Q * (1 - 2 * _P) * (1 - 12 * _Q) / 120)


def above_minus_one(a: Tensor) -> tuple[Tensor, Tensor]:
    """m(a) >= LEAST_SLOPE - 1 and m(a) / a, elementwise; increasing, smooth, with m(0) = 0, finite for every finite a.

    >>> m, ratio = above_minus_one(torch.tensor([-1e9, 0.0, 1e9]))
    >>> m[1:], bool(m[0] > -1), bool(torch.allclose(ratio[2], torch.ones(())))
    (tensor([0.0000e+00, 1.0000e+09]), True, True)
    """
    low, high = a.clamp(max=0), a.clamp(min=0)
    below = torch.log1p(_P * torch.expm1(low))
    m = torch.where(a > 0, high + torch.log1p((1 - _P) * torch.expm1(-high)), below)
    small = a.abs() < 1e-3
    near, series = torch.where(small, a, 0.0), torch.zeros_like(a)
    for coefficient in reversed(_SERIES):
        series = coefficient + near * series
    return m, torch.where(small, series, m / torch.where(small, 1.0, a))


def bend(v: Tensor, outer: Tensor, inner: Tensor, shift: Tensor, product: Tensor) -> tuple[Tensor, Tensor]:
    """v + outer tanh(inner v + shift) and the log of its slope, elementwise; product = outer * inner > -1."""
    a = inner * v + shift
    return v + outer * torch.tanh(a), torch.log1p(product * tanh_slope(a))


def unbend(y: Tensor, outer: Tensor, inner: Tensor, shift: Tensor, product: Tensor) -> tuple[Tensor, Solved]:
    """v with bend(v) = y, elementwise, differentiable by the implicit function theorem."""
    return monotone_root(lambda v: bend(v, outer, inner, shift, product), y)


def tanh_slope(a: Tensor) -> Tensor:
    """1 - tanh(a)^2, without the cancellation."""
    return 4 * torch.sigmoid(2 * a) * torch.sigmoid(-2 * a)


def unit(v: Tensor) -> Tensor:
    """v / |v| along the last dimension, for vectors of any size, with finite gradients; zero stays zero."""
    # Divided by its largest number first: the squares of 1e-30 are zero in float32. A constant factor changes nothing.
    most = v.detach().abs().amax(-1, keepdim=True)
    scaled = v / torch.where(most > 0, most, 1.0)
    return scaled / torch.linalg.vector_norm(scaled, dim=-1, keepdim=True).clamp(min=1)
