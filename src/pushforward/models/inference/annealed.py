"""Annealed importance sampling: log Z from both sides.

Between a distribution q with draws and a density p known up to Z lie log f_b = (1 - b) log q + b log p. A chain that walks from q to p
has the weight w = prod_t f_(b_t)(x_t) / f_(b_(t-1))(x_t) with E w = Z, so log mean w is below log Z in expectation; one that begins with
draws of p and walks back has E w' = 1 / Z, so -log mean w' is above it. Neal 2001, https://arxiv.org/abs/physics/9803008;
Grosse, Ghahramani, Adams 2015, https://arxiv.org/abs/1511.02543
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError, UserError
from pushforward.core.kernel import Kernel
from pushforward.core.random import RowGenerator
from pushforward.core.registry import device_of

from .density import Density, features_of, finite_start, log_density_of

KernelFactory = Callable[[Callable[[Tensor], Tensor]], Kernel]


def between(base: Distribution, target: Density, b: float | Tensor) -> Callable[[Tensor], Tensor]:
    """log f_b = (1 - b) log q + b log p, as a function of `(n, d)`."""
    log_p = log_density_of(target)
    return lambda x: (1 - b) * base.log_prob(x) + b * log_p(x)


@dataclass(frozen=True)
class AnnealedLogZ:
    """`lower` and `upper`, each with a standard error: log Z lies between them but for chance, and for chains that have not mixed.

    `upper` is None without draws of the target. `effective` is the effective number of the forward chains: near 1 the estimate rests
    on one chain, and its standard error says too little.
    """

    lower: float
    lower_std_error: float
    upper: float | None
    upper_std_error: float | None
    effective: float

    def __str__(self) -> str:
        """One line."""
        above = "" if self.upper is None else f", from above {self.upper:.3f} ± {self.upper_std_error:.3f}"
        return f"log Z from below {self.lower:.3f} ± {self.lower_std_error:.3f}{above}; effective chains {self.effective:.0f}"


def annealed_log_z(target: Density, base: Distribution, *, kernel: KernelFactory, temperatures: int | Sequence[float] = 100,
                   chains: int = 500, steps: int = 1, exact: Tensor | None = None, seed: int = 0) -> AnnealedLogZ:  # fmt: skip
    """Estimate log Z of `target`, a density known up to a constant, from `base`, whose draws cover it.

    Args:
        target: a `Target`, or log p of `(n, d)`.
        base: a distribution with draws and an exact log_prob: a prior, a fitted posterior.
        kernel: makes a transition that leaves a given log density unchanged, such as `lambda f: pf.inference.MALA(f, 0.1)`.
            One that does not (plain `Langevin`) shifts the result by its bias.
        temperatures: how many intervals from 0 to 1, spaced as a sigmoid, or the ladder itself.
        chains, steps: chains at once, and transitions at each temperature.
        exact: draws of the normalised target `(m, d)`, for the side from above: exact, or of long chains.
        seed: of all of it.

    Raises `ConfigError` for a ladder that does not rise from 0 to 1, `UserError` for weights that are not numbers.

    >>> from pushforward.models.inference import Langevin
    >>> from pushforward.parts.distributions import Gaussian
    >>> wide = Gaussian(torch.zeros(1), torch.tensor([2.0]))
    >>> found = annealed_log_z(lambda x: -x.square().sum(1) / 2, wide, kernel=lambda f: Langevin(f, 0.01), temperatures=20)
    >>> abs(found.lower - 0.919) < 0.1  # log(2 pi) / 2
    True
    """
    ladder = _ladder(temperatures)
    features_of(target, base.event_shape[0])
    if chains < 2 or steps < 1:
        raise ConfigError(f"expected at least 2 chains and 1 step, got {chains} and {steps}")
    with torch.no_grad():
        x = base._sample(None, RowGenerator(seed, chains, device=device_of(base)).fork(1))
    finite_start(target, x)
    weights = _walk(target, base, kernel, x, ladder, steps, RowGenerator(seed, chains, device=x.device).fork(2))
    lower, lower_error, effective = log_mean_weight(weights)
    upper = upper_error = None
    if exact is not None:
        finite_start(target, exact)
        back = RowGenerator(seed, len(exact), device=exact.device).fork(3)
        upper, upper_error, _ = log_mean_weight(_walk(target, base, kernel, exact, ladder[::-1], steps, back))
        upper = -upper
    return AnnealedLogZ(lower, lower_error, upper, upper_error, effective)


def _walk(target: Density, base: Distribution, kernel: KernelFactory, x: Tensor, ladder: Sequence[float], steps: int,
          generator: RowGenerator) -> Tensor:  # fmt: skip
    """log w `(n,)` of chains that begin at `x` and step along the ladder, up or down."""
    log_p = log_density_of(target)
    log_weights = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for here, there in pairwise(ladder):
        with torch.no_grad():
            log_weights += (there - here) * (log_p(x) - base.log_prob(x)).double()
        if there != ladder[-1]:  # a move at the last one changes no weight
            x = kernel(between(base, target, there)).run(x, steps, generator).x.detach()
    return log_weights


def log_mean_weight(log_weights: Tensor) -> tuple[float, float, float]:
    """log of the mean of exp(log_weights), its standard error by the delta method, and the effective number of weights.

    Raises `UserError` for weights that are NaN, or all zero.
    """
    top = float(log_weights.max())
    if log_weights.isnan().any() or not math.isfinite(top):
        raise UserError(f"expected weights that are numbers, got {int(log_weights.isnan().sum())} NaN of {len(log_weights)}, the largest log "
                        f"weight {top}; take more temperatures, or a base that covers the target")  # fmt: skip
    relative = (log_weights.double() - top).exp()
    mean = float(relative.mean())
    error = float(relative.std()) / (mean * math.sqrt(len(relative)))
    return top + math.log(mean), error, float(relative.sum().square() / relative.square().sum())


def _ladder(temperatures: int | Sequence[float]) -> list[float]:
    if isinstance(temperatures, int):
        if temperatures < 1:
            raise ConfigError(f"expected at least 1 interval of temperatures, got {temperatures}")
        # A sigmoid between -4 and 4, stretched to 0 and 1: close steps at both ends (Grosse et al.).
        s = torch.sigmoid(torch.linspace(-4, 4, temperatures + 1, dtype=torch.float64))
        return ((s - s[0]) / (s[-1] - s[0])).tolist()
    ladder = [float(b) for b in temperatures]
    if len(ladder) < 2 or ladder[0] != 0 or ladder[-1] != 1 or any(a >= b for a, b in pairwise(ladder)):
        raise ConfigError(
            f"expected temperatures that rise from 0 to 1, got {ladder[:6]}; 0 is the base and 1 the target"
        )
    return ladder
