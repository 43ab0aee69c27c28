"""The curve of an exact model falls to the floor; its error at each level of noise is the least there is."""

import math

import pytest
import torch
from scipy import integrate, optimize, stats
from scipy.spatial.distance import cdist
from torch import nn

import pushforward as pf
from pushforward.core.registry import register
from pushforward.models.diffusion import Diffusion
from pushforward.parts.paths import Cosine
from tests.exact_mixture import exact_model, standard_mixture

BUDGET = 1e-5
ROWS = 250


def _w2(x, y) -> float:
    cost = cdist(x, y, "sqeuclidean")
    return math.sqrt(cost[optimize.linear_sum_assignment(cost)].mean())


def test_the_curve_of_an_exact_model_falls_to_the_floor():
    mixture = standard_mixture()
    # What two fresh sets are apart, from draws of the mixture itself and scipy's distances.
    pairs = [mixture.sample(2 * ROWS, 100 + k) for k in range(30)]
    apart = torch.tensor([_w2(p[:ROWS].numpy(), p[ROWS:].numpy()) for p in pairs])
    highest = float(apart.mean() + stats.t.isf(BUDGET, 29) * apart.std())
    model = exact_model(Cosine(), "v")
    curve = pf.metrics.sampling_curve(model, mixture.sample(2 * ROWS, 7), nfe=(1, 5, 50), rows=ROWS)
    assert curve.evaluations == (1, 5, 50)
    # One step gives the mean of the data, from which the rows of variance 1 in two columns are sqrt(2) away.
    assert curve.wasserstein[0] == pytest.approx(math.sqrt(2), rel=0.05)
    assert curve.wasserstein[0] > highest
    assert curve.wasserstein[-1] < highest
    assert curve.wasserstein_floor < highest
    assert curve.mmd[0] > curve.mmd[1] > curve.mmd[2]
    assert curve.mmd[0] > 10 * max(curve.mmd[2], curve.mmd_floor)


def test_evaluations_are_those_that_the_network_made():
    model = exact_model(Cosine(), "v")
    heun = pf.diffusion.samplers.ProbabilityFlow  # two evaluations a step
    curve = pf.metrics.sampling_curve(model, standard_mixture().sample(40, 1), nfe=(3,), sampler=heun)
    assert model.network.calls - 1 <= curve.evaluations[0] <= model.network.calls
    assert curve.evaluations[0] in (5, 6)


@register
class OfGaussian(nn.Module):
    """E[noise | x_t] for data N(0, std^2), and `bend` beside it."""

    def __init__(self, std: float, bend: float = 0.0):
        super().__init__()
        self.std, self.bend = std, bend
        self.marker = nn.Buffer(torch.zeros(()))

    def forward(self, y, t, condition):
        sigma, alpha = torch.sin(torch.pi * t / 2)[:, None], torch.cos(torch.pi * t / 2)[:, None]
        return y * sigma / (alpha**2 * self.std**2 + sigma**2) + self.bend


@pytest.mark.parametrize("bend", [0.0, 0.2])
def test_the_error_at_each_level_of_noise_is_the_closed_form(bend):
    # Var[noise | x_t] = alpha^2 s^2 / (alpha^2 s^2 + sigma^2), averaged over the bin by quadrature; a bend adds its square.
    s, n = 0.5, 4000
    x = s * torch.randn(n, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = Diffusion(OfGaussian(s, bend), Cosine(), 3, "noise").double()
    levels = pf.metrics.loss_by_noise(model, x, bins=10)
    alarm = stats.norm.isf(BUDGET / 40)

    def least(t: float) -> float:
        signal = (math.cos(math.pi * t / 2) * s) ** 2
        return signal / (signal + math.sin(math.pi * t / 2) ** 2)

    assert len(levels.losses) == 10
    for low, high, loss in zip(levels.edges, levels.edges[1:], levels.losses):
        expected = integrate.quad(least, low, high)[0] / (high - low) + bend**2
        assert abs(loss.value - expected) < alarm * loss.std_error
