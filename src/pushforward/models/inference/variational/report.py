"""How good is an approximate posterior? Two bounds, a diagnosis, and moments with the approximation's error weighed out.

None of these is a likelihood: the bounds lie below log p(data) in expectation, and the diagnosis knows only what was drawn.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.core.random import RowGenerator
from pushforward.core.registry import device_of
from pushforward.models.inference.density import Density, features_of, log_density_of
from pushforward.models.inference.target import Target

from .psis import Smoothed, pareto_smoothed


@dataclass(frozen=True)
class PosteriorReport:
    """Lower bounds on log p(data) with their standard errors, and moments by name in the user's units.

    `elbo` is E[log w], `importance_bound` E[log mean of `importance` w]; both are below log p(data) but for `..._std_error`.
    `means` and `std_devs` are corrected by smoothed importance weights, `raw_means` and `raw_std_devs` those of the approximation.
    Trust the correction when `smoothed.reliable`.
    """

    elbo: float
    elbo_std_error: float
    importance_bound: float
    importance_bound_std_error: float
    importance: int
    smoothed: Smoothed
    means: dict[str, Tensor]
    std_devs: dict[str, Tensor]
    raw_means: dict[str, Tensor]
    raw_std_devs: dict[str, Tensor]

    @property
    def k_hat(self) -> float:
        """The shape of the largest importance ratios."""
        return self.smoothed.k_hat

    def __str__(self) -> str:
        """The report as text."""
        lines = [
            f"lower bound on log p(data), ELBO     {self.elbo:.3f} ± {self.elbo_std_error:.3f}",
            f"lower bound, {self.importance} importance draws    {self.importance_bound:.3f} ± {self.importance_bound_std_error:.3f}",
            f"{self.smoothed.verdict} (effective draws {self.smoothed.effective:.0f} of {len(self.smoothed.log_weights)})",
        ]
        for name in self.means:
            columns = (self.means, self.std_devs, self.raw_means, self.raw_std_devs)
            for i, (m, s, rm, rs) in enumerate(zip(*(c[name].flatten().tolist() for c in columns))):
                place = name if self.means[name].ndim == 0 else f"{name}[{i}]"
                lines.append(f"{place:>12}  {m:9.3f} ± {s:<8.3f}  before weighting {rm:9.3f} ± {rs:.3f}")
        return "\n".join(lines)


def posterior_report(posterior: Distribution, target: Density, *, draws: int = 4000, importance: int = 50,
                     seed: int = 0) -> PosteriorReport:  # fmt: skip
    """Draw from the posterior and compare it with its target.

    Raises `ConfigError` for fewer draws than two groups of `importance`, or than 25.

    >>> from pushforward.parts.distributions import Gaussian
    >>> report = posterior_report(Gaussian.standard(1), lambda z: -z.square().sum(1) / 2, draws=400)
    >>> round(report.elbo, 4), round(report.importance_bound, 4), report.smoothed.reliable  # log Z = log(2 pi) / 2
    (0.9189, 0.9189, True)
    """
    if importance < 1 or draws < max(25, 2 * importance):
        raise ConfigError(f"expected at least 25 draws and two groups of {importance}, got {draws}; take more draws")
    features_of(target, posterior.event_shape[0])
    with torch.no_grad():
        z, log_q = posterior._sample_and_log_prob(None, RowGenerator(seed, draws, device=device_of(posterior)))
        ratios = (log_density_of(target)(z) - log_q).double()
        theta = target.constrain(z) if isinstance(target, Target) else {"z": z}
    smoothed = pareto_smoothed(ratios)
    groups = ratios[: draws // importance * importance].reshape(-1, importance).logsumexp(1) - math.log(importance)
    weights, even = smoothed.log_weights.exp(), torch.full_like(smoothed.log_weights, 1 / draws)
    means, deviations = _moments(theta, weights)
    raw_means, raw_deviations = _moments(theta, even)
    return PosteriorReport(
        *_mean(ratios), *_mean(groups), importance, smoothed, means, deviations, raw_means, raw_deviations
    )


def _mean(rows: Tensor) -> tuple[float, float]:
    return float(rows.mean()), float(rows.std()) / math.sqrt(len(rows))


def _moments(theta: dict[str, Tensor], weights: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    means = {name: torch.tensordot(weights, value.double(), 1) for name, value in theta.items()}
    variances = {
        name: torch.tensordot(weights, (value.double() - means[name]).square(), 1) for name, value in theta.items()
    }
    return means, {name: value.sqrt() for name, value in variances.items()}
