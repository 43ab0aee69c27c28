"""G5: the likelihood of the probability flow is the density, in the units of the data, and its error bars are true.

Oracles: the mixture's closed-form log density, integration over a grid, cell probabilities from the normal distribution
function, Gauss-Legendre quadrature of the dequantisation bound.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from pushforward.core.errors import UserError
from pushforward.core.registry import register
from pushforward.models.diffusion import Diffusion
from pushforward.parts.paths import VE, VP, Cosine, Linear
from tests.exact_mixture import exact_model, standard_mixture

BUDGET = 1e-5
PATHS = {"VP": VP(), "VE": VE(0.1, 50.0), "Cosine": Cosine(), "Linear": Linear()}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("predict", ["noise", "velocity"])
@pytest.mark.parametrize("name", PATHS)
def test_the_likelihood_is_the_mixtures_log_density(name, predict):
    path, mixture = PATHS[name], standard_mixture()
    x = mixture.sample(30, 1)
    found = exact_model(path, predict).log_prob_estimate(x, rtol=1e-5)
    # The model ends at t_min: its data carry a blur of sigma / alpha, of 0.1 on this VE path and about 0.001 on the others.
    start = torch.tensor(path.t_min, dtype=torch.float64)
    blurred = mixture.log_prob(x, 1.0, float(path.sigma(start) / path.alpha(start)))
    torch.testing.assert_close(found.value, blurred, rtol=0, atol=2e-3)
    assert (found.value - blurred).abs().median() < 1e-4
    if name != "VE":
        torch.testing.assert_close(found.value, mixture.log_prob(x), rtol=0, atol=3e-3)
    assert found.probe_error.eq(0).all()
    assert found.dequantisation_error.eq(0).all()
    assert found.solver_error.mean() < 1e-3


def test_even_steps_give_the_same_and_their_error_falls():
    mixture, model = standard_mixture(), exact_model(Cosine())
    x = mixture.sample(40, 2)
    few, many = (model.log_prob_estimate(x, steps=steps, max_solver_error=10.0) for steps in (6, 24))
    worst = [float((e.value - mixture.log_prob(x)).abs().mean()) for e in (few, many)]
    assert worst[1] < 1e-4 < worst[0]
    assert few.solver_error.mean() > worst[0]  # the coarser solve is worse than the one that is reported
    with pytest.raises(
        UserError, match=r"expected a median solver error below 0.07 nats, got .* with steps=2; take more steps"
    ):
        model.log_prob_estimate(x, steps=2)


def test_the_density_integrates_to_one():
    model = exact_model(Linear(), "velocity", loc=torch.tensor([10.0, -5.0]), scale=torch.tensor([3.0, 0.2]))
    axes = [torch.linspace(c - 4 * s, c + 4 * s, 45, dtype=torch.float64) for c, s in ((10.0, 3.0), (-5.0, 0.2))]
    x = torch.cartesian_prod(*axes)
    cell = math.prod(float(axis[1] - axis[0]) for axis in axes)
    assert float(model.log_prob(x).exp().sum() * cell) == pytest.approx(1.0, abs=2e-3)


def test_units_of_the_data_enter_by_their_jacobian():
    loc, scale = torch.tensor([10.0, -5.0], dtype=torch.float64), torch.tensor([3.0, 0.2], dtype=torch.float64)
    mixture, model = standard_mixture(), exact_model(Cosine(), loc=loc, scale=scale)
    z = mixture.sample(20, 3)
    expected = mixture.log_prob(z) - scale.log().sum()
    torch.testing.assert_close(model.log_prob_estimate(loc + scale * z, rtol=1e-6).value, expected, rtol=0, atol=1e-3)


@register
class ExactLine(nn.Module):
    """The exact v for data whose numbers are independent, each 0.3 N(-0.4, 0.15^2) + 0.7 N(0.3, 0.2^2), on the cosine path."""

    def __init__(self):
        super().__init__()
        self.marker = nn.Buffer(torch.zeros((), dtype=torch.float64))

    weights, means, stds = np.array([0.3, 0.7]), np.array([-0.4, 0.3]), np.array([0.15, 0.2])

    def forward(self, y, t, condition):
        w, m, s = (torch.as_tensor(v) for v in (self.weights, self.means, self.stds))
        alpha, sigma = ((f(t * math.pi / 2)).reshape(-1, *(1,) * y.ndim) for f in (torch.cos, torch.sin))
        variance, gap = (alpha * s) ** 2 + sigma**2, y[..., None] - alpha * m
        share = (w.log() - 0.5 * (gap**2 / variance + variance.log())).softmax(-1)
        data, noise = m + alpha * s**2 / variance * gap, sigma / variance * gap
        return (share * (alpha * noise - sigma * data)).sum(-1)


def test_whole_numbers_have_the_dequantisation_bound():
    levels, shape = 6, (1, 2, 2)
    model = Diffusion(ExactLine(), Cosine(), shape, "v", levels=levels).double()
    x = torch.randint(1, levels, (15, *shape), generator=seeded(4)).double()
    nodes, node_weights = np.polynomial.legendre.leggauss(40)
    u = (nodes + 1) / 2
    z = 2 * (np.arange(levels)[:, None] + u) / levels - 1
    density = sum(w * stats.norm(m, s).pdf(z) for w, m, s in zip(ExactLine.weights, ExactLine.means, ExactLine.stds))
    bound = (np.log(density * 2 / levels) * node_weights / 2).sum(1)  # E_u log p(k + u), for each level k
    edges = 2 * np.arange(levels + 1) / levels - 1
    cells = np.diff(
        sum(w * stats.norm(m, s).cdf(edges) for w, m, s in zip(ExactLine.weights, ExactLine.means, ExactLine.stds))
    )
    assert (bound <= np.log(cells)).all()
    expected = torch.as_tensor(bound)[x.long()].sum((1, 2, 3))
    found = model.log_prob_estimate(x, exact=True, dequantisations=8, rtol=1e-3, generator=seeded(5))
    score = float((found.value - expected).sum() / found.dequantisation_error.square().sum().sqrt())
    assert abs(score) < stats.norm.isf(BUDGET / 2)
    assert found.dequantisation_error.min() > 0
    # Drawn pixels are whole, in range, and as frequent as their cells (what lies beyond the range goes to its ends).
    cells[[0, -1]] += [1 - cells.sum() - _above(edges[-1]), _above(edges[-1])]
    drawn = model.sample(500, generator=seeded(6))
    assert (
        stats.chisquare(np.bincount(drawn.flatten().long().numpy(), minlength=levels), cells * drawn.numel()).pvalue
        > BUDGET
    )
    # The middle of a cell goes to noise and comes back to the cell.
    torch.testing.assert_close(model.decode(model.encode(x)), x, rtol=0, atol=0)


def _above(z: float) -> float:
    return float(sum(w * stats.norm(m, s).sf(z) for w, m, s in zip(ExactLine.weights, ExactLine.means, ExactLine.stds)))


def test_hutchinsons_standard_error_covers():
    # Sixteen dimensions: a density turned by a rotation, so that the Jacobian is far from diagonal and probes matter.
    model = Diffusion(Rotated(), Cosine(), 16, "v").double()
    x = torch.randn(200, 16, dtype=torch.float64, generator=seeded(7))
    exact = model.log_prob_estimate(x, exact=True, rtol=1e-4)
    torch.testing.assert_close(exact.value, Rotated.log_prob(x), rtol=0, atol=1e-2)
    found = model.log_prob_estimate(x, exact=False, probes=4, rtol=1e-4, generator=seeded(8))
    error = found.value - exact.value
    assert error.abs().mean() > 0.05  # there is something to cover
    assert abs(float(error.sum() / found.probe_error.square().sum().sqrt())) < stats.norm.isf(BUDGET / 2)
    # Unbiased squares: mean squared error over mean squared standard error is 1, within what 200 rows can tell.
    each = (error.square() - found.probe_error.square()) / found.probe_error.square().mean()
    assert abs(float(each.mean())) < stats.norm.isf(BUDGET / 2) * float(each.std()) / math.sqrt(200)
    more = model.log_prob_estimate(x, exact=False, probes=16, rtol=1e-4, generator=seeded(9))
    quarter = (
        found.probe_error.square() - 4 * more.probe_error.square()
    )  # four times the probes, a quarter of the variance
    assert abs(float(quarter.mean())) < stats.norm.isf(BUDGET / 2) * float(quarter.std()) / math.sqrt(200)
    assert more.probe_error.square().mean() < found.probe_error.square().mean() / 2


@register
class Rotated(nn.Module):
    """The exact v for a Gaussian with variances from 0.1 to 2 along the axes of a random frame, on the cosine path."""

    def __init__(self):
        super().__init__()
        self.marker = nn.Buffer(torch.zeros((), dtype=torch.float64))

    frame = torch.linalg.qr(torch.randn(16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    variances = torch.linspace(0.1, 2.0, 16, dtype=torch.float64)

    def forward(self, y, t, condition):
        alpha, sigma = (t * math.pi / 2).cos()[:, None], (t * math.pi / 2).sin()[:, None]
        along = y @ self.frame
        return (along * alpha * sigma * (1 - self.variances) / (alpha**2 * self.variances + sigma**2)) @ self.frame.T

    @classmethod
    def log_prob(cls, x):
        covariance = cls.frame @ torch.diag(cls.variances) @ cls.frame.T
        return torch.distributions.MultivariateNormal(torch.zeros(16, dtype=torch.float64), covariance).log_prob(x)


def test_encoding_gives_standard_noise_and_decoding_undoes_it():
    mixture, model = standard_mixture(), exact_model(VP())
    x = mixture.sample(1000, 10)
    noise = model.encode(x, tolerance=1e-4)
    for column in range(2):
        assert stats.kstest(noise[:, column].numpy(), stats.norm.cdf).pvalue > BUDGET / 3
    assert stats.kstest(noise.square().sum(1).numpy(), stats.chi2(2).cdf).pvalue > BUDGET / 3
    torch.testing.assert_close(model.decode(model.encode(x[:50]), tolerance=1e-6), x[:50], rtol=0, atol=2e-3)


def test_a_row_has_the_same_likelihood_whatever_is_beside_it(monkeypatch):
    model = Diffusion(Rotated(), Cosine(), 16, "v").double()
    x = torch.randn(20, 16, dtype=torch.float64, generator=seeded(11))
    whole = model.log_prob_estimate(x, exact=False, steps=4, max_solver_error=9.0, generator=seeded(12))
    monkeypatch.setattr("pushforward.models.diffusion.likelihood._rows_with_gradients", lambda model, condition: 7)
    parts = model.log_prob_estimate(x, exact=False, steps=4, max_solver_error=9.0, generator=seeded(12))
    torch.testing.assert_close(parts.value, whole.value, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(parts.std_error, whole.std_error, rtol=1e-6, atol=1e-9)
