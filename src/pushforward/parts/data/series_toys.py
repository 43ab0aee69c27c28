"""Time series drawn from a formula: spirals, Ornstein-Uhlenbeck processes, damped oscillations.

Row 17 depends on the seed and on 17 only, so the first rows of a larger set are those of a smaller one.
"""

import math

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.random import RowGenerator

from .series import Series


def bidirectional_spirals(
    n: int = 1000, *, points: int = 100, grid: int = 500, noise: float = 0.3, seed: int = 0
) -> Series:
    """Spirals in the plane, about half of them clockwise, seen with noise at `points` instants of a regular grid.

    After the experiment of Chen et al. (2018, https://arxiv.org/abs/1806.07366, section 5.1): x = r (cos theta, sin theta) with
    r = 0.3 theta and theta growing by 6 pi while t goes from 0 to 1, or, clockwise, r = 15 / theta and theta falling by as much.
    The lower end of theta is uniform between 1 and 1 + 2 pi. The label says which of the two. Instants are drawn without
    replacement from `grid` of them; `noise` is a standard deviation.
    """
    _require_sizes(n, points, noise)
    if grid < points:
        raise ConfigError(
            f"expected a grid of at least {points} instants, the points asked for, got {grid}; give a finer one"
        )
    g = RowGenerator(seed, n)
    low = 1 + 2 * math.pi * g.fork(0).uniform(1)
    clockwise = g.fork(1).rademacher(1) < 0
    chosen = g.fork(2).uniform(grid).argsort(1)[:, :points].sort(1).values
    t = chosen / (grid - 1)
    theta = low + 6 * math.pi * torch.where(clockwise, 1 - t, t)
    radius = torch.where(clockwise, 15 / theta, 0.3 * theta)
    path = torch.stack([radius * theta.cos(), radius * theta.sin()], -1)
    x = path + noise * g.fork(3).normal(points, 2)
    return Series.of(
        t, x, None, clockwise[:, 0].long(), channel_names=("x", "y"), class_names=("anticlockwise", "clockwise")
    )


def ornstein_uhlenbeck(n: int = 1000, *, points: int = 50, duration: float = 5.0, theta: float = 1.0, mean: float = 0.0,
                       sigma: float = 0.5, seed: int = 0) -> Series:  # fmt: skip
    """Stationary Ornstein-Uhlenbeck processes dX = theta (mean - X) dt + sigma dW at sorted uniform times.

    Drawn exactly, by the Gaussian transition X(t + d) | X(t) ~ N(mean + (X(t) - mean) e^(-theta d), s^2 (1 - e^(-2 theta d)))
    with s^2 = sigma^2 / (2 theta) (Uhlenbeck and Ornstein, 1930, https://doi.org/10.1103/PhysRev.36.823).
    """
    _require_sizes(n, points, sigma)
    if theta <= 0 or duration <= 0:
        raise ConfigError(f"expected a positive theta and duration, got {theta} and {duration}; correct them")
    g = RowGenerator(seed, n)
    t = _instants(g.fork(0), points, duration)
    normal = g.fork(1).normal(points, dtype=torch.float64)
    spread = sigma / math.sqrt(2 * theta)
    x = [spread * normal[:, 0]]
    for i in range(1, points):
        kept = (-theta * (t[:, i] - t[:, i - 1])).exp()
        x.append(kept * x[-1] + spread * (1 - kept.square()).sqrt() * normal[:, i])
    return Series.of(t, mean + torch.stack(x, 1))


def damped_oscillator(n: int = 1000, *, points: int = 50, duration: float = 10.0, frequency: float = 2.0, damping: float = 0.1,
                      noise: float = 0.05, seed: int = 0) -> Series:  # fmt: skip
    """Position and speed of x'' = -frequency^2 x - 2 damping x' from starts N(0, I), seen with noise at sorted uniform times.

    The solution is that of the underdamped case: e^(-damping t) (a cos w t + b sin w t) with w^2 = frequency^2 - damping^2,
    a = x(0) and b = (x'(0) + damping x(0)) / w.
    """
    _require_sizes(n, points, noise)
    if not 0 <= damping < frequency or duration <= 0:
        raise ConfigError(f"expected 0 <= damping < frequency and a positive duration, got {damping}, {frequency} and {duration}; "
                          "correct them")  # fmt: skip
    g = RowGenerator(seed, n)
    t = _instants(g.fork(0), points, duration)
    start = g.fork(1).normal(2, 1, dtype=torch.float64)
    w = math.sqrt(frequency**2 - damping**2)
    a, b = start[:, 0], (start[:, 1] + damping * start[:, 0]) / w
    decay, cosine, sine = (-damping * t).exp(), (w * t).cos(), (w * t).sin()
    x = decay * (a * cosine + b * sine)
    speed = decay * ((b * w - damping * a) * cosine - (a * w + damping * b) * sine)
    seen = torch.stack([x, speed], -1) + noise * g.fork(2).normal(points, 2, dtype=torch.float64)
    return Series.of(t, seen, channel_names=("position", "speed"))


def _instants(g: RowGenerator, points: int, duration: float) -> Tensor:
    """Sorted times, uniform but at least 1e-3 of the mean gap apart, so that float32 tells them apart."""
    apart = 1e-3 * duration / points
    ordered = g.uniform(points, dtype=torch.float64).sort(1).values * (duration - apart * points)
    return ordered + apart * torch.arange(points)


def _require_sizes(n: int, points: int, noise: float) -> None:
    if n < 1 or points < 1 or noise < 0:
        raise ConfigError(
            f"expected at least one series and one point, and no negative noise, got {n}, {points} and {noise}"
        )
