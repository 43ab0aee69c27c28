"""The consistency function of a Gaussian is known: x_eps = x_sigma sqrt((s^2 + eps^2) / (s^2 + sigma^2)) for data N(0, s^2)."""

import math
from itertools import pairwise

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import pushforward as pf
from pushforward.core.data import Batch
from pushforward.core.path import Path
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.models.diffusion import Boundary, Consistency, Diffusion
from pushforward.models.diffusion.consistency import heun_step
from pushforward.parts.paths import EDM, VP, Cosine, Linear

S, LEAST = 0.8, 0.002
BUDGET = 1e-5


@register
class GaussianDenoiser(nn.Module):
    """E[noise | x_t] for data N(0, S^2), on any path."""

    def __init__(self, path: Path):
        super().__init__()
        self.path, self.marker = path, nn.Buffer(torch.zeros((), dtype=torch.float64))

    def forward(self, y: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        alpha, sigma = self.path.alpha(t), self.path.sigma(t)
        return y * (torch.hypot(alpha, sigma) * sigma / (alpha**2 * S**2 + sigma**2))[:, None]


@register
class GaussianConsistency(nn.Module):
    """The closed form."""

    def __init__(self):
        super().__init__()
        self.marker = nn.Buffer(torch.zeros((), dtype=torch.float64))

    def forward(self, y: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        x = y * torch.hypot(torch.ones_like(t), t)[:, None]
        return x * ((S**2 + LEAST**2) / (S**2 + t**2)).sqrt()[:, None]


def teacher(path: Path) -> Diffusion:
    return Diffusion(GaussianDenoiser(path), path, 1, "noise").double()


@pytest.mark.parametrize("sigma_data", [0.3, 1.0])
def test_at_the_least_noise_nothing_is_changed(sigma_data):
    torch.manual_seed(0)
    net = pf.nn.TimeMLP(3, hidden=16)
    nn.init.normal_(net.leave[-1].weight)  # a network that says something
    f = Boundary(net, EDM(), sigma_data)
    x = 3 * torch.randn(50, 3)
    t = torch.full((50,), LEAST)
    y = x / torch.hypot(torch.ones_like(t), t)[:, None]
    torch.testing.assert_close(f(y, t, None), x, rtol=2e-6, atol=1e-6)
    assert (f(y, t * 100, None) - x).abs().max() > 0.01


@pytest.mark.parametrize("path", [EDM(), VP(), Cosine(), Linear()], ids=lambda p: type(p).__name__)
def test_a_step_of_the_teacher_is_of_second_order_on_every_path(path):
    x = torch.linspace(-3, 3, 7, dtype=torch.float64)[:, None]
    start, end = torch.full((7,), 2.0, dtype=torch.float64), torch.full((7,), 1.0, dtype=torch.float64)
    exact = x * math.sqrt((S**2 + 1.0) / (S**2 + 4.0))
    errors = []
    for steps in (4, 8, 16):
        at = x
        for k in range(steps):
            a, b = (start + (end - start) * (k + i) / steps for i in (0, 1))
            at = heun_step(teacher(path), at, a, b, None)
        errors.append(float((at - exact).abs().max()))
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    assert all(abs(slope - 2) < 0.25 for slope in slopes)


def test_distilling_an_exact_teacher_leaves_the_closed_form_where_it_is():
    # f(far) and f(near) differ by the error of one Heun step, which is of third order: it falls with more levels.
    student = Diffusion(GaussianConsistency(), EDM(), 1, "data").double()
    x = S * torch.randn(4000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    gaps = []
    for levels in (20, 80):
        model = Consistency(student, teacher(EDM()), noise_levels=[levels, levels]).eval()
        gaps.append(float(model.objective(model, Batch(x), RowGenerator(1, 4000)).metrics["distance"]))
    assert gaps[1] < gaps[0] / 16
    assert gaps[0] < 0.02


def test_levels_double_as_training_goes_on():
    model = pf.diffusion.consistency(event_shape=1, width=16, noise_levels=[10, 80], steps=400)
    seen = []
    for k in (0, 99, 100, 200, 300, 10_000):
        model.trained.fill_(k)
        seen.append(int(model.level_count()))
    assert seen == [11, 11, 21, 41, 81, 81]
    ends = model.ladder(torch.tensor(11.0), torch.tensor([0.0, 10.0]))
    torch.testing.assert_close(ends, torch.tensor([0.002, 80.0]), rtol=1e-4, atol=0)


def test_noise_levels_are_lognormal():
    from pushforward.models.diffusion.consistency import _neighbours

    model = pf.diffusion.consistency(event_shape=1, width=16, noise_levels=[2000, 2000])
    u = (torch.arange(50_000, dtype=torch.float64) + 0.5) / 50_000
    low, high = _neighbours(model, model.level_count(), u)
    assert (low < high).all()
    mean = -1.1 + math.log(2.0)
    law = stats.truncnorm((math.log(0.002) - mean) / 2, (math.log(80) - mean) / 2, loc=mean, scale=2.0)
    assert stats.ks_1samp((low * high).sqrt().log().numpy(), law.cdf).statistic < 0.01


@pytest.mark.parametrize("distil", [True, False])
def test_training_reaches_the_closed_form_and_one_step_is_enough(distil):
    torch.manual_seed(0)
    student = Diffusion(Boundary(pf.nn.TimeMLP(1, hidden=32, layers=2), EDM(), S), EDM(), 1, "data")
    own = teacher(EDM()).float() if distil else None
    model = Consistency(student, own, noise_levels=[10, 80], steps=350, sigma_data=S).train()
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 2e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.02, 500)
    for k in range(500):
        x = S * torch.randn(128, 1, generator=torch.Generator().manual_seed(k))
        optimiser.zero_grad()
        model.objective(model, Batch(x), RowGenerator(k, 128)).value.backward()
        optimiser.step()
        schedule.step()
    model.eval()
    for sigma in (0.5, 2.0, 80.0):
        x = math.sqrt(S**2 + sigma**2) * torch.linspace(-2, 2, 41)[:, None]
        with torch.no_grad():
            found = model(x, torch.full((41,), sigma))
        exact = x * math.sqrt((S**2 + LEAST**2) / (S**2 + sigma**2))
        assert float((found - exact).square().mean().sqrt()) < 0.12 * S
    drawn = model.sample(4000, generator=torch.Generator().manual_seed(1))
    fresh = S * torch.randn(4000, 1, generator=torch.Generator().manual_seed(2))
    assert pf.metrics.wasserstein(drawn, fresh) < 0.12


def test_few_steps_renew_the_noise():
    # With the exact function each of the steps gives N(0, S^2 + eps^2), whatever the sigmas are.
    student = Diffusion(GaussianConsistency(), EDM(), 1, "data").double()
    x = Consistency(student).sample(5000, sigmas=[80.0, 3.0, 0.5], generator=torch.Generator().manual_seed(3))
    assert stats.kstest(x[:, 0].numpy(), stats.norm(0, math.sqrt(S**2 + LEAST**2)).cdf).pvalue > BUDGET
    with pytest.raises(ValueError, match="falling sigmas"):
        Consistency(student).sample(2, sigmas=[1.0, 80.0])
