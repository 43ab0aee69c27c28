"""Linear coefficients of a path in double precision: what samplers want once, and not as tensors at every step.

Every prediction a network can make is name = a data + b noise, so every conversion is
target = c x_t + d source, the one bridge of `Path.convert`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ...core.path import Path, Prediction, _combination


def combination(path: Path, name: Prediction, t: Tensor) -> tuple[Tensor, Tensor]:
    """(a, b) with name = a data + b noise at times t `(n,)`, as float64.

    >>> import torch
    >>> from pushforward.parts.paths.linear import Linear
    >>> a, b = combination(Linear(), "velocity", torch.tensor([0.25]))  # velocity = noise - data
    >>> a.item(), b.item()
    (-1.0, 1.0)
    """
    t = t.double()
    return _combination(name, *_values(path, t, (name,)))


def conversion(path: Path, source: Prediction, target: Prediction, t: Tensor) -> tuple[Tensor, Tensor]:
    """(c, d) with target = c x_t + d source at times t `(n,)`, as float64: `path.convert` without its tensors.

    >>> import torch
    >>> from pushforward.parts.paths.cosine import Cosine
    >>> c, d = conversion(Cosine(), "v", "data", torch.tensor([0.5]))  # data = alpha x_t - sigma v
    >>> round(c.item(), 4), round(d.item(), 4)
    (0.7071, -0.7071)
    """
    values = _values(path, t.double(), (source, target))
    alpha, sigma = values[:2]
    a, b = _combination(source, *values)
    c, d = _combination(target, *values)
    determinant = alpha * b - sigma * a
    return (c * b - d * a) / determinant, (d * alpha - c * sigma) / determinant


def slopes(f: Callable[[Tensor], Tensor], t: Tensor) -> tuple[Tensor, Tensor]:
    """f(t) and df/dt, elementwise, by one reverse pass: cheaper than forward mode where f is a few operations."""
    with torch.inference_mode(False), torch.enable_grad():
        t = t.detach().clone().requires_grad_()
        value = f(t)
        if not value.requires_grad:  # a constant
            return value, torch.zeros_like(value)
        return value.detach(), torch.autograd.grad(value.sum(), t)[0]


def _values(path: Path, t: Tensor, names: tuple[Prediction, ...]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """alpha, sigma and their derivatives, these only where a velocity needs them."""
    if "velocity" in names:
        (alpha, d_alpha), (sigma, d_sigma) = slopes(path.alpha, t), slopes(path.sigma, t)
        return alpha, sigma, d_alpha, d_sigma
    alpha, sigma = path.alpha(t), path.sigma(t)
    return alpha, sigma, alpha, sigma
