"""Pareto-smoothed importance sampling: better weights, and a number that says whether any weights will do.

A generalised Pareto distribution is fitted to the largest ratios p/q; its quantiles take their places, and its shape k says how many
moments the ratios have. Vehtari, Simpson, Gelman, Yao, Gabry 2024, https://www.jmlr.org/papers/v25/19-556.html; the fit is
that of Zhang and Stephens 2009, https://doi.org/10.1198/tech.2009.08017, with the weak prior of the first paper.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.core.errors import UserError


@dataclass(frozen=True)
class Smoothed:
    """`log_weights` `(n,)`, smoothed and normalised (their exp sums to 1), the shape `k_hat` and the `effective` number of draws."""

    log_weights: Tensor
    k_hat: float
    effective: float

    @property
    def threshold(self) -> float:
        """The largest k for which this many draws suffice: min(1 - 1 / log10 n, 0.7)."""
        return min(1 - 1 / math.log10(len(self.log_weights)), 0.7)

    @property
    def reliable(self) -> bool:
        """Whether k is at most that."""
        return self.k_hat <= self.threshold

    @property
    def verdict(self) -> str:
        """The shape in words."""
        if self.k_hat == -math.inf:
            return "all weights alike: the approximation is its target, as far as its draws can tell"
        if self.k_hat > 1:
            return f"k = {self.k_hat:.2f}: unusable, the weights have no mean; the approximation misses a part of the posterior"
        if self.k_hat > 0.7:
            return (
                f"k = {self.k_hat:.2f}: unreliable, no number of draws that one can take will do; fit a richer family"
            )
        if not self.reliable:
            return f"k = {self.k_hat:.2f}: too few draws for this shape ({len(self.log_weights)}); take more"
        return f"k = {self.k_hat:.2f}: {'good' if self.k_hat <= 0.5 else 'usable'}, weighted means can be trusted"


def pareto_smoothed(log_ratios: Float[Tensor, " n"]) -> Smoothed:
    """Smooth importance ratios log p(z) - log q(z), z ~ q, which are known up to a constant.

    The min(n / 5, 3 sqrt n) largest are replaced. Raises `UserError` for fewer than 25 draws, or ratios that are NaN or
    plus infinity (minus infinity, a draw outside the support, is weight 0).

    >>> smoothed = pareto_smoothed(torch.randn(2000, generator=torch.Generator().manual_seed(0)) / 4)
    >>> smoothed.k_hat < 0.5, round(float(smoothed.log_weights.exp().sum()), 4), smoothed.reliable
    (True, 1.0, True)
    """
    n = len(log_ratios)
    ratios = log_ratios.detach().double().cpu()
    if n < 25 or ratios.isnan().any() or (ratios == math.inf).any():
        raise UserError(f"expected at least 25 log ratios below infinity, got {n} with {int(ratios.isnan().sum())} NaN; "
                        "take more draws, or mend the density")  # fmt: skip
    ratios = ratios - ratios.max()
    ordered, order = ratios.sort()
    tail = math.ceil(min(0.2 * n, 3 * math.sqrt(n)))
    cut = ordered[n - tail - 1].exp()
    exceedances = ordered[n - tail :].exp() - cut
    exceedances = exceedances[exceedances > 0]
    if float(1 - cut) < 1e-4:
        k = -math.inf  # the largest weights are one number but for rounding: there is no tail
    elif len(exceedances) < 5:
        k = math.inf  # next to a few draws all others weigh nothing, in double precision
    else:
        k, sigma = _fit(exceedances)
        places = (torch.arange(len(exceedances), dtype=torch.float64) + 0.5) / len(exceedances)
        smooth = _quantile(places, k, sigma) + cut
        ratios[order[n - len(exceedances) :]] = smooth.log().clamp(max=0.0)  # never above the largest raw ratio
    log_weights = ratios - ratios.logsumexp(0)
    effective = float((-(2 * log_weights).logsumexp(0)).exp())
    return Smoothed(log_weights.to(log_ratios.device), k, effective)


def _fit(x: Tensor) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto distribution from sorted exceedances: the posterior mean of Zhang and Stephens."""
    n, prior = len(x), 3.0
    grid = 30 + int(math.sqrt(n))
    quartile = x[max(int(n / 4 + 0.5) - 1, 0)]
    theta = 1 / x[-1] + (1 - (grid / (torch.arange(1, grid + 1, dtype=torch.float64) - 0.5)).sqrt()) / (
        prior * quartile
    )
    k = torch.log1p(-theta[:, None] * x).mean(1)
    log_likelihood = n * ((-theta / k).log() - k - 1)
    weights = log_likelihood.softmax(0)
    best = (theta * weights).sum()
    shape = float(torch.log1p(-best * x).mean())
    scale = -shape / float(best)
    return (n * shape + 5) / (n + 10), scale  # ten observations' worth of prior at 1/2


def _quantile(p: Tensor, k: float, sigma: float) -> Tensor:
    return -sigma * torch.log1p(-p) if abs(k) < 1e-12 else sigma * torch.expm1(-k * torch.log1p(-p)) / k
