"""The angle clock: divided by its scale, every Gaussian path is the same rotation from data to noise.

With r = sqrt(alpha^2 + sigma^2) and tan(theta) = sigma / alpha, the point y = x_t / r obeys

    y = cos(theta) data + sin(theta) noise,      dy/dtheta = -sin(theta) data + cos(theta) noise = v,

so that one ODE, dy/dtheta = E[v | y], is the probability flow of all paths; they differ in how fast they run through
the angle, that is in how they spend a network's training. Nothing is singular on it, at either end.
Salimans and Ho 2022, https://arxiv.org/abs/2202.00512, appendix D.
"""

import functools

import torch
from torch import Tensor

from pushforward.core.path import Path, slope

_KNOTS = 8192


def angle(path: Path, t: Tensor) -> Tensor:
    """theta = atan(sigma / alpha), between 0 (data) and pi / 2 (noise), elementwise.

    >>> from pushforward.parts.paths.cosine import Cosine
    >>> angle(Cosine(), torch.tensor(0.5)) * 4 / torch.pi
    tensor(1.)
    """
    return torch.atan2(path.sigma(t), path.alpha(t))


def scale(path: Path, t: Tensor) -> Tensor:
    """r = sqrt(alpha^2 + sigma^2): the standard deviation of x_t for data of unit variance, elementwise."""
    return torch.hypot(path.alpha(t), path.sigma(t))


def time_of_angle(path: Path, theta: Tensor) -> Tensor:
    """The t in [t_min, t_max] with `angle(path, t) = theta`, elementwise, as float64; ends are clamped.

    Read from a table of the inverse with cubic interpolation, so it costs the same for every path.

    >>> from pushforward.parts.paths.vp import VP
    >>> t = torch.tensor([0.01, 0.3, 0.9], dtype=torch.float64)
    >>> bool((time_of_angle(VP(), angle(VP(), t)) - t).abs().max() < 1e-9)
    True
    """
    first, spacing, knots, d_knots = _table(path, theta.device)
    position = ((theta.double() - first) / spacing).clamp(0, _KNOTS)
    left = position.long().clamp(max=_KNOTS - 1)
    u = position - left
    t0, t1 = knots[left], knots[left + 1]
    m0, m1 = d_knots[left] * spacing, d_knots[left + 1] * spacing
    # Cubic Hermite between two knots, by powers of u.
    return t0 + u * (m0 + u * (3 * (t1 - t0) - 2 * m0 - m1 + u * (2 * (t0 - t1) + m0 + m1)))


@functools.lru_cache(maxsize=32)
def _table(path: Path, device: torch.device) -> tuple[float, float, Tensor, Tensor]:
    """First angle, spacing, and at every knot t and dt/dtheta."""
    with torch.inference_mode(False), torch.no_grad():  # the table outlives the call that builds it
        low, high = (torch.full((_KNOTS + 1,), end, dtype=torch.float64) for end in (path.t_min, path.t_max))
        first, last = angle(path, low[0]).item(), angle(path, high[0]).item()
        theta = torch.linspace(first, last, _KNOTS + 1, dtype=torch.float64)
        for _ in range(60):  # bisection: the angle grows with t on every path
            middle = (low + high) / 2
            below = angle(path, middle) < theta
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        knots = (low + high) / 2
        knots[0], knots[-1] = path.t_min, path.t_max
        _, d_theta = slope(lambda t: angle(path, t), knots)
        return first, (last - first) / _KNOTS, knots.to(device), (1 / d_theta).to(device)
