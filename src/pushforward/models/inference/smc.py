"""Sequential Monte Carlo: particles that are weighted, resampled and moved from a base to a target, at temperatures of their own choice.

As annealed importance sampling (see `annealed`), but the next b is where the effective sample size has fallen to a share of the
particles, found by bisection, and then the heavy are copied and the light dropped. Z is the product of the mean weights. Del Moral,
Doucet, Jasra 2006, https://doi.org/10.1111/j.1467-9868.2006.00553.x; resampling: Kitagawa 1996, https://doi.org/10.2307/1390750
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError, ConvergenceError
from pushforward.core.random import RowGenerator
from pushforward.core.registry import device_of

from .annealed import KernelFactory, between, log_mean_weight
from .density import Density, features_of, finite_start, log_density_of


@dataclass(frozen=True)
class Particles:
    """`x` `(islands * particles, d)`, of equal weight; log Z with its standard error over the islands; the `temperatures`.

    exp(log_z) is the mean over islands of what is all but unbiased; its logarithm is an estimate, in expectation a little low.
    """

    x: Tensor
    log_z: float
    log_z_std_error: float
    temperatures: Sequence[float]


def sequential_monte_carlo(target: Density, base: Distribution, *, kernel: KernelFactory, particles: int = 500, islands: int = 8,
                           steps: int = 5, effective: float = 0.5, most_temperatures: int = 500,
                           seed: int = 0) -> Particles:  # fmt: skip
    """Draws of `target` and its log Z, from `base`, whose draws cover it.

    `islands` populations share the temperatures and resample each within itself, so that their spread is the error. `kernel` makes a
    transition that leaves a log density unchanged, taken `steps` times at each temperature; `effective` is the share of effective
    particles to fall to before each resampling.

    Raises `ConfigError` for impossible settings, `ConvergenceError` when b = 1 is not reached in `most_temperatures`.

    >>> from pushforward.models.inference import Langevin
    >>> from pushforward.parts.distributions import Gaussian
    >>> wide = Gaussian(torch.zeros(1), torch.tensor([3.0]))
    >>> found = sequential_monte_carlo(lambda x: -(x - 1).square().sum(1) / 2, wide, kernel=lambda f: Langevin(f, 0.05))
    >>> found.x.shape, abs(found.log_z - 0.919) < 0.1  # log(2 pi) / 2
    (torch.Size([4000, 1]), True)
    """
    features_of(target, base.event_shape[0])
    if particles < 2 or islands < 2 or steps < 1 or not 0 < effective < 1:
        raise ConfigError(f"expected at least 2 particles, 2 islands, 1 step and effective in (0, 1), got {particles}, {islands}, {steps} and "
                          f"{effective}")  # fmt: skip
    log_p, generator = log_density_of(target), RowGenerator(seed, particles * islands, device=device_of(base))
    with torch.no_grad():
        x = base._sample(None, generator.fork(1))
    finite_start(target, x)
    moves, lots = generator.fork(2), RowGenerator(seed, islands, device=x.device).fork(3)
    log_z = torch.zeros(islands, dtype=torch.float64, device=x.device)
    temperatures = [0.0]
    while temperatures[-1] < 1:
        if len(temperatures) > most_temperatures:
            raise ConvergenceError(f"expected to reach b = 1 in {most_temperatures} temperatures, got to {temperatures[-1]:.3g}; take a base nearer "
                                   "to the target, or a kernel that moves further")  # fmt: skip
        with torch.no_grad():
            ratio = (log_p(x) - base.log_prob(x)).double()
        b = _next(ratio, temperatures[-1], effective)
        increments = ((b - temperatures[-1]) * ratio).reshape(islands, particles)
        log_z += increments.logsumexp(1) - math.log(particles)
        x = x[_systematic(increments.softmax(1), lots.uniform(dtype=torch.float64))]
        x = kernel(between(base, target, b)).run(x, steps, moves).x.detach()
        temperatures.append(b)
    value, error, _ = log_mean_weight(log_z)
    return Particles(x, value, error, temperatures)


def _next(ratio: Tensor, b: float, effective: float) -> float:
    """The largest b' up to 1 at which the effective share of all particles is still at least `effective`, by bisection."""

    def share(upto: float) -> float:
        return log_mean_weight((upto - b) * ratio)[2] / len(ratio)

    if share(1.0) >= effective:
        return 1.0
    low, high = b, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if share(middle) >= effective else (low, middle)
    return high  # not low, which may be b itself, and the end would never come


def _systematic(weights: Tensor, uniform: Tensor) -> Tensor:
    """Indices `(islands * n,)` of the copies: one uniform number an island, and places n^-1 apart."""
    islands, n = weights.shape
    places = (torch.arange(n, dtype=torch.float64, device=weights.device) + uniform[:, None]) / n
    chosen = torch.searchsorted(weights.cumsum(1).contiguous(), places, right=True).clamp(max=n - 1)
    return (chosen + n * torch.arange(islands, device=weights.device)[:, None]).flatten()
