"""A9: the bounds of a variational autoencoder are bounds, and of what.

Oracles: probabilistic PCA, as scikit-learn scores it; linear-Gaussian models, whose p(x) and p(z | x) are scipy's and in closed form; the
Jacobian of a posterior flow by autodiff; sums over all pixels and all images; logistic distribution functions of scipy.
"""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.decomposition import PCA
from torch import Tensor, nn

import pushforward as pf
from pushforward.core.data import Batch
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.models.latent.variational_autoencoder import negative_bound

BUDGET = 1e-5
W = torch.tensor([[1.0, 0.5], [-1.0, 1.0], [0.5, 1.0]], dtype=torch.float64)
S = 0.6


@register
class Same(nn.Module):
    """The event itself as its features."""

    outputs = 3

    def forward(self, y: Tensor) -> Tensor:
        return y


@register
class LinearHead(nn.Module):
    """W z + b, learned."""

    def __init__(self, latents: int, features: int):
        super().__init__()
        self.layer = nn.Linear(latents, features)

    def forward(self, z: Tensor) -> Tensor:
        return self.layer(z)[:, None]


def linear(exact: bool, *, flow=None, gradient="total", scale=1.0) -> pf.latent.VariationalAutoencoder:
    """z ~ N(0, I), y = W z + S noise, x = scale y; q is one Gaussian for all rows, or turned to the exact posterior's marginals."""
    units = pf.latent.Units((3,), loc=torch.zeros(3), scale=torch.full((3,), scale))
    model = pf.latent.VariationalAutoencoder(
        Same(),
        pf.latent.FlowPosterior(3, 2, flow),
        LinearHead(2, 3),
        pf.latent.GaussianLikelihood(units),
        gradient=gradient,
    ).double()
    basis = orthogonal_columns()
    precision = 1 + basis.square().sum(0) / S**2
    with torch.no_grad():
        model.likelihood.log_std.fill_(math.log(S))
        model.decoder.layer.weight.copy_(basis)
        model.decoder.layer.bias.zero_()
        model.posterior.head.weight.zero_()
        model.posterior.head.bias.zero_()
        model.posterior.head.weight[:2] = basis.T / S**2 / precision[:, None] * (1.0 if exact else 0.6)
        model.posterior.head.bias[2:] = -precision.log() * (1.0 if exact else 0.5)
    return model


def orthogonal_columns() -> Tensor:
    """So that the posterior of z has independent coordinates."""
    first = W[:, :1]
    return torch.cat([first, W[:, 1:] - first * (first.T @ W[:, 1:]) / first.square().sum()], 1)


def log_density(x: Tensor, scale: float = 1.0) -> Tensor:
    basis = orthogonal_columns().numpy()
    covariance = scale**2 * (basis @ basis.T + S**2 * np.eye(3))
    return torch.from_numpy(stats.multivariate_normal(np.zeros(3), covariance).logpdf(x.numpy()))


def rows(n: int, scale: float = 1.0) -> Tensor:
    source = RowGenerator(5, n)
    return scale * (
        source.normal(2, dtype=torch.float64) @ orthogonal_columns().T + S * source.normal(3, dtype=torch.float64)
    )


def test_with_the_exact_posterior_the_bound_is_scipys_density_in_the_users_units():
    model, x = linear(exact=True, scale=40.0), rows(20, 40.0)
    for bound in (model.elbo(x, draws=3), model.iwae(x, draws=3)):
        torch.testing.assert_close(bound.value, log_density(x, 40.0))
        assert bound.std_error.abs().max() < 1e-6
    torch.testing.assert_close(model.log_prob(x), log_density(x, 40.0))


def test_a_linear_autoencoder_learns_probabilistic_pca():
    generator = torch.Generator().manual_seed(0)
    spread = torch.tensor([2.0, 1.0, 0.4, 0.4, 0.4])
    turn = torch.linalg.qr(torch.randn(5, 5, generator=generator)).Q
    x = (torch.randn(500, 5, generator=generator) * spread) @ turn + 3.0
    units = pf.latent.Units((5,), loc=x.mean(0), scale=torch.ones(5))
    torch.manual_seed(0)
    model = pf.latent.VariationalAutoencoder(
        Same(), pf.latent.FlowPosterior(5, 2), LinearHead(2, 5), pf.latent.GaussianLikelihood(units)
    )
    optimiser = torch.optim.Adam(model.parameters(), 0.05)
    for step in range(500):
        for group in optimiser.param_groups:
            group["lr"] = 0.05 * (1 - step / 500)
        loss = negative_bound(model, Batch(x), RowGenerator(step, len(x))).value
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    best = PCA(2).fit(x.double().numpy()).score(x.double().numpy())
    bound = model.elbo(x, draws=50)
    mean, error = bound.value.mean().item(), bound.std_error.square().sum().sqrt().item() / len(x)
    # Lucas et al. 2019: a linear decoder's bound is tight at the optimum of the likelihood.
    assert best - 0.05 < mean < best + 5 * error


