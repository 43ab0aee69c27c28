"""Sets of functions, each known at points of its own: what neural processes are trained on.

A Gaussian process with kernel k, seen with noise: y = f(x) + noise * e, so that y ~ N(0, K + noise^2 I), K_ij = k(x_i, x_j);
y = L e by the Cholesky factor L of that matrix (Rasmussen and Williams, 2006, http://gaussianprocess.org/gpml, appendix A.2).
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.core.batching import in_chunks
from pushforward.core.errors import ConfigError, DataError
from pushforward.core.process import Context
from pushforward.core.random import RowGenerator

from .covariances import covariance_of, factor, kernel_text, parse_kernel
from .images import Images
from .series import Series
from .split import split_rows


@dataclass(frozen=True)
class FunctionBatch:
    """Points of `n` functions: x `(n, points, x_dim)`, y `(n, points, y_dim)`, mask `(n, points)`, True where real."""

    x: Tensor
    y: Tensor
    mask: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def context(self) -> Context:
        """All points, as what a `Process` is told."""
        return Context(self.x, self.y, self.mask)

    def to(self, device: torch.device | str) -> "FunctionBatch":
        """Move to a device."""
        return replace(self, x=self.x.to(device), y=self.y.to(device), mask=self.mask.to(device))


@dataclass(frozen=True)
class FunctionSet:
    """A data set whose rows are functions, padded to the longest; the fields are those of `FunctionBatch`.

    `process` is the Gaussian process that they were drawn from, if they were: its kernel and the noise, as `gp_draws` writes them.
    Raises `DataError` for shapes that do not fit, and for a real point that is not finite.

    >>> curves = FunctionSet.of(torch.zeros(10, 5, 1), torch.zeros(10, 5, 2))
    >>> len(curves), curves.x_dim, curves.y_dim, curves.take(torch.tensor([3, 4])).y.shape
    (10, 1, 2, torch.Size([2, 5, 2]))
    """

    x: Tensor
    y: Tensor
    mask: Tensor
    process: tuple[str, float] | None = None

    def __post_init__(self) -> None:
        x, y, mask = self.x, self.y, self.mask
        if x.ndim != 3 or y.ndim != 3 or not x.shape[:2] == y.shape[:2] == mask.shape:
            raise DataError("expected x (n, points, x_dim), y (n, points, y_dim) and mask (n, points), got "
                            f"{tuple(x.shape)}, {tuple(y.shape)} and {tuple(mask.shape)}; pad the short ones")  # fmt: skip
        bad = mask & ~(x.isfinite().all(-1) & y.isfinite().all(-1))
        if bad.any():
            raise DataError(f"expected finite numbers at every real point, got {int(bad.sum())} with NaN or inf, the first "
                            f"in function {int(bad.any(1).int().argmax())}; leave them out with the mask")  # fmt: skip

    @classmethod
    def of(cls, x: Tensor, y: Tensor, mask: Tensor | None = None) -> "FunctionSet":
        """Build a set; without a mask every point is real."""
        return cls(x, y, torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) if mask is None else mask)

    @classmethod
    def from_images(cls, images: Images) -> "FunctionSet":
        """Pictures as functions from the plane: x is (row, column) in [-1, 1]^2 and y the channels in [0, 1].

        Points go row by row, so that y of a picture is `(height * width, channels)` of it.

        >>> FunctionSet.from_images(Images.of(torch.eye(8, dtype=torch.long)[None] * 255)).y[0, 9]
        tensor([1.])
        """
        n, channels, height, width = images.pixels.shape
        sides = [torch.linspace(-1, 1, side) if side > 1 else torch.zeros(1) for side in (height, width)]
        where = torch.cartesian_prod(*sides).to(images.pixels.device)
        y = images.pixels.movedim(1, -1).reshape(n, height * width, channels) / (images.levels - 1)
        mask = torch.ones((), dtype=torch.bool, device=y.device)
        return cls(where.to(y).expand(n, -1, 2), y, mask.expand(n, height * width))  # views: a set of pictures is large

    @classmethod
    def from_series(cls, series: Series) -> "FunctionSet":
        """Time series as functions of time: instants at which every channel was observed are points, other instants are left out."""
        whole = series.observed.all(-1)
        if not whole.any(1).all():
            raise DataError("expected an instant in every series at which all channels were observed, got none in series "
                            f"{int((~whole.any(1)).int().argmax())}; choose fewer channels")  # fmt: skip
        x, y = series.t[..., None].to(series.x), series.x
        return cls(torch.where(whole[..., None], x, 0.0), torch.where(whole[..., None], y, 0.0), whole)

    def describe(self) -> dict[str, Any]:
        """What a saved model should know of its data, as plain JSON."""
        return {"kind": "functions", "x_dim": self.x_dim, "y_dim": self.y_dim}

    @property
    def x_dim(self) -> int:
        """How many numbers say where a point is."""
        return self.x.shape[-1]

    @property
    def y_dim(self) -> int:
        """How many numbers are observed at a point."""
        return self.y.shape[-1]

    def __len__(self) -> int:
        return len(self.x)

    def context(self) -> Context:
        """All points of all functions, as what a `Process` is told."""
        return Context(self.x, self.y, self.mask)

    def take(self, index: Tensor) -> FunctionBatch:
        """The batch of these functions."""
        return FunctionBatch(self.x[index], self.y[index], self.mask[index])

    def to(self, device: torch.device | str) -> "FunctionSet":
        """Move the functions to a device."""
        return replace(self, x=self.x.to(device), y=self.y.to(device), mask=self.mask.to(device))

    def split(self, fractions: tuple[float, ...], seed: int = 0) -> tuple["FunctionSet", ...]:
        """Divide the functions at random, the same way for the same seed."""
        parts = [self.take(rows.to(self.x.device)) for rows in split_rows(len(self), fractions, seed)]
        return tuple(FunctionSet(part.x, part.y, part.mask, self.process) for part in parts)


BENCHMARK_NOISE = 0.05**0.5  # a variance of 0.05, as in the tasks of Bruinsma et al.
# What a kernel and its noise are called in `load`. The last three are the tasks of Gordon et al. (2020, https://arxiv.org/abs/1910.13556)
# with the scales of Bruinsma et al. (2023, https://arxiv.org/abs/2303.14468): x in [-2, 2], l = 0.25.
GP_SETS: dict[str, dict[str, Any]] = {
    "gp_rbf": {"kernel": "rbf"},
    "gp_matern52": {"kernel": "matern52"},
    "gp_periodic": {"kernel": "periodic"},
    "gp_rbf_noisy": {"kernel": "rbf(0.25)", "noise": BENCHMARK_NOISE},
    "gp_matern52_noisy": {"kernel": "matern52(0.25)", "noise": BENCHMARK_NOISE},
    "gp_weakly_periodic": {"kernel": "rbf(0.5)*periodic(1, 0.25)", "noise": BENCHMARK_NOISE},
}


def gp_draws(kernel: str = "rbf", n: int = 1024, *, points: int | tuple[int, int] = 64, x_dim: int = 1, low: float = -2.0,
             high: float = 2.0, length_scale: float = 0.2, period: float = 1.0, noise: float = 0.05, seed: int = 0,
             x: Float[Tensor, "points x_dim"] | None = None) -> FunctionSet:  # fmt: skip
    """Draw `n` functions from a zero-mean Gaussian process, each at points uniform between `low` and `high`.

    `kernel` is one of "rbf", "matern52", "matern32", "matern12", "periodic", "brownian", or a sum or product such as
    "rbf(2)*periodic + matern12", where scales in brackets go before `length_scale` and `period` (see `covariance_matrix`).
    `points` may be a range (least, most) for functions of different length. `noise` is the standard deviation of the
    observations. With `x` `(points, x_dim)` every function is seen at these points instead. Function 17 depends on
    `seed` and on 17, not on `n`. Computed in float64, returned in PyTorch's default dtype. Raises `ConfigError` for
    an unknown kernel or impossible sizes.

    >>> gp_draws("matern52", 8, points=20).y.shape
    torch.Size([8, 20, 1])
    """
    generator = RowGenerator(seed, n)
    if x is not None:
        where, mask = x.double().expand(n, *x.shape), torch.ones(n, len(x), dtype=torch.bool)
    else:
        where, mask = random_points(generator, points, x_dim, low, high)
    standard = generator.fork(2).normal(where.shape[1], 1, dtype=torch.float64)
    summands = parse_kernel(kernel, length_scale=length_scale, period=period)

    def lower(at: Tensor) -> Tensor:
        diagonal = noise**2 * torch.eye(at.shape[-2], dtype=torch.float64)
        return factor(covariance_of(summands, at, at) + diagonal)

    if x is not None:
        y = (lower(x.double()) @ standard[..., 0].T).T[..., None]
    else:
        rows = max(1, (1 << 23) // where.shape[1] ** 2)  # 64 MiB of covariances at a time
        y = in_chunks(lambda at, e: lower(at) @ e, rows, where, standard)
    return replace(padded(where, y, mask), process=(kernel_text(summands), float(noise)))


def sines(n: int = 1024, *, points: int | tuple[int, int] = 64, low: float = -math.pi, high: float = math.pi,
          amplitude: tuple[float, float] = (-1.0, 1.0), shift: tuple[float, float] = (-0.5, 0.5), noise: float = 0.0,
          seed: int = 0) -> FunctionSet:  # fmt: skip
    """Draw `n` waves y = a sin(x - b) + noise e, with a and b uniform in the ranges `amplitude` and `shift`.

    The defaults are the family of Norcliffe et al. (2021, https://arxiv.org/abs/2103.12413). Sizes, seeds and points
    are as in `gp_draws`.

    >>> bool((sines(8, amplitude=(2.0, 3.0)).y.abs() <= 3).all())
    True
    """
    generator = RowGenerator(seed, n)
    x, mask = random_points(generator, points, 1, low, high)
    a, b = (
        first + (last - first) * generator.fork(label).uniform(1, 1, dtype=torch.float64)
        for label, (first, last) in ((3, amplitude), (4, shift))
    )
    y = a * (x - b).sin() + noise * generator.fork(2).normal(x.shape[1], 1, dtype=torch.float64)
    return padded(x, y, mask)


def random_points(
    generator: RowGenerator, points: int | tuple[int, int], x_dim: int, low: float, high: float
) -> tuple[Tensor, Tensor]:
    """Places of each function, uniform in a box, and the mask of those that it has."""
    least, most = (points, points) if isinstance(points, int) else points
    if not (1 <= least <= most and low < high):
        raise ConfigError(f"expected 1 <= least <= most points and low < high, got {least}, {most}, {low} and {high}")
    x = low + (high - low) * generator.fork(0).uniform(most, x_dim, dtype=torch.float64)
    lengths = least + generator.fork(1).integers(most - least + 1, 1)
    return x, torch.arange(most) < lengths


def padded(x: Tensor, y: Tensor, mask: Tensor) -> FunctionSet:
    """A set in PyTorch's default dtype, zero where there is no point."""
    dtype = torch.get_default_dtype()
    return FunctionSet((x * mask[..., None]).to(dtype), (y * mask[..., None]).to(dtype), mask)
