"""G10: the bound of a latent model is a bound, and by how much; the diffusion does not reach into the autoencoder.

Oracles: linear-Gaussian models, whose p(x), p(z | x) and KL(q || p(z | x)) are those of scipy and of torch.distributions; the exact
score of a mixture; enumeration of all images of four pixels; Kolmogorov-Smirnov.
"""

import copy
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import pushforward as pf
from pushforward.core.data import Batch
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.models.latent.autoencoder import first_stage
from tests.exact_mixture import ExactNetwork, standard_mixture

BUDGET = 1e-5
# Orthogonal columns, so that the posterior of z has independent coordinates.
W = torch.tensor([[1.0, 0.5], [-1.0, 1.0], [0.5, 1.0]], dtype=torch.float64)
W = W - torch.outer(W[:, 0], torch.tensor([0.0, 1.0], dtype=torch.float64)) * (
    W[:, 0] @ W[:, 1] / W[:, 0].square().sum()
)
S, LOC, SCALE = 0.6, torch.tensor([0.4, -1.2], dtype=torch.float64), torch.tensor([0.7, 1.8], dtype=torch.float64)
UNIT_LOC, UNIT_SCALE = torch.tensor([50.0, -3.0, 0.1]), torch.tensor([4.0, 0.5, 2.0])  # of the user


@register
class LinearEncoder(nn.Module):
    """Mean and log variance of p(z | y) for z ~ N(loc, scale^2) and y ~ N(W z, s^2), moved by `shift` and widened by `widen`."""

    def __init__(self, loc: Tensor, scale: Tensor, shift: float = 0.0, widen: float = 1.0):
        super().__init__()
        precision = 1 / scale.square() + W.square().sum(0) / S**2
        self.matrix, self.offset = W.T / S**2 / precision[:, None], loc / scale.square() / precision + shift
        self.log_variance = (widen**2 / precision).log()

    def forward(self, y: Tensor) -> Tensor:
        return torch.cat([y @ self.matrix.T + self.offset, self.log_variance.expand(len(y), 2)], 1)


