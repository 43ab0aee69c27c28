"""A6, Langevin: on a Gaussian it is an autoregression whose stationary law is known; on a mixture it finds the moments.

Oracles: the closed-form variance of that autoregression (which has the O(eps) bias), scipy's distribution functions,
the mixture's moments.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from pushforward.core.errors import UserError
from pushforward.core.random import RowGenerator
from pushforward.models.inference import Langevin
from pushforward.parts.distributions import FullGaussian, Gaussian, Mixture

BUDGET = 1e-5
CHAINS = 20_000


def run(kernel: Langevin, start: Tensor, steps: int, seed: int) -> Tensor:
    return kernel.run(start, steps, RowGenerator(seed, len(start))).x


@pytest.mark.parametrize("eps", [0.02, 0.5])
def test_on_a_gaussian_the_bias_is_the_known_one(eps):
    # x' = (1 - eps / s^2) (x - m) + m + sqrt(2 eps) z has variance s^2 / (1 - eps / (2 s^2)), not s^2.
    m, s = 1.5, 0.8
    steps = math.ceil(20 * s**2 / eps)  # e^-20 of the start is left
    x = run(Langevin(Gaussian(torch.tensor([m]), torch.tensor([s])), eps), torch.full((CHAINS, 1), -4.0), steps, 1)[
        :, 0
    ].numpy()
    biased = s / math.sqrt(1 - eps / (2 * s**2))
    assert stats.kstest(x, stats.norm(m, biased).cdf).pvalue > BUDGET / 2
    if eps == 0.5:
        assert stats.kstest(x, stats.norm(m, s).cdf).pvalue < BUDGET  # and the bias is there to be seen


def test_the_bias_in_the_covariance_is_of_first_order():
    covariance = torch.tensor([[1.0, 0.6], [0.6, 0.8]], dtype=torch.float64)
    target = FullGaussian.of_covariance(torch.zeros(2, dtype=torch.float64), covariance)
    for eps in (0.05, 0.2):
        x = run(Langevin(target, eps), torch.zeros(CHAINS, 2, dtype=torch.float64), math.ceil(8 / eps), 2)
        # In the frame of the covariance each coordinate is the autoregression above.
        variances, frame = np.linalg.eigh(covariance.numpy())
        along = x.numpy() @ frame
        for column, variance in enumerate(variances):
            known = variance / (1 - eps / (2 * variance))
            # A sum of CHAINS squares: chi-squared.
            p = stats.chi2(CHAINS).cdf((along[:, column] ** 2).sum() / known)
            assert min(p, 1 - p) > BUDGET / 8


def test_on_a_mixture_it_finds_mean_and_variance():
    # Bumps that overlap, so that the chains cross between them; the bias is below the error of 4,000 chains.
    bumps = [Gaussian(torch.tensor([m, -m]), torch.tensor([0.6, 0.8])) for m in (-0.9, 0.9)]
    target = Mixture(torch.tensor([0.3, 0.7]), bumps)
    chains = 4000
    x = run(Langevin(target, 0.01), torch.zeros(chains, 2), 800, 3).numpy()
    for column, (sign, width) in enumerate(((1, 0.6), (-1, 0.8))):
        p = stats.kstest(
            x[:, column],
            lambda v, s=sign, w=width: 0.3 * stats.norm(-0.9 * s, w).cdf(v) + 0.7 * stats.norm(0.9 * s, w).cdf(v),
        )
        assert p.pvalue > BUDGET / 4
    mean = 0.4 * 0.9
    product = -(0.9**2 - mean**2)  # covariance of the two coordinates
    products = (x[:, 0] - mean) * (x[:, 1] + mean)
    assert abs(products.mean() - product) < stats.norm.isf(BUDGET / 4) * products.std() / math.sqrt(chains)


def test_a_chain_is_the_same_whatever_runs_beside_it_and_needs_no_constant():
    def shifted(x: Tensor) -> Tensor:
        return -x.square().sum((1, 2)) / 2 + 17.0

    few, many = (run(Langevin(shifted, 0.1), torch.ones(n, 2, 3), 5, 4) for n in (3, 500))
    assert torch.equal(few, many[:3])
    torch.testing.assert_close(
        few, run(Langevin(Gaussian.standard((2, 3)), 0.1), torch.ones(3, 2, 3), 5, 4), rtol=1e-6, atol=1e-6
    )


def test_mistakes_are_said():
    with pytest.raises(UserError, match="expected a positive step_size, got 0"):
        Langevin(Gaussian.standard(1), 0.0)
    with pytest.raises(UserError, match="expected a finite log density"):
        run(Langevin(lambda x: x.log().sum(1), 0.1), -torch.ones(2, 1), 1, 5)
    with pytest.raises(UserError, match=r"one number a chain, got \(2, 3\)"):
        run(Langevin(lambda x: -x.square(), 0.1), torch.ones(2, 3), 1, 5)


def test_each_step_reports_the_log_density_it_started_from():
    seen = []
    target = Gaussian.standard(2)
    Langevin(target, 0.1).run(torch.ones(4, 2), 3, RowGenerator(6, 4), lambda state, info: seen.append((state, info)))
    assert [state.step for state, _ in seen] == [1, 2, 3]
    torch.testing.assert_close(seen[1][1].values["log_density"], target.log_prob(seen[0][0].x))
