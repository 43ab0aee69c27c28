"""G1: the bound of a chain of steps is a bound, closes on the truth, and its terms are divergences of Gaussians.

Oracles: closed-form densities and kl_divergence of `torch.distributions`, scipy's normal masses, quadrature.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.distributions import Normal, kl_divergence

from pushforward.core.data import Batch
from pushforward.core.errors import ConfigError
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.models.diffusion import Diffusion, ddpm, variational_bound
from pushforward.models.diffusion.samplers import Ancestral
from pushforward.models.diffusion.variational_bound import Chain
from pushforward.parts.paths import VE, VP, Cosine, DiscreteVP
from tests.exact_mixture import exact_model, standard_mixture

STD = 0.6


@register
class ChainNetwork(nn.Module):
    """The exact noise for data N(0, STD^2), and with `share` the share of log beta that makes a step's variance exact."""

    def __init__(self, path, share: bool):
        super().__init__()
        self.path, self.share = path, share
        self.marker = nn.Buffer(torch.zeros((), dtype=torch.float64))

    def forward(self, y, t, condition):
        alpha, sigma = self.path.alpha(t.double()), self.path.sigma(t.double())
        r = torch.hypot(alpha, sigma)
        noise = ((sigma / r / ((alpha / r * STD) ** 2 + (sigma / r) ** 2))[:, None] * y.double()).to(y.dtype)
        if not self.share:
            return noise
        earlier = (t.double() - 1 / self.path.steps).clamp(min=1e-3)  # the first step has none, and asks for none
        cos_t, cos_s = alpha, self.path.alpha(earlier)
        sin_t, sin_s = sigma, self.path.sigma(earlier)
        beta = 1 - (cos_t / cos_s) ** 2
        low, high = (beta * sin_s**2 / sin_t**2).log(), beta.log()
        # Var(x_s | x_t): jointly Gaussian, with covariances written down by hand.
        var_s, var_t = cos_s**2 * STD**2 + sin_s**2, cos_t**2 * STD**2 + sin_t**2
        true = var_s - (cos_t / cos_s * var_s) ** 2 / var_t
        share = ((true.log() - low) / (high - low)).clamp(1e-6, 1 - 1e-6)
        return torch.cat([noise, torch.logit(share).to(y.dtype)[:, None].expand_as(noise)], 1)


def gaussian_model(path, share: bool = False, **arguments) -> Diffusion:
    return Diffusion(ChainNetwork(path, share), path, 2, "noise", learned_variance=share, **arguments).double()


def log_density(x):
    return Normal(0, STD).log_prob(x).sum(-1)


