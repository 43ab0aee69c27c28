"""How far to trust chains: effective sample size, split R-hat by ranks, and the Monte Carlo standard error.

Draws that resemble each other count for less: ESS = S / (1 + 2 sum of autocorrelations), summed as long as pairs of them stay positive
(Geyer 1992). R-hat compares the spread between halves of chains with the spread inside; on normal scores of ranks it needs no moments.
Vehtari, Gelman, Simpson, Carpenter, Buerkner 2021, https://arxiv.org/abs/1903.08008
"""

import math

import torch
from torch import Tensor

from pushforward.core.errors import ShapeError


def effective_sample_size(draws: Tensor) -> Tensor:
    """ESS of the mean, `(*event)`, of `draws` `(chains, n, *event)` with their chains split in halves.

    NaN where draws are constant: there is nothing to count.

    >>> independent = torch.randn(4, 1000, generator=torch.Generator().manual_seed(0))
    >>> bool(3000 < effective_sample_size(independent) < 5500)
    True
    """
    return _ess(_halves(draws))


def ess_bulk(draws: Tensor) -> Tensor:
    """ESS of the normal scores of ranks, `(*event)`: how well the middle of the distribution is known."""
    return _ess(_scores(_halves(draws)))


def ess_tail(draws: Tensor) -> Tensor:
    """The smaller ESS of the 5 % and the 95 % quantile, `(*event)`: how well intervals are known."""
    split = _halves(draws)
    flat = split.flatten(0, 1)
    both = [_ess((split <= torch.quantile(flat, p, dim=0)).double()) for p in (0.05, 0.95)]
    return torch.minimum(*both)


def split_r_hat(draws: Tensor) -> Tensor:
    """Rank-normalised split R-hat, `(*event)`: the larger of the one for location and the one for scale. Below 1.01 is good.

    >>> one, other = torch.zeros(2, 500).normal_(generator=torch.Generator().manual_seed(0))
    >>> bool(split_r_hat(torch.stack([one, other])) < 1.02), bool(split_r_hat(torch.stack([one, other + 1])) > 1.1)
    (True, True)
    """
    split = _halves(draws)
    folded = (split - torch.quantile(split.flatten(0, 1), 0.5, dim=0)).abs()
    return torch.maximum(_r_hat(_scores(split)), _r_hat(_scores(folded)))


def monte_carlo_error(draws: Tensor) -> Tensor:
    """Standard error of the mean of all draws, `(*event)`: their deviation over the root of the ESS."""
    return draws.double().flatten(0, 1).std(0) / effective_sample_size(draws).sqrt()


def _halves(draws: Tensor) -> Tensor:
    if draws.ndim < 2 or draws.shape[1] < 4 or not len(draws):
        raise ShapeError(
            f"expected draws (chains, n, *event) with at least 4 a chain, got {tuple(draws.shape)}; draw more"
        )
    half = draws.shape[1] // 2
    return torch.cat([draws[:, :half], draws[:, -half:]]).double()


def _scores(split: Tensor) -> Tensor:
    """Normal scores Phi^-1((rank - 3/8) / (S + 1/4)) of all draws together, ties at their mean rank."""
    flat = split.reshape(split.shape[0] * split.shape[1], -1).T.contiguous()
    ordered = flat.sort(1).values
    low = torch.searchsorted(ordered, flat)
    high = torch.searchsorted(ordered, flat, right=True)
    rank = (low + high + 1).double() / 2
    return torch.special.ndtri((rank - 0.375) / (flat.shape[1] + 0.25)).T.reshape(split.shape)


def _r_hat(split: Tensor) -> Tensor:
    n = split.shape[1]
    within, between = split.var(1).mean(0), split.mean(1).var(0)
    return ((n - 1) / n + between / within).sqrt()


def _ess(chains: Tensor) -> Tensor:
    m, n = chains.shape[:2]
    centred = chains - chains.mean(1, keepdim=True)
    size = 1 << math.ceil(math.log2(2 * n))
    spectrum = torch.fft.rfft(centred, size, dim=1)
    covariance = torch.fft.irfft(spectrum.abs().square(), size, dim=1)[:, :n] / n  # (m, n, *event)
    within = covariance[:, 0].mean(0) * n / (n - 1)
    total = within * (n - 1) / n + (chains.mean(1).var(0) if m > 1 else 0)
    rho = 1 - (within - covariance.mean(0)) / total
    rho[0] = 1
    pairs = rho[: n - n % 2].unflatten(0, (-1, 2)).sum(1)
    # Geyer: pairs count up to the first that is not positive, and none may exceed the one before.
    positive = (pairs > 0).cumprod(0).bool()
    pairs = torch.where(positive, pairs, 0.0).cummin(0).values
    # The even lag after the last positive pair still says something, when it is positive itself.
    last = positive.sum(0, keepdim=True).clamp(max=len(pairs) - 1)
    after = rho[0 : n - n % 2 : 2].gather(0, last).squeeze(0).clamp(min=0)
    after = torch.where(positive.all(0), 0.0, after)
    tau = (2 * pairs.sum(0) - 1 + after).clamp(min=1 / math.log10(m * n))
    return torch.where(total > 0, m * n / tau, torch.nan)
