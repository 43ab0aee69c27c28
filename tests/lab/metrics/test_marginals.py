"""Marginals of mixtures against scipy's quadrature, and of a multivariate normal against its own diagonal."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch.distributions import Categorical, Independent, LogNormal, MixtureSameFamily, MultivariateNormal, Normal

from pushforward.lab.metrics import marginal_cdf, marginal_crps, marginal_log_prob, marginal_quantiles


def mixture():
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(2, 3, 4, 2, generator=generator, dtype=torch.float64)
    scale = 0.2 + torch.rand(2, 3, 4, 2, generator=generator, dtype=torch.float64)
    weights = Categorical(logits=torch.randn(2, 3, generator=generator, dtype=torch.float64))
    return MixtureSameFamily(weights, Independent(Normal(mean, scale), 2))


def test_the_density_of_a_mixture_integrates_to_the_level_below_its_quantile():
    prediction = mixture()
    levels = (0.05, 0.25, 0.5, 0.95)
    edges = marginal_quantiles(prediction, levels)

    def density(value, place):
        y = torch.zeros(2, 4, 2, dtype=torch.float64)
        y[place] = value
        return float(marginal_log_prob(prediction, y)[place].exp())

    for place in ((0, 0, 0), (1, 3, 1), (1, 2, 0)):
        for level, edge in zip(levels, edges[(slice(None), *place)].tolist()):
            mass, error = quad(density, -np.inf, edge, (place,), epsabs=1e-9)
            assert abs(mass - level) < 1e-6 + error


@pytest.mark.parametrize("kind", [Normal, LogNormal])
def test_independent_numbers_are_taken_as_they_are(kind):
    loc = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(1, 3, 2)
    prediction = Independent(kind(loc, 0.5), 2)
    edges = marginal_quantiles(prediction, (0.1, 0.9))
    below = kind(loc, 0.5).cdf(edges)
    torch.testing.assert_close(
        below, torch.tensor([0.1, 0.9], dtype=torch.float64)[:, None, None, None].expand(2, 1, 3, 2)
    )
    y = loc.exp()
    total = marginal_log_prob(prediction, y).sum((1, 2))
    torch.testing.assert_close(total, prediction.log_prob(y))


def test_a_joint_normal_has_its_own_marginals():
    factor = torch.tensor([[1.0, 0.0], [0.9, 0.5]], dtype=torch.float64)

    class Joint(MultivariateNormal):
        """Points of one channel, as a prediction `(n, points, channels)`."""

        @property
        def mean(self):
            return super().mean[..., None]

        @property
        def stddev(self):
            return self.covariance_matrix.diagonal(dim1=-2, dim2=-1).sqrt()[..., None]

    prediction = Joint(torch.zeros(1, 2, dtype=torch.float64), scale_tril=factor)
    high = marginal_quantiles(prediction, (0.975,))[0, 0, :, 0]
    torch.testing.assert_close(high, 1.959963984540054 * torch.tensor([1.0, 1.06**0.5], dtype=torch.float64))


def test_crps_of_draws_agrees_with_the_closed_form():
    """One part only, so that the mixture is a normal; 4,000 draws, five standard errors of the mean over numbers."""
    mean = torch.zeros(1, 1, 50, 2, dtype=torch.float64)
    parts = Independent(Normal(mean, 1.0), 2)
    y = torch.linspace(-2, 2, 100, dtype=torch.float64).reshape(1, 50, 2)
    drawn = marginal_crps(MixtureSameFamily(Categorical(torch.ones(1, 1)), parts), y, draws=4000)
    exact = marginal_crps(Independent(Normal(mean[:, 0], 1.0), 2), y)
    assert float((drawn - exact).abs().max()) < 0.1
    assert abs(float((drawn - exact).mean())) < 5 * float((drawn - exact).std()) / 10


def test_the_probability_below_a_quantile_is_its_level():
    prediction = mixture()
    for level, edge in zip((0.02, 0.7), marginal_quantiles(prediction, (0.02, 0.7))):
        torch.testing.assert_close(marginal_cdf(prediction, edge), torch.full_like(edge, level), atol=1e-7, rtol=0)