@register
class LinearDecoder(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return z @ W.T


def stage(loc: Tensor, scale: Tensor, shift: float = 0.0, widen: float = 1.0) -> pf.latent.Autoencoder:
    units = pf.latent.Units((3,), loc=UNIT_LOC, scale=UNIT_SCALE)
    model = pf.latent.Autoencoder(
        LinearEncoder(loc, scale, shift, widen), LinearDecoder(), units, (2,), kl=1.0
    ).double()
    with torch.no_grad():
        model.log_std.fill_(math.log(S))
    return model


@register
class StandardNormalNoise(nn.Module):
    """E[noise | x_t] for data N(0, 1): sigma y / sqrt(alpha^2 + sigma^2)."""

    def __init__(self, path: pf.Path):
        super().__init__()
        self.path, self.marker = path, nn.Buffer(torch.zeros(()))

    def forward(self, y: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        alpha, sigma = self.path.alpha(t), self.path.sigma(t)
        return y * (sigma / torch.hypot(alpha, sigma))[:, None]


def latent(shift: float = 0.0, widen: float = 1.0, mixture: bool = False) -> pf.latent.LatentDiffusion:
    path = pf.paths.Cosine()
    network = ExactNetwork(path, "noise") if mixture else StandardNormalNoise(path)
    diffusion = pf.diffusion.Diffusion(network, path, 2, "noise")
    return pf.latent.LatentDiffusion(stage(LOC, SCALE, shift, widen), diffusion, LOC, SCALE).double()


def marginal(weights, means: Tensor, stds: Tensor) -> list[tuple[float, stats.rv_continuous]]:
    """p(x) for z = loc + scale u, u a mixture: for each component, its weight and its normal distribution of x in the user's units."""
    parts = []
    for weight, mean, std in zip(weights, means, stds):
        covariance = W @ torch.diag((SCALE * std).square()) @ W.T + S**2 * torch.eye(3, dtype=torch.float64)
        d = UNIT_SCALE.double()
        parts.append((float(weight), stats.multivariate_normal(
            (UNIT_LOC.double() + d * (W @ (LOC + SCALE * mean))).numpy(), (d[:, None] * covariance * d).numpy())))  # fmt: skip
    return parts


NORMAL = marginal([1.0], torch.zeros(1, 2, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64))


def draws_of(parts, n: int, seed: int) -> Tensor:
    random = np.random.default_rng(seed)
    which = random.choice(len(parts), n, p=[w for w, _ in parts])
    return torch.as_tensor(np.stack([parts[k][1].rvs(random_state=random) for k in which]))


def log_density(parts, x: Tensor) -> np.ndarray:
    return np.log(sum(w * part.pdf(x.numpy()) for w, part in parts))


def test_with_the_exact_posterior_the_autoencoders_bound_is_the_density():
    zero, one = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    model = stage(zero, one)
    covariance = W @ W.T + S**2 * torch.eye(3, dtype=torch.float64)
    d = UNIT_SCALE.double()
    truth = stats.multivariate_normal(UNIT_LOC.double().numpy(), (d[:, None] * covariance * d).numpy())
    x = torch.as_tensor(truth.rvs(20, random_state=0))
    np.testing.assert_allclose(model.log_prob(x).detach(), truth.logpdf(x), rtol=1e-9)
    # The objective with kl = 1 is minus the bound of one draw, for each number; only its divergence is in closed form.
    rows = x.repeat(500, 1)
    found = torch.stack(
        [
            model.objective(model, Batch(rows[a : a + 500]), RowGenerator(a, 500)).value.detach()
            for a in range(0, 10_000, 500)
        ]
    )
    assert abs(3 * float(found.mean()) + truth.logpdf(x).mean()) < stats.t.isf(BUDGET / 2, 19) * 3 * float(
        found.std()
    ) / math.sqrt(20)


def test_with_the_exact_posterior_and_score_the_latent_bound_is_the_density():
    x = draws_of(NORMAL, 20, 1)
    bound = latent().log_prob_bound(x, rtol=1e-7, draws=2)
    np.testing.assert_allclose(bound.value, log_density(NORMAL, x), atol=2e-5)
    assert (bound.std_error < 2e-5).all()  # log p(x | z) p(z) / p(z | x) is the same for every z
    torch.testing.assert_close(bound.value, bound.reconstruction + bound.prior + bound.entropy)


@pytest.mark.parametrize(("shift", "widen"), [(0.3, 1.0), (0.0, 1.6), (-0.2, 0.5)])
def test_the_gap_of_the_bound_is_the_divergence_from_the_posterior(shift, widen):
    x, model = draws_of(NORMAL, 300, 2), latent(shift, widen)
    y = (x - UNIT_LOC.double()) / UNIT_SCALE.double()
    ours, exact = ((m, s.exp()) for m, s in (model.autoencoder.posterior(y), latent().autoencoder.posterior(y)))
    gap = torch.distributions.kl_divergence(*(torch.distributions.Normal(*pair) for pair in (ours, exact))).sum(1)
    bound = model.log_prob_bound(x, draws=8, rtol=1e-5, generator=torch.Generator().manual_seed(0))
    excess = log_density(NORMAL, x) - bound.value.numpy() - gap.numpy()
    assert abs(excess.mean()) < stats.norm.isf(BUDGET / 6) * bound.std_error.square().sum().sqrt().item() / 300
    assert float(gap.mean()) > 10 * bound.std_error.square().sum().sqrt().item() / 300  # it would be seen


def test_with_a_mixture_of_latents_it_is_a_lower_bound():
    mixture = standard_mixture()
    parts = marginal(mixture.weights, mixture.means, mixture.stds)
    x = draws_of(parts, 100, 3)
    bound = latent(mixture=True).log_prob_bound(x, draws=4, generator=torch.Generator().manual_seed(1))
    gap = log_density(parts, x) - bound.value.numpy()
    error = bound.std_error.square().sum().sqrt().item() / 100
    assert gap.mean() > stats.norm.isf(BUDGET) * error
    assert gap.mean() < 3  # and not an empty one


def test_draws_follow_the_mixture_that_is_bounded():
    mixture = standard_mixture()
    parts = marginal(mixture.weights, mixture.means, mixture.stds)
    n = 4000
    x = latent(mixture=True).sample(
        n, sampler=pf.diffusion.samplers.DDIM(steps=60), generator=torch.Generator().manual_seed(2)
    )
    for column in range(3):

        def cdf(v, column=column):
            return sum(w * stats.norm(p.mean[column], math.sqrt(p.cov[column, column])).cdf(v) for w, p in parts)

        assert stats.kstest(x[:, column].numpy(), cdf).pvalue > BUDGET / 3


def test_the_masses_of_all_images_sum_to_at_most_one():
    pixels = torch.cartesian_prod(*[torch.arange(2.0)] * 4).reshape(16, 1, 2, 2)
    torch.manual_seed(0)
    model = pf.latent.autoencoder(pf.data.Images.of(pixels.byte(), levels=2), latents=2, width=4, kl=1.0)
    own = pf.data.Images.of(pixels.byte(), levels=2)
    pf.fit(model, (own, own), steps=25, settings=pf.training.Settings(bar=False))
    # Each log_prob is a mean of 16 noisy terms whose exponential is on average at most the mass; a mean has less of it.
    total = model.log_prob(pixels).detach().exp().sum()
    assert 0.02 < float(total) <= 1


def images(n: int = 64) -> pf.data.Images:
    generator = torch.Generator().manual_seed(3)
    return pf.data.Images.of(torch.randint(0, 4, (n, 4, 4), generator=generator), [0, 1] * (n // 2), levels=4)


def test_the_diffusion_does_not_reach_into_the_autoencoder():
    torch.manual_seed(1)
    model = pf.latent.latent_diffusion(images(), latents=2, width=8)
    for parameter in model.diffusion.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    batch = images().take(torch.arange(64))
    model.objective(model, batch, RowGenerator(0, 64)).value.backward()
    assert all(p.grad is not None and p.grad.any() for p in model.diffusion.network.leave.parameters())
    first, _ = first_stage(model.autoencoder, batch.x, RowGenerator(0, 64))
    names, parameters = zip(*model.autoencoder.named_parameters())
    for name, p, alone in zip(names, parameters, torch.autograd.grad(first.value, parameters)):
        torch.testing.assert_close(p.grad, alone, msg=name)


def test_loc_and_scale_rest_at_the_moments_of_the_latents():
    torch.manual_seed(2)
    model = pf.latent.latent_diffusion(images(), latents=3, width=8)
    batch = images().take(torch.arange(64))
    _, z = first_stage(model.autoencoder, batch.x, RowGenerator(0, 64))
    z = z.detach().transpose(0, 1).flatten(1).numpy()
    for moved, is_still in ((0.0, True), (0.5, False)):
        with torch.no_grad():
            model.loc.copy_(torch.as_tensor(z.mean(1)) + moved)
            model.log_scale.copy_(torch.as_tensor(np.log(z.std(1))) + moved)
        model.zero_grad()
        model.objective(model, batch, RowGenerator(0, 64)).value.backward()
        slope = torch.cat([model.loc.grad, model.log_scale.grad]).abs()
        assert slope.max() < 1e-5 if is_still else slope.min() > 1e-2


def test_a_fitted_autoencoder_is_kept_and_its_latents_are_standardised():
    torch.manual_seed(3)
    data = pf.data.Table.of(
        torch.randn(400, 3, generator=torch.Generator().manual_seed(4))
        @ torch.tensor([[9.0, 0, 1], [0, 1, 1], [5, 5, 0.1]])
    )
    first = pf.latent.autoencoder(data, latents=2, width=16)
    pf.fit(first, data, steps=30, settings=pf.training.Settings(bar=False))
    model = pf.latent.latent_diffusion(data, autoencoder=first, width=16)
    u = model.standardise(first.encode(data.values)).detach()
    noise = first.posterior(first.units.to_model(data.values, None))[1].exp() / model.log_scale.exp()
    np.testing.assert_allclose(u.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(u.var(0, correction=0) + noise.square().mean(0).detach(), 1, rtol=1e-4)
    before = copy.deepcopy(model.state_dict())
    pf.fit(model, data, steps=5, settings=pf.training.Settings(bar=False))
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert all(name.startswith("diffusion.network.") for name in moved)