def test_bounds_rise_with_the_draws_up_to_the_likelihood():
    model, x = linear(exact=False), rows(4000)
    generator = torch.Generator().manual_seed(1)
    truth = log_density(x)
    gaps = [(truth - model.elbo(x, draws=2, generator=generator).value).numpy()]
    gaps += [(truth - model.iwae(x, draws=k, generator=generator).value).numpy() for k in (4, 16, 64)]
    for looser, tighter in pairwise(gaps):
        difference = looser - tighter
        assert difference.mean() / (difference.std() / len(x) ** 0.5) > stats.norm.isf(BUDGET)
    assert gaps[-1].mean() > -stats.norm.isf(BUDGET) * gaps[-1].std() / len(x) ** 0.5
    assert gaps[-1].mean() < 0.2 * gaps[0].mean()


def test_the_gap_of_the_bound_is_the_divergence_from_the_posterior():
    model, x = linear(exact=False), rows(300)
    h = model.posterior.moments(x)
    exact = linear(exact=True).posterior.moments(x)
    q, p = (torch.distributions.Normal(mean, log_std.exp()) for mean, log_std in (h, exact))
    gap = torch.distributions.kl_divergence(q, p).sum(1)
    bound = model.elbo(x, draws=400, generator=torch.Generator().manual_seed(2))
    score = (log_density(x) - gap - bound.value) / bound.std_error
    assert score.abs().max() < stats.norm.isf(BUDGET / len(x))
    # The closed form of the divergence from the prior, by torch's own.
    prior = torch.distributions.Normal(torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(model.posterior.divergence(x), torch.distributions.kl_divergence(q, prior))


def test_the_path_gradient_vanishes_with_the_gap():
    batch = Batch(rows(50))
    for gradient, small in (("path", True), ("total", False)):
        model = linear(exact=True, gradient=gradient)
        model.train()
        value = negative_bound(model, batch, RowGenerator(3, 50)).value
        (slope,) = torch.autograd.grad(value, model.posterior.head.weight)
        assert (slope.abs().max() < 1e-10) == small


@pytest.mark.parametrize("name", ["planar", "iaf", "sylvester"])
def test_the_density_of_a_posterior_flow_is_autodiffs(name):
    model = pf.latent.vae(torch.randn(30, 4) * 2, latents=3, posterior=name, flow_layers=2, hidden=[6], seed=1).double()
    with torch.no_grad():
        for parameter in model.posterior.parameters():
            parameter.normal_(std=0.4, generator=torch.Generator().manual_seed(0))
    h, noise = torch.randn(5, 6, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    z, log_q = model.posterior.draw(h, noise)

    def one(e: Tensor, given: Tensor) -> Tensor:
        return model.posterior.draw(given[None], e[None])[0][0]

    jacobian = torch.stack(
        [torch.autograd.functional.jacobian(lambda e, i=i: one(e, h[i]), noise[i]) for i in range(5)]
    )
    expected = stats.norm.logpdf(noise.numpy()).sum(1) - np.linalg.slogdet(jacobian.detach().numpy())[1]
    np.testing.assert_allclose(log_q.detach().numpy(), expected, atol=1e-9)
    torch.testing.assert_close(model.posterior.frozen_log_prob(z, h), log_q, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["none", "planar", "iaf", "sylvester"])
def test_path_and_total_gradient_have_one_mean(name):
    kinds = []
    for gradient in ("total", "path"):
        x = torch.linspace(-1, 1, 4)[:, None].expand(4, 2).contiguous()
        model = pf.latent.vae(
            x + torch.arange(2), latents=2, posterior=name, flow_layers=1, hidden=[4], gradient=gradient
        )
        model = model.double()
        with torch.no_grad():
            for parameter in model.posterior.parameters():
                parameter.normal_(std=0.3, generator=torch.Generator().manual_seed(3))
        model.train()
        many = x.double().repeat(1000, 1)
        slopes = []
        for seed in range(16):
            value = negative_bound(model, Batch(many), RowGenerator(seed, len(many))).value
            slopes.append(torch.autograd.grad(value, model.posterior.head.weight)[0].flatten())
        kinds.append(torch.stack(slopes))
    gap = kinds[0].mean(0) - kinds[1].mean(0)
    error = ((kinds[0].var(0) + kinds[1].var(0)) / 16).sqrt()
    # Student's t with 15 degrees of freedom or more.
    assert (gap.abs() / error < stats.t.isf(BUDGET / len(gap) / 2, 15)).all()


def test_masses_of_a_mixture_of_logistics_are_scipys_and_sum_to_one():
    likelihood = pf.latent.LogisticLikelihood((1,), levels=7, components=2)
    torch.manual_seed(0)
    out = 3 * torch.randn(1, 6, 1).double()
    log_mass = likelihood.log_prob(torch.arange(7.0).double()[:, None], out.expand(7, 6, 1))
    assert abs(log_mass.exp().sum().item() - 1) < 1e-12
    log_w, m, log_s = (value[0, :, 0].numpy() for value in likelihood.parameters_of(out))
    edges = np.concatenate([[-np.inf], np.arange(6) + 0.5, [np.inf]])
    cdf = stats.logistic(m[:, None], np.exp(log_s)[:, None]).cdf(edges)
    np.testing.assert_allclose(log_mass.exp().numpy(), np.exp(log_w) @ np.diff(cdf, axis=1), atol=1e-12)
    source = RowGenerator(4, 5000)
    counts = torch.bincount(likelihood.draw(out.expand(5000, 6, 1), source)[:, 0].long(), minlength=7).numpy()
    likely = np.exp(log_w) @ np.diff(cdf, axis=1) * 5000
    kept = likely > 5
    assert ((counts - likely)[kept] ** 2 / likely[kept]).sum() < stats.chi2.isf(BUDGET, kept.sum())


def test_the_mass_of_all_black_and_white_images_is_one_and_no_bound_is_above_it():
    bits = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4).double()
    data = pf.data.Images.of(bits.reshape(16, 2, 2).byte(), levels=2)
    model = pf.latent.vae(data, latents=1, hidden=[5], seed=2).double()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.mul_(3)
    x = bits.reshape(16, 1, 2, 2)
    grid = torch.linspace(-9, 9, 2001, dtype=torch.float64)[:, None]
    joint = model.likelihood.log_prob(x.repeat_interleave(2001, 0), model.decoder(grid.repeat(16, 1))).reshape(16, 2001)
    density = torch.from_numpy(stats.norm.pdf(grid[:, 0].numpy()))
    truth = (torch.trapezoid(joint.exp() * density, grid[:, 0])).log().detach()
    assert abs(truth.exp().sum().item() - 1) < 1e-9
    bound = model.iwae(x, draws=2000, generator=torch.Generator().manual_seed(6))
    assert ((bound.value - truth) / bound.std_error).abs().max() < stats.norm.isf(BUDGET / 16)
    loose = model.elbo(x, draws=2000, generator=torch.Generator().manual_seed(7))
    assert ((loose.value - truth) / loose.std_error).max() < stats.norm.isf(BUDGET / 16)


def test_grey_images_are_scored_as_the_black_and_white_ones_they_stand_for():
    grey = pf.data.Images.of(torch.randint(0, 256, (60, 4, 4), generator=torch.Generator().manual_seed(0)))
    model = pf.latent.vae(grey, likelihood="bernoulli", latents=2, hidden=[8])
    seen = model.as_seen(grey)
    assert seen.pixels.unique().tolist() == [0, 255]
    x, bits = grey.take(torch.arange(60)).x, seen.take(torch.arange(60)).x
    again = model.as_seen(seen)
    assert torch.equal(again.pixels, seen.pixels)
    # The same draws for the same bits: a score of the grey image is that of its bits, a log probability and at most 0.
    generator = [torch.Generator().manual_seed(1) for _ in range(2)]
    torch.testing.assert_close(model.iwae(x, draws=8, generator=generator[0]).value, model.iwae(bits, draws=8, generator=generator[1]).value)  # fmt: skip
    assert (model.log_prob(x) < 0).all()
    # White as often as grey says.
    share = x / 255
    z = ((bits / 255 - share).sum() / (share * (1 - share)).sum().sqrt()).item()
    assert abs(z) < stats.norm.isf(BUDGET / 2)
    torch.testing.assert_close(model.log_prob(x)[:7], model.log_prob(x[:7]))
