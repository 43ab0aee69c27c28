"""Six distributions in the plane that are easy to see and hard to fit, each with its exact definition.

Every row depends on the seed and on its own number only, so the first rows of a larger draw are those of a smaller one.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.random import RowGenerator

from .files import did_you_mean, listed

NOISE = 0.1  # standard deviation across the thin lines
RADIUS, VARIANCE = 5.0, 0.1  # of the eight Gaussians


def toy(name: str, n: int = 10_000, seed: int = 0) -> Float[Tensor, "n 2"]:
    """Draw `n` points of the toy distribution `name`; `TOYS` has the names.

    >>> toy("checkerboard", 3).shape
    torch.Size([3, 2])
    """
    if name not in TOYS:
        raise ConfigError(
            f"expected one of {', '.join(TOYS)}, got {name!r}{did_you_mean(name, TOYS) or '; choose one'}"
        )
    if n < 1:
        raise ConfigError(f"expected at least one point, got n={n}; ask for more")
    return TOYS[name](RowGenerator(seed, n))


def toy_log_prob(name: str, x: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch"]:
    """Exact log density, in nats, of "eight_gaussians" or "checkerboard", the toys that have one in closed form."""
    if name not in _LOG_PROBS:
        raise ConfigError(
            f"expected a toy with a density in closed form, {listed(list(_LOG_PROBS))}, got {name!r}; choose one"
        )
    return _LOG_PROBS[name](x)


def two_moons(g: RowGenerator) -> Tensor:
    """Two half circles: theta ~ U(0, pi), a fair coin between (cos, sin) and (1 - cos, 1/2 - sin), plus N(0, 0.1^2)."""
    theta, lower = math.pi * g.uniform(), g.integers(2).bool()
    x = torch.where(lower, 1 - theta.cos(), theta.cos())
    y = torch.where(lower, 0.5 - theta.sin(), theta.sin())
    return torch.stack([x, y], 1) + NOISE * g.normal(2)


def eight_gaussians(g: RowGenerator) -> Tensor:
    """Equal weights on N(c_k, 0.1 I), c_k = 5 (cos, sin)(k pi / 4) (Tong et al., 2024, https://arxiv.org/abs/2302.00482)."""
    angle = g.integers(8) * (math.pi / 4)
    return RADIUS * torch.stack([angle.cos(), angle.sin()], 1) + math.sqrt(VARIANCE) * g.normal(2)


def pinwheel(g: RowGenerator) -> Tensor:
    """Five bent arms (Johnson et al., 2016, https://arxiv.org/abs/1603.06277).

    x = 2 R(2 pi k / 5 + e^r / 4) (r, s) with k uniform on 0..4, r ~ N(1, 0.3^2), s ~ N(0, 0.1^2), R a turn to the left.
    """
    k, normal = g.integers(5), g.normal(2)
    r, s = 1 + 0.3 * normal[:, 0], 0.1 * normal[:, 1]
    angle = 2 * math.pi / 5 * k + r.exp() / 4
    return 2 * torch.stack([angle.cos() * r - angle.sin() * s, angle.sin() * r + angle.cos() * s], 1)


def checkerboard(g: RowGenerator) -> Tensor:
    """Uniform on the eight dark squares, of side 2, of a board of four by four around the origin; density 1/32 there."""
    # Below 1 by enough that rounding never puts a point on the far edge, which belongs to the next square.
    column, half, u = g.integers(4), g.integers(2), g.uniform(2).clamp(max=1 - 2**-21)
    return 2 * (torch.stack([column, 2 * half + column % 2], 1) + u) - 4


def spirals(g: RowGenerator) -> Tensor:
    """Two spirals: +-(t/3) (cos t, sin t) + N(0, 0.1^2) with a fair sign and t = 3 pi sqrt(u), u ~ U(0, 1)."""
    t, sign = 3 * math.pi * g.uniform().sqrt(), g.rademacher()
    return (sign * t / 3)[:, None] * torch.stack([t.cos(), t.sin()], 1) + NOISE * g.normal(2)


def s_curve(g: RowGenerator) -> Tensor:
    """The letter S: (sin t, sign(t) (cos t - 1)) + N(0, 0.1^2) with t ~ U(-3 pi / 2, 3 pi / 2)."""
    t = 3 * math.pi * (g.uniform() - 0.5)
    return torch.stack([t.sin(), t.sign() * (t.cos() - 1)], 1) + NOISE * g.normal(2)


def _eight_gaussians_log_prob(x: Tensor) -> Tensor:
    angle = torch.arange(8, dtype=x.dtype, device=x.device) * (math.pi / 4)
    centres = RADIUS * torch.stack([angle.cos(), angle.sin()], 1)
    squares = (x[..., None, :] - centres).square().sum(-1)
    return (-squares / (2 * VARIANCE)).logsumexp(-1) - math.log(8 * 2 * math.pi * VARIANCE)


def _checkerboard_log_prob(x: Tensor) -> Tensor:
    square = ((x + 4) / 2).floor()
    dark = ((square >= 0) & (square < 4)).all(-1) & (square.sum(-1) % 2 == 0)
    return torch.full_like(x[..., 0], -math.log(32)).masked_fill(~dark, -math.inf)


TOYS: dict[str, Callable[[RowGenerator], Tensor]] = {
    draw.__name__: draw for draw in (two_moons, eight_gaussians, pinwheel, checkerboard, spirals, s_curve)
}
_LOG_PROBS = {"eight_gaussians": _eight_gaussians_log_prob, "checkerboard": _checkerboard_log_prob}
