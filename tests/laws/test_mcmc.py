"""A6, kernels with a correction: what they sample, how they move, and what their diagnostics say.

Oracles: scipy's distribution functions and transition densities, autodiff for the volume, the known order of the leapfrog, shares of
a mixture by hand, a conjugate posterior, and the effective sample size of an autoregression.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats

import pushforward as pf
from pushforward.core.errors import UserError
from pushforward.core.random import RowGenerator
from pushforward.models.inference import hamiltonian

BUDGET = 1e-5
CHAINS = 2000
DOUBLE = torch.float64


def logistic(x):
    """Heavy and lopsided: a logistic times a Gaussian shifted, as two independent coordinates with known laws."""
    first = torch.as_tensor(x[:, 0])
    return -first - 2 * torch.nn.functional.softplus(-first) - (x[:, 1] - 1).square() / (2 * 0.3**2)


KERNELS = {
    "MALA": lambda f: (pf.inference.MALA(f, 0.06), 300),
    "MALA, scaled": lambda f: (pf.inference.MALA(f, 0.5, inverse_mass=[3.0, 0.1]), 120),
    "HMC": lambda f: (pf.inference.HMC(f, 0.3, steps=5), 40),
    "HMC, dense": lambda f: (pf.inference.HMC(f, 0.6, 3, torch.tensor([[3.0, 0.2], [0.2, 0.1]], dtype=DOUBLE)), 40),
    "NUTS": lambda f: (pf.inference.NUTS(f, 0.35), 15),
    "NUTS, a step for each chain": lambda f: (pf.inference.NUTS(f, torch.linspace(0.2, 0.6, CHAINS, dtype=DOUBLE)), 15),
    "NUTS, cut short": lambda f: (pf.inference.NUTS(f, 0.3, inverse_mass=[3.0, 0.1], max_depth=2), 30),
    "tempering": lambda f: (pf.inference.ParallelTempering(pf.inference.HMC(f, 0.3, 4), [1.0, 3.0]), 30),
}


@pytest.mark.parametrize("name", KERNELS)
def test_many_chains_end_as_exact_draws(name):
    # From exact draws, so that any bias of the kernel shows and no burn-in does; the moves are many widths long.
    kernel, steps = KERNELS[name](logistic)
    rng = np.random.default_rng(0)
    start = np.stack(
        [stats.logistic.rvs(size=CHAINS, random_state=rng), stats.norm(1, 0.3).rvs(CHAINS, random_state=rng)], 1
    )
    moved = kernel.run(torch.from_numpy(start), steps, RowGenerator(1, CHAINS)).x.numpy()
    assert abs(np.corrcoef(start[:, 0], moved[:, 0])[0, 1]) < 0.3  # it has moved away from where it began
    for column, law in enumerate((stats.logistic, stats.norm(1, 0.3))):
        assert stats.kstest(moved[:, column], law.cdf).pvalue > BUDGET / (2 * len(KERNELS))


def test_mala_has_no_bias_where_langevin_has():
    eps, steps = 0.5, 60
    normal = pf.distributions.Gaussian(torch.zeros(1, dtype=DOUBLE), torch.ones(1, dtype=DOUBLE))
    start = torch.zeros(20_000, 1, dtype=DOUBLE)
    adjusted, plain = (
        kernel(normal, eps).run(start, steps, RowGenerator(2, len(start))).x[:, 0].numpy()
        for kernel in (pf.inference.MALA, pf.inference.Langevin)
    )
    assert stats.kstest(adjusted, stats.norm.cdf).pvalue > BUDGET
    assert stats.kstest(plain, stats.norm.cdf).pvalue < BUDGET


def test_a_mala_step_is_accepted_as_the_transition_densities_say():
    eps, n = 0.3, 500
    x = torch.linspace(-2, 2, n, dtype=DOUBLE)[:, None]
    kernel = pf.inference.MALA(lambda x: -(x**4).sum(1), eps)
    state, info = kernel.step(kernel.init(x), RowGenerator(3, n))
    moved = (state.x != x)[:, 0].numpy()
    a, b = x[moved, 0].numpy(), state.x[moved, 0].numpy()
    width = math.sqrt(2 * eps)
    ratio = (
        -(b**4)
        + a**4
        + stats.norm.logpdf(a, b - 4 * eps * b**3, width)
        - stats.norm.logpdf(b, a - 4 * eps * a**3, width)
    )
    assert moved.sum() > 100
    np.testing.assert_allclose(info.values["acceptance"].numpy()[moved], np.minimum(1, np.exp(ratio)), rtol=1e-9)


@pytest.mark.parametrize(
    "scale", [None, torch.tensor([0.5, 2.0, 1.0]), torch.tensor([[1.0, 0, 0], [0.4, 0.8, 0], [0.1, -0.3, 0.5]])]
)
def test_leapfrog_goes_back_and_keeps_volume(scale):
    scale = None if scale is None else scale.to(DOUBLE)
    evaluate = hamiltonian.evaluate_flat(lambda x: -(x**4).sum(1) - x.prod(1).sin(), torch.zeros(1, 3))

    def walk(point, h=0.15):
        x, q = point[:3][None], point[3:][None]
        _, g = evaluate(x)
        for _ in range(5):
            x, q, _, g = hamiltonian.leapfrog(evaluate, x, q, g, h, scale)
        return torch.cat([x[0], q[0]])

    point = torch.tensor([0.3, -0.5, 0.8, 1.0, -0.4, 0.2], dtype=DOUBLE)
    end, flip = walk(point), torch.tensor([1.0, 1, 1, -1, -1, -1], dtype=DOUBLE)
    torch.testing.assert_close(flip * walk(flip * end), point, rtol=0, atol=1e-12)
    # Autodiff stops at the gradient inside the step, so the Jacobian is by central differences.
    d = 1e-5 * torch.eye(6, dtype=DOUBLE)
    jacobian = torch.stack([(walk(point + e) - walk(point - e)) / 2e-5 for e in d], 1)
    assert abs(float(torch.linalg.det(jacobian)) - 1) < 1e-8


def test_the_energy_error_is_of_second_order():
    evaluate = hamiltonian.evaluate_flat(lambda x: -(x**4).sum(1) / 4 - x[:, 0] * x[:, 1], torch.zeros(1, 2))
    start, momentum = torch.tensor([[0.7, -0.4]], dtype=DOUBLE), torch.tensor([[0.5, 1.0]], dtype=DOUBLE)
    errors, sizes = [], [0.05, 0.025, 0.0125]
    for h in sizes:
        x, q = start, momentum
        value, g = evaluate(x)
        first = value - hamiltonian.kinetic(q)
        for _ in range(round(1.5 / h)):
            x, q, value, g = hamiltonian.leapfrog(evaluate, x, q, g, h, None)
        errors.append(float((value - hamiltonian.kinetic(q) - first).abs()))
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert abs(slope - 2) < 0.1


def test_tempering_crosses_a_barrier_that_hmc_does_not_and_finds_the_shares():
    share, n = 0.3, 600

    def far(x):
        return torch.logaddexp(
            -(x[:, 0] - 6).square() / 2 + math.log(share), -(x[:, 0] + 6).square() / 2 + math.log1p(-share)
        )

    start = torch.full((n, 1), 6.0, dtype=DOUBLE)
    inner = pf.inference.HMC(far, 0.5, steps=4)
    assert float((inner.run(start, 60, RowGenerator(4, n)).x < 0).double().mean()) < 0.01
    ladder = pf.inference.ParallelTempering(inner, [1.0, 3.0, 9.0, 27.0])
    right = int((ladder.run(start, 150, RowGenerator(4, n)).x > 0).sum())
    assert stats.binomtest(right, n, share).pvalue > BUDGET


@pytest.mark.parametrize("name", ["MALA", "HMC", "NUTS", "tempering"])
def test_a_chain_does_not_depend_on_the_others(name):
    kernel, _ = KERNELS[name](logistic)
    x = torch.linspace(-3, 3, 12, dtype=DOUBLE).view(6, 2)
    generator = RowGenerator(5, 6)
    together = kernel.run(x, 5, generator).x
    apart = kernel.run(x[2:4], 5, generator.slice(2, 4)).x
    torch.testing.assert_close(together[2:4], apart, rtol=1e-9, atol=1e-9)


def test_minibatches_find_a_conjugate_posterior():
    rows = torch.from_numpy(np.random.default_rng(1).normal(1.5, 1.0, 40))
    precision = 1 + len(rows)
    eps, n = 0.002, 2000
    kernel = pf.inference.StochasticGradientLangevin(
        lambda x: -x[:, 0].square() / 2, lambda x, rows: -(rows - x).square() / 2, rows, eps, batch_size=20, decay=0.0
    )
    x = kernel.run(torch.zeros(n, 1, dtype=DOUBLE), 120, RowGenerator(6, n)).x[:, 0].numpy()
    mean, contraction = float(rows.sum()) / precision, 1 - eps * precision
    # An autoregression whose noise is that of z and of the minibatch, 2 eps + eps^2 N^2 var(rows) / b.
    noise = 2 * eps + eps**2 * len(rows) ** 2 * float(rows.var(correction=0)) / 20
    variance = noise / (1 - contraction**2)
    assert abs(x.mean() - mean) < 5 * math.sqrt(variance / n)
    assert abs(x.var() / variance - 1) < 5 * math.sqrt(2 / n)


def test_warm_up_reaches_its_acceptance_and_sampling_is_exact():
    covariance = torch.tensor([[25.0, 4.0], [4.0, 1.0]], dtype=DOUBLE)
    target = pf.distributions.FullGaussian.of_covariance(torch.tensor([3.0, -1.0], dtype=DOUBLE), covariance)
    found = pf.inference.sample_chains(
        pf.inference.MALA(target, 1.0),
        100,
        chains=50,
        warm_up=250,
        mass="dense",
        generator=torch.Generator().manual_seed(0),
    )
    assert abs(float(found.acceptance.mean()) - 0.574) < 0.1
    assert torch.linalg.eigvals(torch.linalg.solve(covariance, found.kernel.inverse_mass)).abs().log().abs().max() < 0.3
    table = found.summary(["a", "b"])
    error = (table.column("mean") - target.sample(0).new_tensor([3.0, -1.0])) / table.column("MCSE")
    assert error.abs().max() < 4.8
    assert table.column("R-hat").max() < 1.05
    assert int(found.divergences.sum()) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "aim"),
    [(lambda f: pf.inference.HMC(f, 1.0, steps=5), 0.65), (lambda f: pf.inference.NUTS(f, 1.0, max_depth=4), 0.8)],
    ids=["HMC", "NUTS"],
)
def test_warm_up_of_hmc_and_nuts_finds_scales_of_1_to_30(make, aim):
    scales = torch.linspace(1, 30, 10, dtype=DOUBLE)
    start = torch.zeros(40, 10, dtype=DOUBLE)
    found = pf.inference.warm_up(
        make(lambda x: -(x / scales).square().sum(1) / 2), start, steps=150, generator=torch.Generator().manual_seed(1)
    )
    seen = []
    found.kernel.run(found.x, 20, RowGenerator(2, 40), lambda _, info: seen.append(info.values["acceptance"].mean()))
    assert abs(float(torch.stack(seen).mean()) - aim) < 0.15
    # The one window has 25 steps of 40 chains: a thousand draws, some of which resemble each other.
    assert (found.kernel.inverse_mass.sqrt() / scales).log().abs().max() < 0.3


def test_divergences_are_counted_and_nothing_is_lost():
    found = pf.inference.NUTS(lambda x: -(x**4).sum(1) * 1e4, 5.0)
    state, info = found.step(found.init(torch.ones(5, 2)), RowGenerator(7, 5))
    assert info.values["divergent"].all()
    assert torch.equal(state.x, torch.ones(5, 2))


def test_effective_sample_size_of_an_autoregression():
    # x' = a x + noise has autocorrelation a^k, so ESS = S (1 - a) / (1 + a); Geyer's estimate varies by about 10 % here.
    chains, n = 8, 4000
    for a in (-0.3, 0.0, 0.6, 0.9):
        noise = RowGenerator(8, chains).normal(n, dtype=DOUBLE)
        x = [noise[:, 0] / math.sqrt(1 - a * a)]
        for k in range(1, n):
            x.append(a * x[-1] + noise[:, k])
        draws = torch.stack(x, 1)
        known = chains * n * (1 - a) / (1 + a)
        assert abs(float(pf.inference.effective_sample_size(draws)) / known - 1) < 0.25
        assert abs(float(pf.inference.ess_bulk(draws)) / known - 1) < 0.25
        assert abs(float(pf.inference.monte_carlo_error(draws)) / math.sqrt(1 / (1 - a * a) / known) - 1) < 0.15


def test_r_hat_of_shifted_chains_is_that_of_the_formula():
    # Two chains of N(0, 1) and two of N(3, 1): ranks of a mixture whose normal scores numpy integrates.
    n = 20_000
    draws = RowGenerator(9, 4).normal(n, dtype=DOUBLE) + torch.tensor([0.0, 0.0, 3.0, 3.0], dtype=DOUBLE)[:, None]
    grid = np.linspace(-9, 12, 200_001)
    score = stats.norm.ppf(np.clip((stats.norm.cdf(grid) + stats.norm.cdf(grid - 3)) / 2, 1e-300, 1 - 1e-16))
    weight = stats.norm.pdf(grid) * (grid[1] - grid[0])
    mean, square = (score * weight).sum(), (score**2 * weight).sum()
    # Halves: 4 means of +-mean, whose sample variance is mean^2 * 8 / 7.
    known = math.sqrt(1 + mean**2 * 8 / 7 / (square - mean**2))
    assert abs(float(pf.inference.split_r_hat(draws)) - known) < 0.02


def test_chains_that_disagree_are_told_and_bad_starts_named():
    def far(x):
        return torch.logaddexp(-(x[:, 0] - 20).square() / 2, -(x[:, 0] + 20).square() / 2)

    with pytest.warns(UserWarning, match="ParallelTempering"):
        pf.inference.sample_chains(pf.inference.HMC(far, 0.5), 50, start=torch.tensor([[20.0], [-20.0]]), warm_up=0)
    with pytest.raises(UserError, match="1 of 2 chains"):
        pf.inference.NUTS(lambda x: x[:, 0].log(), 0.1).init(torch.tensor([[1.0], [-1.0]]))
