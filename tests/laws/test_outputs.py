"""Outputs of autoregressive models: masses sum to one, agree with scipy, and draws follow them.

Oracles: enumeration of all levels, scipy's logistic, normal and multinomial laws, chi-square and Kolmogorov-Smirnov tests.
"""

import numpy as np
import pytest
import torch
from scipy import special, stats

from pushforward.parts.distributions.outputs import (
    Bernoulli,
    Categorical,
    ColourLogisticMixture,
    LogisticMixture,
    NormalMixture,
)

BUDGET = 1e-5
LEVELS = [Bernoulli(), Categorical(7), LogisticMixture(3, levels=9), ColourLogisticMixture(2, levels=4)]
N = 20_000


def parameters(size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def support(output) -> torch.Tensor:
    levels = torch.arange(2.0 if isinstance(output, Bernoulli) else output.levels, dtype=torch.float64)
    return torch.cartesian_prod(*[levels] * 3) if output.element else levels


def uniforms(output, n: int = N) -> torch.Tensor:
    return torch.rand(n, output.uniforms, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("scale", [1.0, 8.0])
@pytest.mark.parametrize("output", LEVELS, ids=lambda o: type(o).__name__)
def test_masses_sum_to_one(output, scale):
    x = support(output)
    mass = output.log_prob(scale * parameters(output.size).expand(len(x), -1), x).exp()
    torch.testing.assert_close(mass.sum(), torch.tensor(1.0, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("output", LEVELS, ids=lambda o: type(o).__name__)
def test_draws_have_the_masses(output):
    x, a = support(output), parameters(output.size, 2)
    mass = output.log_prob(a.expand(len(x), -1), x).exp().numpy()
    drawn = output.sample(a.expand(N, -1), uniforms(output)).long().reshape(N, -1)
    base = torch.tensor([output.levels**i for i in (2, 1, 0)]) if output.element else torch.tensor([1])
    seen = np.bincount((drawn * base).sum(1).numpy(), minlength=len(x))
    often = mass * N > 5
    assert often.sum() >= 2
    seen, expected = (np.append(v[often], v[~often].sum()) for v in (seen, mass * N))
    keep = expected > 1
    assert stats.chisquare(seen[keep], expected[keep] * seen[keep].sum() / expected[keep].sum()).pvalue > BUDGET


def test_categorical_is_that_of_scipy():
    a, x = parameters(7), torch.arange(7.0, dtype=torch.float64)
    ours = Categorical(7).log_prob(a.expand(7, -1), x).numpy()
    np.testing.assert_allclose(ours, special.log_softmax(a.numpy()), rtol=1e-12)
    hot = stats.multinomial.logpmf(np.eye(7), 1, special.softmax(a.numpy()))
    np.testing.assert_allclose(ours, hot, rtol=1e-10)


def test_bernoulli_is_that_of_scipy():
    a, x = parameters(1)[:, None].expand(2, 1), torch.tensor([0.0, 1.0], dtype=torch.float64)
    np.testing.assert_allclose(
        Bernoulli().log_prob(a, x), stats.bernoulli.logpmf([0, 1], special.expit(a[0, 0].item()))
    )


def test_logistic_cells_are_those_of_scipy():
    output = LogisticMixture(3, levels=9)
    w, m, log_s = parameters(9).split(3)
    edges = np.concatenate([[-np.inf], (2 * np.arange(8) + 1) / 8 - 1, [np.inf]])
    cdf = stats.logistic(m.numpy(), log_s.exp().numpy()).cdf(edges[:, None]) @ special.softmax(w.numpy())
    ours = output.log_prob(parameters(9).expand(9, -1), torch.arange(9.0, dtype=torch.float64)).exp()
    np.testing.assert_allclose(ours, np.diff(cdf), rtol=1e-9)


def test_blue_moves_with_red_and_green():
    # One component: given r and g, blue is a logistic around m_b + b r + c g.
    output, a = ColourLogisticMixture(1, levels=256), parameters(10, 3)
    a[4:7] = -2.0
    r, g = 40.0, 200.0
    y = [2 * v / 255 - 1 for v in (r, g)]
    blue = stats.logistic(a[3].item() + np.tanh(a[8].item()) * y[0] + np.tanh(a[9].item()) * y[1], np.exp(-2))
    x = torch.tensor([[r, g, v] for v in range(256)], dtype=torch.float64)
    joint = output.log_prob(a.expand(256, -1), x)
    edges = np.concatenate([[-np.inf], (2 * np.arange(255) + 1) / 255 - 1, [np.inf]])
    np.testing.assert_allclose((joint - joint.logsumexp(0)).exp(), np.diff(blue.cdf(edges)), atol=1e-12)


def test_normal_mixture_is_that_of_scipy():
    output, a, x = NormalMixture(3), parameters(9), torch.linspace(-3, 3, 7, dtype=torch.float64)
    w, m, s = special.softmax(a[:3].numpy()), a[3:6].numpy(), a[6:].exp().numpy()
    np.testing.assert_allclose(output.log_prob(a.expand(7, -1), x).exp(), stats.norm(m, s).pdf(x[:, None].numpy()) @ w)
    drawn = output.sample(a.expand(N, -1), uniforms(output)).numpy()
    assert stats.kstest(drawn, lambda v: stats.norm(m, s).cdf(v[:, None]) @ w).pvalue > BUDGET


@pytest.mark.parametrize("output", LEVELS, ids=lambda o: type(o).__name__)
def test_off_the_levels_nothing_is_possible_and_gradients_are_numbers(output):
    for bad in (-1.0, 0.5, 300.0):
        a = parameters(output.size)[None].requires_grad_()
        value = output.log_prob(a, torch.full((1, *output.element), bad, dtype=torch.float64))
        assert value.item() == -float("inf")
    gap = torch.full((1, *output.element), torch.nan)
    assert output.log_prob(parameters(output.size)[None], gap).isnan().all()  # a missing value is not one outside
    x = support(output).float()
    a = (40 * parameters(output.size).float()).expand(len(x), -1).clone().requires_grad_()
    output.log_prob(a, x).sum().backward()
    assert torch.isfinite(a.grad).all()


def test_temperature_and_nucleus():
    a, u = torch.tensor([2.0, 1.0, 0.0, -1.0]).expand(N, 4), uniforms(Categorical(4))
    mass = special.softmax(np.array([2.0, 1.0, 0.0, -1.0]) / 0.5)
    seen = np.bincount(Categorical(4).sample(a, u, temperature=0.5).long(), minlength=4)
    assert stats.chisquare(seen, mass * N).pvalue > BUDGET
    # 0.644 + 0.237 is the first sum of at least 0.7.
    kept = np.bincount(Categorical(4).sample(a, u, top_p=0.7).long(), minlength=4)
    assert kept[2:].sum() == 0
    assert stats.chisquare(kept[:2], special.softmax([2.0, 1.0]) * N).pvalue > BUDGET
    assert set(Categorical(4).sample(a, u, top_p=1e-6).tolist()) == {0.0}
    assert set(Bernoulli().sample(torch.full((N, 1), -1.0), uniforms(Bernoulli()), top_p=0.7).tolist()) == {0.0}
    cold = NormalMixture().sample(torch.tensor([[1.0, 0.0]]).expand(N, 2), uniforms(NormalMixture()), temperature=0.5)
    assert stats.kstest(cold.numpy(), stats.norm(1, 0.5).cdf).pvalue > BUDGET
