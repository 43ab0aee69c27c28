"""A3: minimising -E log p fits a model to the moments of the data; the loss left over is the entropy, constants kept.

Oracles: sample moments of a skewed source that is not in the family, scipy's closed-form entropies, counts.
"""

import numpy as np
import pytest
import torch
from scipy import stats

from pushforward.core.data import Batch
from pushforward.core.distribution import Distribution
from pushforward.core.random import RowGenerator
from pushforward.parts.distributions import FullGaussian, Gaussian, Mixture, Uniform


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    x = random.gamma(2.0, size=(2000, 3)) @ np.array([[1.0, 0.5, 0.0], [0.0, 2.0, -1.0], [0.0, 0.0, 0.3]])
    return torch.as_tensor(x + np.array([10.0, 0.0, -5.0]))


def fit(model: Distribution, x: torch.Tensor, optimiser: str, steps: int) -> float:
    """The loss after minimising the model's own objective with a plain loop."""

    def loss():
        return model.objective(model, Batch(x), RowGenerator(0, len(x))).value

    if optimiser == "lbfgs":
        descent = torch.optim.LBFGS(
            model.parameters(),
            max_iter=steps,
            tolerance_grad=1e-9,
            tolerance_change=1e-14,
            line_search_fn="strong_wolfe",
        )

        def closure():
            descent.zero_grad()
            value = loss()
            value.backward()
            return value

        descent.step(closure)
    else:
        adam = torch.optim.Adam(model.parameters(), lr=0.3)
        rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
        for _ in range(steps):
            adam.zero_grad()
            loss().backward()
            adam.step()
            rate.step()
    return loss().item()


@pytest.mark.parametrize(("optimiser", "steps", "tolerance"), [("lbfgs", 100, 1e-6), ("adam", 800, 1e-3)])
def test_a_gaussian_takes_the_mean_and_deviation_of_the_data(data, optimiser, steps, tolerance):
    model = Gaussian(torch.zeros(3).double(), torch.ones(3).double(), learn=True)
    before = -model.log_prob(data).mean().item()
    after = fit(model, data, optimiser, steps)
    mean, deviation = data.mean(0), data.std(0, correction=0)
    torch.testing.assert_close(model.loc.detach(), mean, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(model.scale.detach(), deviation, rtol=tolerance, atol=tolerance)
    assert after == pytest.approx(stats.norm(mean, deviation).entropy().sum(), abs=tolerance)
    assert after < before - 1


def test_a_full_gaussian_takes_the_covariance_of_the_data(data):
    model = FullGaussian(torch.zeros(3).double(), 5 * torch.eye(3).double(), learn=True)
    after = fit(model, data, "lbfgs", 300)
    mean, covariance = data.mean(0), np.cov(data.numpy().T, bias=True)
    torch.testing.assert_close(model.loc.detach(), mean, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(model.covariance.detach().numpy(), covariance, rtol=1e-4, atol=1e-4)
    assert after == pytest.approx(stats.multivariate_normal(mean, covariance).entropy(), abs=1e-6)
    assert after < Gaussian(mean, data.std(0, correction=0)).log_prob(data).neg().mean() - 0.01


def test_the_weights_of_a_mixture_become_the_shares_of_the_data():
    parts = [Uniform(torch.tensor([a]).double(), torch.tensor([a + 1.0]).double()) for a in (0.0, 2.0, 5.0)]
    model = Mixture(torch.tensor([0.4, 0.3, 0.3]).double(), parts, learn=True)
    counts = np.array([700, 250, 50])
    x = torch.cat([torch.full((int(n), 1), a + 0.5).double() for n, a in zip(counts, (0.0, 2.0, 5.0))])
    after = fit(model, x, "lbfgs", 100)
    np.testing.assert_allclose(model.weights.detach().numpy(), counts / 1000, atol=1e-5)
    assert after == pytest.approx(stats.entropy(counts), abs=1e-8)  # boxes of volume one add nothing


def test_the_excess_over_the_optimum_is_the_kl_divergence(data):
    # -E log q is H(p) + KL(p, q) exactly when p is the Gaussian with the moments of the data.
    mean, deviation = data.mean(0), data.std(0, correction=0)
    best, other = Gaussian(mean, deviation), Gaussian(mean + 0.5, 2 * deviation)
    excess = (best.log_prob(data) - other.log_prob(data)).mean()
    normal = torch.distributions.Normal
    kl = torch.distributions.kl_divergence(normal(mean, deviation), normal(mean + 0.5, 2 * deviation)).sum()
    torch.testing.assert_close(excess, kl)
