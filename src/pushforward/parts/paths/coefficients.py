"""Linear coefficients of a path in double precision: what samplers want once, and not as tensors at every step.

Every prediction a network can make is name = a data + b noise, so every conversion is
target = c x_t + d source, the one bridge of `Path.convert`.
"""

from torch import Tensor

from pushforward.core import path as bridge
from pushforward.core.path import Path, Prediction


def combination(path: Path, name: Prediction, t: Tensor) -> tuple[Tensor, Tensor]:
    """(a, b) with name = a data + b noise at times t `(n,)`, as float64.

    >>> import torch
    >>> from pushforward.parts.paths.linear import Linear
    >>> a, b = combination(Linear(), "velocity", torch.tensor([0.25]))  # velocity = noise - data
    >>> a.item(), b.item()
    (-1.0, 1.0)
    """
    t = t.double()
    alpha, sigma = path.alpha(t), path.sigma(t)
    slopes = path.derivatives(t)[2:] if name == "velocity" else (alpha, sigma)
    return bridge.combination(name, alpha, sigma, *slopes)


def conversion(path: Path, source: Prediction, target: Prediction, t: Tensor) -> tuple[Tensor, Tensor]:
    """(c, d) with target = c x_t + d source at times t `(n,)`, as float64: `path.convert` without its tensors.

    >>> import torch
    >>> from pushforward.parts.paths.cosine import Cosine
    >>> c, d = conversion(Cosine(), "v", "data", torch.tensor([0.5]))  # data = alpha x_t - sigma v
    >>> round(c.item(), 4), round(d.item(), 4)
    (0.7071, -0.7071)
    """
    return path.conversion(source, target, t.double())
