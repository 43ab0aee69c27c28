"""The Schroedinger bridge between Gaussians is known: Mallasto, Gerolin and Minh 2022, https://arxiv.org/abs/2006.03416; Bunne et al.
2023, https://arxiv.org/abs/2202.05722. Entropic pairs have its covariance, and its drift moves one Gaussian to the other."""

import math

import pytest
import torch
from scipy import linalg, stats
from torch import Tensor, nn

import pushforward as pf
from pushforward.core.data import Batch
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.models.diffusion import BridgeFlow
from pushforward.models.diffusion.bridge_flow import bridge_matching, pair

BUDGET = 1e-5
MEANS = torch.tensor([[1.0, -0.5], [-0.5, 0.8]], dtype=torch.float64)  # of data, of source
COVARIANCES = torch.tensor([[[1.0, 0.3], [0.3, 0.5]], [[0.4, -0.2], [-0.2, 0.9]]], dtype=torch.float64)
SIGMA = 0.7


def cross() -> Tensor:
    """Cov(data, source) = 1/2 (S0^1/2 (4 S0^1/2 S1 S0^1/2 + sigma^4)^1/2 S0^-1/2 - sigma^2)."""
    s0, s1 = (c.numpy() for c in COVARIANCES)
    root = linalg.sqrtm(s0).real
    middle = linalg.sqrtm(4 * root @ s1 @ root + SIGMA**4 * torch.eye(2).numpy()).real
    return torch.as_tensor(0.5 * (root @ middle @ linalg.inv(root) - SIGMA**2 * torch.eye(2).numpy()))


