"""G1, G9: what a weighting weighs does not depend on what the network predicts, and EDM's preconditioning has unit targets.

Oracles: the exact posterior means of a Gaussian mixture, closed forms of the weights typed from the papers, quadrature.
"""

import math

import pytest
import torch
from scipy import stats

from pushforward.core.data import Batch
from pushforward.core.errors import ConfigError
from pushforward.core.random import RowGenerator
from pushforward.models.diffusion import Denoising, Preconditioned, edm
from pushforward.models.diffusion.weighting import draw
from pushforward.parts.paths import EDM, VE, VP, Cosine, DiscreteVP, Linear
from tests.exact_mixture import exact_model, standard_mixture

PATHS = {"VP": VP(), "Cosine": Cosine(), "Linear": Linear(), "VE": VE(), "EDM": EDM(), "DiscreteVP": DiscreteVP()}
QUANTITIES = ["data", "noise", "score", "v", "velocity"]


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("weighting", ["likelihood", "min_snr", "edm", "ddpm"])
def test_the_loss_of_a_perfect_network_is_the_same_whatever_it_predicts(name, weighting):
    path = PATHS[name]
    if weighting == "ddpm" and not isinstance(path, DiscreteVP):
        with pytest.raises(ConfigError, match="DiscreteVP"):
            Denoising("ddpm")(exact_model(path), Batch(standard_mixture().sample(4, 0)), RowGenerator(0, 4))
        return
    batch = Batch(standard_mixture().sample(500, seed=1))
    losses = []
    for predict in QUANTITIES:
        if predict == "velocity" and name == "DiscreteVP":
            continue  # the oracle's central differences straddle the corners of its clock
        model = exact_model(path, predict)
        losses.append(float(Denoising(weighting)(model, batch, RowGenerator(3, 500)).value))
    assert losses == pytest.approx([losses[0]] * len(losses), rel=1e-5)


def test_weights_of_the_papers():
    u = torch.linspace(0.01, 0.99, 25, dtype=torch.float64)
    for path in (Cosine(), VP(), DiscreteVP("cosine", 100)):
        for predict, weight in (
            ("noise", lambda snr: torch.minimum(snr, torch.tensor(5.0)) / snr),
            ("data", lambda snr: torch.minimum(snr, torch.tensor(5.0))),
            ("v", lambda snr: torch.minimum(snr, torch.tensor(5.0)) / (snr + 1)),
        ):
            t, found = draw("min_snr", path, predict, u, 1.0)
            snr = (path.alpha(t) / path.sigma(t)).square()
            torch.testing.assert_close(found, weight(snr).double(), rtol=1e-6, atol=0)
    # DDPM's equation 12, with sigma^2 = beta, at the steps themselves.
    path = DiscreteVP()
    t, found = draw("ddpm", path, "noise", u, 1.0)
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    step = (t * 1000).round().long()
    assert torch.equal(step, (u * 1000).long() + 1)
    beta, abar = betas[step - 1], (1 - betas).cumprod(0)[step - 1]
    torch.testing.assert_close(found, 1000 * beta**2 / (2 * beta * (1 - beta) * (1 - abar)), rtol=1e-9, atol=0)
    # EDM: the logarithm of sigma is normal, and the weight is that of table 1.
    sigma, found = draw("edm", EDM(), "data", torch.linspace(1e-4, 1 - 1e-4, 4001, dtype=torch.float64), 0.5)
    assert stats.kstest(sigma.log().numpy(), stats.norm(-1.2, 1.2).cdf).statistic < 1e-3
    torch.testing.assert_close(found, (sigma**2 + 0.25) / (0.5 * sigma) ** 2, rtol=1e-5, atol=0)