@pytest.mark.parametrize("path", [VP(), Cosine(), VE()], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("variance", ["posterior", "beta"])
def test_the_bound_of_the_exact_model_is_below_the_density_and_closes_on_it(path, variance):
    """Whatever the data: the mean over many draws of the bound at one point is below the closed-form density there."""
    model, gaps, errors = exact_model(path), [], []
    x = standard_mixture().sample(3000, seed=3)
    truth = standard_mixture().log_prob(x)
    for steps in (10, 1000):
        bound = variational_bound(
            model, x, steps=steps, terms=9, variance=variance, generator=torch.Generator().manual_seed(0)
        )
        gap = truth - bound.value
        gaps.append(float(gap.mean()))
        errors.append(float(gap.std()) / math.sqrt(len(gap)))
        assert gaps[-1] > -4.5 * errors[-1]
    if (
        variance == "beta"
    ):  # right for the least noise, where the posterior's stays too small however many steps there are
        assert gaps[0] > 4.5 * errors[0]
        assert gaps[1] < 4.5 * errors[1]


def test_terms_are_the_divergences_of_torch_distributions():
    """The same draws: posterior and model step as normal distributions, by the formulas of Ho et al. for x_t."""
    path, steps = DiscreteVP("linear", 50), 50
    model = gaussian_model(path)
    x = STD * torch.randn(6, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    chain = Chain(model, steps, "beta")
    assert chain.times == tuple(i / steps for i in range(steps, 0, -1))
    betas = (1e-4 + (0.02 - 1e-4) * torch.arange(steps, dtype=torch.float64) / (steps - 1)) * (1000 / steps)
    abar = torch.cat([torch.ones(1, dtype=torch.float64), (1 - betas).cumprod(0)])
    for place in (0, 7, steps - 2):
        i = steps - place
        generator = RowGenerator(9, 6)
        found = chain._term(x, torch.full((6,), place), None, generator)
        x_i = abar[i].sqrt() * x + (1 - abar[i]).sqrt() * RowGenerator(9, 6).normal(2, dtype=torch.float64)
        mean = abar[i - 1].sqrt() * betas[i - 1] / (1 - abar[i]) * x
        mean = mean + (1 - betas[i - 1]).sqrt() * (1 - abar[i - 1]) / (1 - abar[i]) * x_i
        posterior = Normal(mean, ((1 - abar[i - 1]) / (1 - abar[i]) * betas[i - 1]).sqrt())
        noise = (1 - abar[i]).sqrt() * x_i / (abar[i] * STD**2 + 1 - abar[i])
        step = Normal(
            (x_i - betas[i - 1] / (1 - abar[i]).sqrt() * noise) / (1 - betas[i - 1]).sqrt(), betas[i - 1].sqrt()
        )
        torch.testing.assert_close(found, kl_divergence(posterior, step).sum(1), rtol=1e-8, atol=1e-10)
    whole = variational_bound(model, x, variance="beta")
    prior = kl_divergence(Normal(abar[-1].sqrt() * x, (1 - abar[-1]).sqrt()), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(whole.prior, prior, rtol=1e-8, atol=1e-12)
    assert whole.std_error.tolist() == [0.0] * 6
    assert whole.terms.shape == (steps - 1,)


def test_a_random_part_of_the_terms_has_the_mean_of_all_and_says_how_far_off_it_may_be():
    model = gaussian_model(DiscreteVP("linear", 50))
    x = STD * torch.randn(1, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64).expand(3000, 2)
    whole = variational_bound(model, x, generator=torch.Generator().manual_seed(2)).value
    part = variational_bound(model, x, terms=6, generator=torch.Generator().manual_seed(3))
    spread = math.hypot(float(part.value.std()), float(whole.std())) / math.sqrt(3000)
    assert abs(float(part.value.mean() - whole.mean())) < 4.5 * spread
    assert float(part.std_error.square().mean().sqrt()) > 0.9 * float(part.value.std())


def test_learned_variances_make_it_tight_and_the_right_ones_are_the_best():
    """For Gaussian data the reverse steps are Gaussian: with their variances only the discrete first step is left over."""
    path = DiscreteVP("linear", 50)
    x = STD * torch.randn(4000, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    gaps = {}
    for name, model, variance in (
        ("learned", gaussian_model(path, share=True), "posterior"),
        ("posterior", gaussian_model(path), "posterior"),
        ("beta", gaussian_model(path), "beta"),
    ):
        bound = variational_bound(model, x, variance=variance, generator=torch.Generator().manual_seed(5))
        gap = log_density(x) - bound.value
        gaps[name] = float(gap.mean()), float(gap.std()) / math.sqrt(len(gap))
    assert -4.5 * gaps["learned"][1] < gaps["learned"][0] < 0.05
    assert gaps["learned"][0] < 0.5 * min(gaps["posterior"][0], gaps["beta"][0])


def test_sampling_with_the_right_variances_gives_the_right_spread():
    """Ancestral's chain of 25 steps: the posterior's variance is too small for so few, the learned one is not."""
    path = DiscreteVP("linear", 25)
    n = 40_000
    stds = {}
    for share in (False, True):
        model = gaussian_model(path, share=share)
        draws = model.sample(n, sampler=Ancestral(25, "time"), generator=torch.Generator().manual_seed(6))
        stds[share] = float(draws.std())
    # The last step goes to the mean of the data, whose spread is that of x_1 times the regression on it.
    alpha, sigma = (float(f(torch.tensor(1 / 25, dtype=torch.float64))) for f in (path.alpha, path.sigma))
    last = alpha * STD**2 / math.sqrt(alpha**2 * STD**2 + sigma**2)
    assert stds[True] == pytest.approx(last, abs=5 * last / math.sqrt(4 * n))
    assert stds[False] < 0.98 * last


def test_the_hybrid_loss_is_least_at_the_right_share_and_does_not_move_the_mean():
    path = DiscreteVP("linear", 50)
    model = gaussian_model(path, share=True)
    x = Batch(STD * torch.randn(20_000, 2, generator=torch.Generator().manual_seed(7), dtype=torch.float64))
    right = model.network.forward
    losses = {}
    for shift in (-0.7, 0.0, 0.7):

        def shifted(y, t, condition, shift=shift):
            out = right(y, (t * 50).round() / 50, condition)  # the exact share is that of a step of the grid
            return torch.cat([out[:, :2], out[:, 2:] + shift], 1)

        model.network.forward = shifted
        losses[shift] = float(model.objective(model, x, RowGenerator(8, 20_000)).value.detach())
    assert losses[0.0] < min(losses[-0.7], losses[0.7])
    fresh = ddpm(event_shape=2, width=16, schedule="linear", learned_variance=True)
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.normal_(std=0.3)
    simple = Diffusion(fresh.network, fresh.path, 2, "noise", learned_variance=True)
    head = fresh.network.leave[-1].weight
    batch, seeds = Batch(torch.randn(64, 2, generator=torch.Generator().manual_seed(9))), RowGenerator(1, 64)
    (whole,) = torch.autograd.grad(fresh.objective(fresh, batch, seeds.slice(0, 64)).value, head)
    object.__setattr__(simple, "prediction_and_share", lambda y, t, c: (fresh.network(y, t, c).chunk(2, 1)[0], None))
    (alone,) = torch.autograd.grad(simple.objective(simple, batch, seeds.slice(0, 64)).value, head)
    torch.testing.assert_close(whole[:2], alone[:2])
    assert whole[2:].abs().max() > 0


def test_pixels_get_the_mass_of_their_cells():
    """All the mass of all levels is 1, and a level's mass is a difference of scipy's distribution function."""
    model = Diffusion(ChainNetwork(VP(), False), VP(), 2, "noise", levels=5).double()
    chain = Chain(model, 100, "posterior")
    grid = torch.cartesian_prod(torch.arange(5), torch.arange(5)).double()
    at = torch.zeros(25, 2, dtype=torch.float64) + 1.7
    chain._predict = lambda *_: (
        torch.tensor([[-0.9, 0.31]], dtype=torch.float64).expand(25, 2),
        None,
    )  # one x_1 for all
    cost = chain._reconstruction(grid, model.to_model_units(grid, None), None, RowGenerator(0, 25))
    assert float((-cost).exp().sum()) == pytest.approx(1, abs=1e-12)
    edges = np.array([-np.inf, -0.6, -0.2, 0.2, 0.6, np.inf])
    masses = [np.diff(stats.norm(mean, float(chain.sin[-1])).cdf(edges)) for mean in (-0.9, 0.31)]
    likely = np.outer(*masses).ravel()
    np.testing.assert_allclose((-cost).exp()[likely > 1e-12], likely[likely > 1e-12], rtol=1e-6)
    assert cost.isfinite().all()
    assert at.shape == grid.shape


def test_a_bound_on_whole_numbers_is_below_their_probability():
    """A perfect model of one pixel of four levels, by enumeration: the bound of every level is below its log probability."""
    weights = torch.tensor([0.1, 0.4, 0.2, 0.3], dtype=torch.float64)
    places = torch.tensor([-0.75, -0.25, 0.25, 0.75], dtype=torch.float64)

    @register
    class Levels(nn.Module):
        def __init__(self):
            super().__init__()
            self.marker = nn.Buffer(torch.zeros((), dtype=torch.float64))

        def forward(self, y, t, condition):
            alpha, sigma = VP().alpha(t.double())[:, None], VP().sigma(t.double())[:, None]
            share = (weights.log() - 0.5 * ((y.double() - alpha * places) / sigma).square()).softmax(1)
            return (share @ places)[:, None].to(y.dtype)

    model = Diffusion(Levels(), VP(), 1, "data", levels=4).double()
    x = torch.arange(4.0, dtype=torch.float64)[:, None].repeat_interleave(2000, 0)
    bound = variational_bound(model, x, steps=200, terms=20, generator=torch.Generator().manual_seed(1))
    mean, error = bound.value.reshape(4, -1).mean(1), bound.value.reshape(4, -1).std(1) / math.sqrt(2000)
    gap = weights.log() - mean
    assert (gap > -4.5 * error).all()
    assert float((weights * gap).sum()) < 0.15
    torch.testing.assert_close(bound.bits_per_dim, -bound.value / math.log(2))


def test_one_seed_one_bound_in_any_batch():
    model = exact_model(Cosine())
    x = standard_mixture().sample(7, seed=1)
    whole = variational_bound(model, x, steps=20, terms=3, generator=torch.Generator().manual_seed(0))
    part = variational_bound(model, x[:3], steps=20, terms=3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(part.value, whole.value[:3])


def test_impossible_chains_are_refused():
    model = exact_model(Cosine())
    for arguments in ({"steps": 1}, {"steps": 10, "terms": 10}, {"terms": 0}):
        with pytest.raises(ConfigError, match="at least 2 steps"):
            variational_bound(model, torch.zeros(1, 2, dtype=torch.float64), **arguments)
    with pytest.raises(ConfigError, match="at most the 50 steps"):
        variational_bound(gaussian_model(DiscreteVP("linear", 50)), torch.zeros(1, 2, dtype=torch.float64), steps=51)