def marginal(t: float) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the bridge at t."""
    c = cross()
    covariance = (1 - t) ** 2 * COVARIANCES[0] + t**2 * COVARIANCES[1] + t * (1 - t) * (c + c.T)
    return (1 - t) * MEANS[0] + t * MEANS[1], covariance + SIGMA**2 * t * (1 - t) * torch.eye(2)


def draws(which: int, n: int, seed: int) -> Tensor:
    z = torch.randn(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return MEANS[which] + z @ torch.linalg.cholesky(COVARIANCES[which]).T


@register
class GaussianBridge(nn.Module):
    """E[source - data | x_t] and E[eps | x_t] by conditioning jointly Gaussian variables, in closed form."""

    def __init__(self):
        super().__init__()
        self.marker = nn.Buffer(torch.zeros((), dtype=torch.float64))

    def forward(self, x: Tensor, t: Tensor, condition: None) -> Tensor:
        time, c = float(t[0]), cross()
        mean, covariance = marginal(time)
        of_data = (1 - time) * COVARIANCES[0] + time * c
        of_source = (1 - time) * c.T + time * COVARIANCES[1]
        ahead = torch.linalg.solve(covariance, (x - mean).T).T
        gap = MEANS[1] - MEANS[0] + ahead @ (of_source - of_data).T
        return torch.cat([gap, SIGMA * math.sqrt(time * (1 - time)) * ahead], 1)


def close_moments(x: Tensor, mean: Tensor, covariance: Tensor, slack: float = 0.0) -> None:
    """Mean and covariance of rows within the standard errors of a Gaussian sample."""
    z, n = stats.norm.isf(BUDGET / 10), len(x)
    assert ((x.mean(0) - mean).abs() < z * (covariance.diagonal() / n).sqrt() + slack).all()
    found, d = torch.cov(x.T), covariance.diagonal()
    error = ((d[:, None] * d + covariance.square()) / n).sqrt()
    assert ((found - covariance).abs() < z * error + slack).all()


def test_entropic_pairs_have_the_covariance_of_the_bridge():
    found = []
    for k in range(12):
        data, source = draws(0, 400, 2 * k), draws(1, 400, 2 * k + 1)
        met = pair(data, source, "entropic", SIGMA, RowGenerator(k, 400))
        found.append(((data - data.mean(0)).T @ (met - met.mean(0)) / 400).flatten())
    found = torch.stack(found)
    error = stats.t.isf(BUDGET / 8, 11) * found.std(0) / math.sqrt(12)
    assert ((found.mean(0) - cross().flatten()).abs() < error + 0.01).all()  # 0.01: what 400 rows are biased by
    plain = pair(draws(0, 400, 0), draws(1, 400, 1), "optimal", SIGMA, RowGenerator(0, 400))
    far = (draws(0, 400, 0).T @ plain / 400 - MEANS[0][:, None] * MEANS[1]).flatten() - cross().flatten()
    assert far.abs().max() > 0.08  # and pairs without entropy have another


@pytest.mark.parametrize("way", ["sde", "ode"])
@pytest.mark.parametrize("to", ["data", "source"])
@pytest.mark.parametrize("end", [0.5, 1.0])
def test_the_bridge_moves_one_gaussian_to_the_other(way, to, end):
    model = BridgeFlow(GaussianBridge(), draws(1, 10, 0), sigma=SIGMA)
    begin = draws(1 if to == "data" else 0, 8000, 5)
    moved = model.transport(begin, steps=60, way=way, to=to, end=end, generator=torch.Generator().manual_seed(6))
    close_moments(moved, *marginal(1 - end if to == "data" else end), slack=0.012)  # of 60 steps


def test_the_score_is_that_of_the_marginal():
    model = BridgeFlow(GaussianBridge(), draws(1, 10, 0), sigma=SIGMA)
    x = draws(0, 20, 7)
    mean, covariance = marginal(0.3)
    theirs = torch.distributions.MultivariateNormal(mean, covariance)
    asked = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(theirs.log_prob(asked).sum(), asked)
    torch.testing.assert_close(model.score(x, torch.full((20,), 0.3, dtype=torch.float64)), expected)


def test_the_loss_is_least_at_the_bridge():
    # E|target - (mean + b)|^2 - E|target - mean|^2 = |b|^2 + cross term with mean zero: the slope in b vanishes at the closed form.
    class Shifted(nn.Module):
        def __init__(self, by: float):
            super().__init__()
            self.exact, self.by = GaussianBridge(), by

        def forward(self, x, t, condition):
            rows = [self.exact(x[i : i + 1], t[i : i + 1], None) for i in range(len(x))]
            x = x - torch.stack([marginal(float(v))[0] for v in t])
            return torch.cat(rows) + self.by * torch.cat([x, x], 1)

    slopes = []
    for k in range(8):
        data, source = draws(0, 120, 100 + k), draws(1, 120, 200 + k)
        plus, minus = (
            bridge_matching(BridgeFlow(Shifted(s), source, sigma=SIGMA), Batch(data), RowGenerator(k, 120)).value
            for s in (0.2, -0.2)
        )
        slopes.append(float(plus - minus) / 0.4)
    error = stats.t.isf(BUDGET / 2, 7) * torch.tensor(slopes).std() / math.sqrt(8)
    assert abs(sum(slopes) / 8) < error + 0.02


def test_a_flow_between_two_sets_arrives():
    torch.manual_seed(0)
    source, data = draws(1, 2000, 1).float(), draws(0, 2000, 2).float()
    model = pf.diffusion.bridge(data, source=source, width=32)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.02, 400)
    for k in range(400):
        rows = torch.randint(2000, (128,), generator=torch.Generator().manual_seed(k))
        optimiser.zero_grad()
        model.objective(model, Batch(data[rows]), RowGenerator(k, 128)).value.backward()
        optimiser.step()
        schedule.step()
    moved = model.transport(source, steps=10).double()
    close_moments(moved, data.double().mean(0), torch.cov(data.double().T), slack=0.1)
    with pytest.raises(ValueError, match="sigma > 0"):
        model.score(data, torch.full((2000,), 0.5))


def test_pairs_are_within_the_label_and_every_label_meets_all_of_the_source():
    """By counting: rows of a label meet rows of source that were dealt to it, whose distribution is that of the whole source."""
    data, source = draws(0, 600, 1), draws(1, 600, 2)
    labels = (data[:, 0] > 1).long()  # depends on the data as much as can be
    for coupling in ("optimal", "entropic"):
        met = pair(data, source, coupling, SIGMA, RowGenerator(3, 600), labels)
        for label in (0, 1):
            rows = labels == label
            assert {tuple(v) for v in met[rows].tolist()} <= {tuple(v) for v in source[rows].tolist()}
            assert stats.ks_2samp(met[rows, 0], source[:, 0]).pvalue > BUDGET
        plain = pair(data, source, coupling, SIGMA, RowGenerator(3, 600))
        assert (
            stats.ks_2samp(plain[labels == 1, 0], source[:, 0]).pvalue < BUDGET
        )  # the trap: a part of the source only


def test_a_flow_is_moved_to_the_data_of_its_condition():
    torch.manual_seed(0)
    source = draws(1, 2000, 1).float()
    c = torch.randn(2000, 1, generator=torch.Generator().manual_seed(4))
    data = 0.3 * draws(0, 2000, 2).float() + 2 * c  # given c: moved by 2 c
    model = pf.diffusion.bridge(
        pf.data.Table.of(torch.cat([data, c], 1), ["a", "b", "c"]).given("c"), source=source, width=32
    )
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for k in range(300):
        rows = torch.randint(2000, (128,), generator=torch.Generator().manual_seed(k))
        optimiser.zero_grad()
        model.objective(model, Batch(data[rows], c[rows]), RowGenerator(k, 128)).value.backward()
        optimiser.step()
    means = [model.transport(source, torch.full((2000, 1), at), steps=10).mean(0) for at in (-1.0, 1.0)]
    # By linearity the means are 4 apart; training leaves a tenth.
    assert ((means[1] - means[0]) - 4).abs().max() < 0.6
    assert model.sample(3, torch.tensor([[0.0], [1.0]])).shape == (3, 2, 2)
    with pytest.raises(ValueError, match="condition"):
        model.transport(source)