def test_the_weighted_ddpm_loss_is_the_divergence_of_two_steps():
    """sum_i |mu_i(x_i, x_0) - mu_theta|^2 / (2 beta_i): the means as DDPM's equations 7 and 11 write them."""
    path, n = DiscreteVP("linear", 100), 400
    betas = (1e-4 + (0.02 - 1e-4) * torch.arange(100, dtype=torch.float64) / 99) * 10
    abar = torch.cat([torch.ones(1, dtype=torch.float64), (1 - betas).cumprod(0)])
    mixture = standard_mixture()
    x0, generator = mixture.sample(n, seed=2), RowGenerator(5, n)
    u, noise = generator.uniform(dtype=torch.float64), generator.normal(2, dtype=torch.float64)
    i = (u * 100).long() + 1
    beta, now, before = betas[i - 1][:, None], abar[i][:, None], abar[i - 1][:, None]
    x = now.sqrt() * x0 + (1 - now).sqrt() * noise
    true = before.sqrt() * beta / (1 - now) * x0 + (1 - beta).sqrt() * (1 - before) / (1 - now) * x
    _, guess = mixture.posterior(x, now[:, 0].sqrt(), (1 - now[:, 0]).sqrt())
    model_mean = (x - beta / (1 - now).sqrt() * guess) / (1 - beta).sqrt()
    expected = 100 * ((true - model_mean).square().sum(1) / (2 * beta[:, 0])).mean() / 2
    found = Denoising("ddpm")(exact_model(path, "noise"), Batch(x0), RowGenerator(5, n)).value
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


class _Remember(torch.nn.Module):
    """Keeps what it is given, and gives back zeros."""

    def forward(self, y, t, condition):
        self.y, self.t = y, t
        return torch.zeros_like(y)


@pytest.mark.parametrize("path", [EDM(), Cosine(), VE()], ids=str)
def test_preconditioning_has_inputs_and_targets_of_unit_variance(path):
    """c_in, c_skip, c_out and the weight 1 / c_out^2 of the paper, from what the wrapped network sees and must give."""
    n, d = 200_000, 0.5
    generator = torch.Generator().manual_seed(0)
    data, noise = (torch.randn(n, 1, generator=generator, dtype=torch.float64) for _ in range(2))
    data, inside = d * data, _Remember()
    network = Preconditioned(inside, path, d)
    for t in torch.linspace(path.t_min, path.t_max, 6, dtype=torch.float64):
        alpha, sigma = path.alpha(t), path.sigma(t)
        y = (alpha * data + sigma * noise) / torch.hypot(alpha, sigma)
        skip = network(y, t.expand(n), None)
        s = sigma / alpha
        torch.testing.assert_close(inside.y, (data + s * noise) / torch.sqrt(s**2 + d**2))
        torch.testing.assert_close(skip, d**2 / (s**2 + d**2) * (data + s * noise))
        assert 0 <= float(inside.t[0]) <= 1
        out = s * d / torch.sqrt(s**2 + d**2)
        for quantity in (inside.y, (data - skip) / out):  # five standard errors of a variance
            assert float(quantity.var()) == pytest.approx(1, abs=5 * math.sqrt(2 / n))
        inside.forward = lambda y, t, c: torch.ones_like(y)
        torch.testing.assert_close(network(y, t.expand(n), None) - skip, out.expand(n, 1))
        del inside.forward


def test_edm_begins_with_a_loss_of_one():
    """The target has unit variance and the weights cancel: a network that is zero has the loss 1, at every level of noise."""
    x = 3 + 7 * torch.randn(20_000, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    model = edm(x.float()).double()
    loss = model.objective(model, Batch(x), RowGenerator(0, 20_000)).value
    assert float(loss.detach()) == pytest.approx(1, abs=0.05)


def test_bad_weightings_are_refused():
    with pytest.raises(ConfigError, match="a weighting among"):
        Denoising("sample")
    with pytest.raises(ConfigError, match="positive sigma_data"):
        Denoising("edm", sigma_data=0.0)
    with pytest.raises(ConfigError, match="positive sigma_data"):
        Preconditioned(torch.nn.Identity(), EDM(), -1.0)
    with pytest.raises(ConfigError, match="t_min < t_max"):
        EDM(2.0, 1.0)
    with pytest.raises(ConfigError, match="more than 20 steps"):
        DiscreteVP("linear", 20)
