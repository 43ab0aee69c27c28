"""Families of functions that are no Gaussian processes: saws, damped waves, and digits that turn.

Saws are a test of neural processes by Gordon et al. (2020, https://arxiv.org/abs/1910.13556), damped waves and turning digits of
dynamical ones by Norcliffe et al. (2021, https://arxiv.org/abs/2103.12413).
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pushforward.core.errors import ConfigError
from pushforward.core.random import RowGenerator

from .function_sets import FunctionSet, padded, random_points
from .images import Images


def sawtooth(n: int = 1024, *, points: int | tuple[int, int] = 64, x_dim: int = 1, low: float = -2.0, high: float = 2.0,
             frequency: tuple[float, float] = (3.0, 5.0), noise: float = 0.0, seed: int = 0) -> FunctionSet:  # fmt: skip
    """Draw `n` saws y = (w u'x + b) mod 1, with w uniform in `frequency`, u a random direction, b uniform on [0, 1).

    On a line the direction is up or down. Sizes, seeds and points are as in `gp_draws`.

    >>> data = sawtooth(8)
    >>> bool((data.y >= 0).all() and (data.y < 1).all())
    True
    """
    generator = RowGenerator(seed, n)
    x, mask = random_points(generator, points, x_dim, low, high)
    u = generator.fork(3).normal(x_dim, 1, dtype=torch.float64)
    w = _between(generator.fork(4), frequency)
    y = (w * (x @ (u / u.norm(dim=1, keepdim=True))) + _between(generator.fork(5), (0.0, 1.0))) % 1
    # Just below one, float32 would round up to one, which is no value of a saw.
    y = y.clamp(max=1 - torch.finfo(torch.get_default_dtype()).eps)
    return padded(x, y + noise * generator.fork(2).normal(*y.shape[1:], dtype=torch.float64), mask)


def oscillators(n: int = 1024, *, points: int | tuple[int, int] = 64, low: float = 0.0, high: float = 5.0,
                amplitude: tuple[float, float] = (-1.0, 1.0), shift: tuple[float, float] = (-0.5, 0.5), decay: float = 0.5,
                frequency: float = 1.0, noise: float = 0.0, seed: int = 0) -> FunctionSet:  # fmt: skip
    """Draw `n` damped waves y = a exp(-`decay` x) sin(`frequency` x - b), with a and b uniform in `amplitude` and `shift`.

    Sizes, seeds and points are as in `gp_draws`.

    >>> oscillators(8, points=20).y.shape
    torch.Size([8, 20, 1])
    """
    generator = RowGenerator(seed, n)
    x, mask = random_points(generator, points, 1, low, high)
    a, b = _between(generator.fork(3), amplitude), _between(generator.fork(4), shift)
    y = a * (-decay * x).exp() * (frequency * x - b).sin()
    return padded(x, y + noise * generator.fork(2).normal(*y.shape[1:], dtype=torch.float64), mask)


def rotating_digits(images: Images | None = None, *, digit: int = 3, frames: int = 16) -> FunctionSet:
    """One digit, turning once around: x is the time in [0, 1), y the grey values of a frame, row by row, in [0, 1].

    The digits are those of scikit-learn unless `images` are given, with labels where `digit` is to be chosen among them. Frames are
    interpolated between pixels; what turns into the picture from outside is black. Raises `ConfigError` where there is no such digit.

    >>> rotating_digits(frames=8).y.shape
    torch.Size([183, 8, 64])
    """
    if images is None:
        from sklearn import datasets

        found = datasets.load_digits(return_X_y=True)
        images = Images.of(found[0].reshape(-1, 8, 8).astype(np.uint8), found[1], levels=17, where="digits")
    chosen = images.pixels if images.labels is None else images.pixels[images.labels == digit]
    if not len(chosen) or frames < 1:
        raise ConfigError(
            f"expected a digit that is there and at least one frame, got {digit} and {frames}; correct them"
        )
    grey = chosen.to(torch.get_default_dtype()) / (images.levels - 1)
    time = torch.arange(frames, device=grey.device) / frames
    turned = torch.stack([_turned(grey, 2 * math.pi * float(t)) for t in time], 1)
    x = time.to(grey)[:, None].expand(len(grey), frames, 1)
    return FunctionSet.of(x, turned.flatten(2))


def _turned(pictures: Tensor, angle: float) -> Tensor:
    """Counter-clockwise, by bilinear interpolation; pixels are squares, also in a picture that is none."""
    height, width = pictures.shape[-2:]
    cos, sin = math.cos(angle), math.sin(angle)
    matrix = pictures.new_tensor([[cos, -sin * height / width, 0], [sin * width / height, cos, 0]])
    grid = functional.affine_grid(matrix.expand(len(pictures), 2, 3), list(pictures.shape), align_corners=False)
    return functional.grid_sample(pictures, grid, align_corners=False).clamp(0, 1)


def _between(generator: RowGenerator, ends: tuple[float, float]) -> Tensor:
    return ends[0] + (ends[1] - ends[0]) * generator.uniform(1, 1, dtype=torch.float64)
