"""F3, G1: what is minimised is minimal at the truth, and by how much it rises is known.

Oracles: the exact posterior means of a mixture, Pythagoras, quadrature of closed-form errors, Gauss-Hermite
quadrature of both score-matching losses.
"""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor, nn

from pushforward.core.data import Batch
from pushforward.core.path import Path
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.models.diffusion import Denoising, Diffusion, denoising_score_matching
from pushforward.parts.paths import VE, VP, Cosine, Linear
from tests.exact_mixture import ExactNetwork, exact_model, standard_mixture

BUDGET = 1e-5
PATHS = {"VP": VP(), "VE": VE(), "Cosine": Cosine(), "Linear": Linear()}
PREDICTIONS = ["data", "noise", "score", "velocity", "v"]


@register
class Bent(nn.Module):
    """The exact prediction plus `size` times a smooth function of unit scale."""

    def __init__(self, path: Path, predict: str, size: float):
        super().__init__()
        self.exact, self.size = ExactNetwork(path, predict), size

    def bend(self, y: Tensor, t: Tensor) -> Tensor:
        return self.size * torch.sin(y + 0.3 * t[:, None])  # correlated with y, hence with any wrong target

    def forward(self, y: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        return self.exact(y, t, condition) + self.bend(y, t)


def losses(model: Diffusion, weighting: str, n: int, seed: int) -> Tensor:
    """The loss of blocks of 100 rows: independent draws whose spread is the error of their mean."""
    x = standard_mixture().sample(n, seed)
    generator = RowGenerator(seed, n)
    blocks = [(a, a + 100) for a in range(0, n, 100)]
    return torch.stack(
        [Denoising(weighting)(model, Batch(x[a:b]), generator.slice(a, b)).value.detach() for a, b in blocks]
    )


@pytest.mark.parametrize("predict", PREDICTIONS)
@pytest.mark.parametrize("name", ["Cosine", "Linear"])
def test_the_loss_rises_from_the_truth_by_the_square_of_the_error(name, predict):
    # E|target - (mean + bend)|^2 - E|target - mean|^2 = E|bend|^2, by Pythagoras, if the exact posterior mean is the minimum.
    path, n = PATHS[name], 8000
    exact, bent = exact_model(path, predict), Diffusion(Bent(path, predict, 0.5), path, 2, predict).double()
    rise = losses(bent, "simple", n, 1) - losses(exact, "simple", n, 1)  # the same noise in both
    generator = RowGenerator(3, n)
    t = path.t_min + (path.t_max - path.t_min) * generator.uniform(dtype=torch.float64)
    y = (
        path.sample(standard_mixture().sample(n, 2), generator.normal(2, dtype=torch.float64), t)
        / torch.hypot(path.alpha(t), path.sigma(t))[:, None]
    )
    weight = path.sigma(t).square() if predict == "score" else torch.ones_like(t)
    expected = bent.network.bend(y, t).square().mean(1) * weight
    gap = rise.mean() - expected.mean()
    error = math.hypot(float(rise.std()) / math.sqrt(len(rise)), float(expected.std()) / math.sqrt(n))
    assert abs(float(gap)) < stats.norm.isf(BUDGET / 20) * error
    assert float(expected.mean()) > 10 * error or predict == "score"  # it would be seen


@register
class Shrink(nn.Module):
    """The exact noise prediction for data N(0, s^2): sigma / (alpha^2 s^2 + sigma^2) x_t."""

    def __init__(self, path: Path, s: float):
        super().__init__()
        self.path, self.s, self.marker = path, s, nn.Buffer(torch.zeros((), dtype=torch.float64))

    def forward(self, y: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        alpha, sigma = self.path.alpha(t), self.path.sigma(t)
        return y * (torch.hypot(alpha, sigma) * sigma / (alpha**2 * self.s**2 + sigma**2))[:, None]


@pytest.mark.parametrize("name", PATHS)
def test_the_likelihood_weighting_is_the_integral_over_the_signal_to_noise_ratio(name):
    # For N(0, s^2) the best error of the noise is alpha^2 s^2 / (alpha^2 s^2 + sigma^2) = s^2 / (s^2 + exp(-2 lambda)); its integral
    # over lambda is 1/2 int g^2 |score error|^2 dt, checked in t with the textbook's g^2 = -2 sigma^2 dlambda/dt.
    path, s, n = PATHS[name], 0.5, 30_000
    model = Diffusion(Shrink(path, s), path, 3, "noise").double()
    x = s * torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    found = torch.stack(
        [
            Denoising("likelihood")(model, Batch(x[a : a + 300]), RowGenerator(5, n).slice(a, a + 300)).value
            for a in range(0, n, 300)
        ]
    )
    ends = path.log_snr(torch.tensor([path.t_max, path.t_min], dtype=torch.float64)).tolist()
    expected = integrate.quad(lambda v: s**2 / (s**2 + math.exp(-2 * v)), *ends)[0]

    def over_time(t: float) -> float:
        t = torch.tensor(t, dtype=torch.float64)
        alpha, sigma = path.alpha(t), path.sigma(t)
        h = 1e-6 * float(t)
        slope = (path.log_snr(t + h) - path.log_snr(t - h)) / (2 * h)
        return float(-slope * alpha**2 * s**2 / (alpha**2 * s**2 + sigma**2))

    start = max(path.t_min, 1e-9)
    in_time = integrate.quad(
        lambda u: over_time(math.exp(u)) * math.exp(u), math.log(start), math.log(path.t_max * (1 - 1e-6)), limit=200
    )[0]
    assert in_time == pytest.approx(expected, rel=1e-4)
    assert abs(float(found.mean()) - expected) < stats.norm.isf(BUDGET / 8) * float(found.std()) / math.sqrt(len(found))


def test_denoising_has_the_gradient_of_implicit_score_matching():
    # Five data points blurred by sigma are a mixture of five Gaussians. Expectations of both losses by quadrature, in one dimension.
    data = torch.tensor([-1.5, -0.7, 0.1, 0.6, 2.0], dtype=torch.float64)
    sigma = 0.4
    torch.manual_seed(5)
    net = nn.Sequential(nn.Linear(1, 12), nn.Tanh(), nn.Linear(12, 1)).double()
    parameters = list(net.parameters())
    nodes, weights = (torch.as_tensor(v) for v in np.polynomial.hermite_e.hermegauss(60))
    weights = weights / weights.sum()
    noise = nodes.repeat(5)[:, None]
    rows = denoising_score_matching(net, data.repeat_interleave(60)[:, None], noise, sigma)
    ours = torch.autograd.grad((rows * weights.repeat(5)).sum() / 5, parameters)
    grid = torch.linspace(-6, 6.5, 6001, dtype=torch.float64)[:, None].requires_grad_()
    density = (-0.5 * ((grid - data) / sigma) ** 2).exp().mean(1) / math.sqrt(2 * math.pi * sigma**2)
    s = net(grid)
    (slope,) = torch.autograd.grad(s.sum(), grid, create_graph=True)
    implicit = (density.detach() * (slope + s.square() / 2)[:, 0]).sum() * (grid[1] - grid[0]).detach()
    theirs = torch.autograd.grad(implicit, parameters, allow_unused=True)
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, torch.zeros_like(a) if b is None else b, rtol=1e-7, atol=1e-9)
    assert max(float(a.abs().max()) for a in ours) > 0.05


def test_a_score_model_learns_by_denoising_score_matching():
    # Diffusion(predict="score") with the simple weighting is the same loss: 2 sigma^2 / d times it, on a path with alpha = 1.
    path = VE(0.5, 0.5000001)  # one sigma, whatever t
    model = exact_model(path, "score")
    x = standard_mixture().sample(64, 6)
    loss = Denoising()(model, Batch(x), RowGenerator(7, 64)).value
    generator = RowGenerator(7, 64)
    generator.uniform(dtype=torch.float64)
    noise = generator.normal(2, dtype=torch.float64)
    theirs = denoising_score_matching(lambda y: standard_mixture().score(y, 1.0, 0.5), x, noise, 0.5)
    torch.testing.assert_close(loss, theirs.mean() * 2 * 0.25 / 2, rtol=1e-5, atol=0)


def test_the_loss_of_a_batch_is_the_mean_of_its_shares():
    # Rows carry their own noise, so two processes with half a batch each compute what one would.
    model = exact_model(Linear(), "velocity")
    x = standard_mixture().sample(30, 8)
    whole = Denoising()(model, Batch(x), RowGenerator(9, 30)).value
    halves = [
        Denoising()(model, Batch(x[a:b]), RowGenerator(9, 30).slice(a, b)).value * (b - a)
        for a, b in ((0, 12), (12, 30))
    ]
    torch.testing.assert_close(sum(halves) / 30, whole, rtol=1e-12, atol=0)
