"""B13: dequantised scores are probabilities, bounded by the truth; learned noise brings them nearer; the logit keeps constants.

Oracles: a uniform 8-bit source, which has 8 bits a dimension; probabilities of whole numbers from scipy's normal
distribution function; the expected bound by Gauss-Legendre quadrature; chi-square of draws. False-alarm budget 1e-5.
"""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from pushforward.core.data import Batch
from pushforward.core.errors import ConfigError, DataError
from pushforward.core.random import RowGenerator
from pushforward.parts.bijections import Affine, AffineTransformer, Chain, Coupling, Sigmoid, logit
from pushforward.parts.distributions import Dequantised, Flow, Gaussian, Uniform, VariationalDequantised
from pushforward.parts.distributions.lattice import in_cell, noise_of_rows
from pushforward.parts.nn import MLP

BUDGET = 1e-5
SIGMAS = stats.norm.isf(BUDGET / 2)
MEAN, WIDTH = 0.7, 0.6
VALUES = np.arange(-2, 4)


def model(step: float = 1.0, samples: int = 16) -> Dequantised:
    """A lattice column N(0.7, 0.6^2) in units of the step, beside a continuous column N(0, 1)."""
    gaussian = Gaussian(torch.tensor([MEAN * step, 0.0]).double(), torch.tensor([WIDTH * step, 1.0]).double())
    return Dequantised(gaussian, torch.tensor([step, 0.0]).double(), samples)


def truth(k: np.ndarray) -> np.ndarray:
    """log P(k) of the lattice column."""
    return np.log(stats.norm(MEAN, WIDTH).cdf(k + 1) - stats.norm(MEAN, WIDTH).cdf(k))


def of_one_draw(k: np.ndarray) -> np.ndarray:
    """E_u log p(k + u), by quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    return stats.norm(MEAN, WIDTH).logpdf(k[:, None] + (nodes + 1) / 2) @ weights / 2


def rows_of(k: int, n: int, step: float = 1.0) -> Tensor:
    """One lattice value beside `n` different numbers, so that every row has noise of its own."""
    other = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return torch.stack([torch.full((n,), k * step, dtype=torch.float64), other], 1)


def lattice_part(scores: Tensor, x: Tensor) -> np.ndarray:
    """Scores without the continuous column's density."""
    return scores.numpy() - stats.norm.logpdf(x[:, 1].numpy())


@pytest.mark.parametrize(("top", "step"), [(256.0, 1.0), (1.0, 1 / 256)], ids=["0..255", "0..1"])
def test_a_uniform_8_bit_source_has_8_bits_a_dimension(top, step):
    pixels = torch.randint(0, 256, (50, 3, 4, 4), generator=torch.Generator().manual_seed(0)) * step
    flat = Dequantised(Uniform(torch.zeros(3, 4, 4), torch.full((3, 4, 4), top)), torch.full((3, 4, 4), step))
    bits = -flat.log_prob(pixels) / (48 * math.log(2))
    torch.testing.assert_close(bits, torch.full((50,), 8.0), rtol=0, atol=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.05])
def test_the_logit_keeps_every_constant(alpha):
    # Uniform noise seen through the logit is logistic, and back again: 8 bits, and what alpha spends outside [0, 256).
    wide, low = 256 / (1 - 2 * alpha), -alpha * 256 / (1 - 2 * alpha)
    x = torch.arange(256, dtype=torch.float64)[:, None] + 0.5
    z, log_det = Sigmoid(1, alpha, 0.0, 256.0).inverse(x)
    bits = -(torch.from_numpy(stats.logistic.logpdf(z[:, 0].numpy())) + log_det) / math.log(2)
    torch.testing.assert_close(
        bits, torch.full((256,), 8 - math.log2(1 - 2 * alpha), dtype=torch.float64), rtol=1e-10, atol=0
    )
    box = Flow(
        Uniform(torch.zeros(1).double(), torch.ones(1).double()),
        Affine(torch.tensor([low], dtype=torch.float64), torch.tensor([wide], dtype=torch.float64)),
    )
    torch.testing.assert_close(-box.log_prob(x) / math.log(2), bits, rtol=1e-10, atol=0)


@pytest.mark.parametrize("step", [1.0, 0.01])
@pytest.mark.parametrize("k", VALUES)
def test_scores_lie_between_the_bound_of_one_draw_and_the_truth(k, step):
    n, x = 2000, rows_of(int(k), 2000, step)
    single, several = (lattice_part(model(step, count).log_prob(x), x) for count in (1, 8))
    exact, lower = truth(np.array([k]))[0], of_one_draw(np.array([k]))[0]
    for scores in (single, several):
        # exp(score) is unbiased for the probability: the logarithm alone makes it a bound.
        ratio = np.exp(scores - exact)
        assert abs(ratio.mean() - 1) < SIGMAS * ratio.std() / n**0.5
    error = several.std() / n**0.5
    assert abs(single.mean() - lower) < SIGMAS * single.std() / n**0.5
    assert lower - SIGMAS * error < several.mean() < exact + SIGMAS * error
    # Eight draws close most of the gap: its leading term is the variance of the ratio over twice the draws.
    assert exact - several.mean() < 0.5 * (exact - lower) + SIGMAS * error


def test_the_objective_is_the_bound_of_one_draw():
    n, step = 20_000, 0.25
    distribution = model(step)
    for k in (0, 2):
        x = rows_of(k, n, step)
        loss = distribution.objective(distribution, Batch(x), RowGenerator(5, n)).value.item()
        expected = -of_one_draw(np.array([k]))[0] - stats.norm.logpdf(x[:, 1].numpy()).mean()
        spread = stats.norm(MEAN, WIDTH).logpdf(k + np.linspace(0, 1, 1001)).std()
        assert abs(loss - expected) < SIGMAS * spread / n**0.5
    other = distribution.objective(distribution, Batch(x), RowGenerator(6, n)).value.item()
    assert other != loss  # fresh noise for every seed


def test_a_row_has_one_score_in_every_batch():
    distribution = model()
    x = torch.cat([rows_of(0, 5), rows_of(1, 5)])
    scores, order = distribution.log_prob(x), torch.randperm(10, generator=torch.Generator().manual_seed(0))
    assert torch.equal(distribution.log_prob(x[order]), scores[order])
    assert torch.equal(distribution.log_prob(x), scores)
    assert torch.equal(distribution.log_prob(x[3]), scores[3])


def test_noise_of_rows_is_uniform_and_independent():
    x = torch.arange(6000, dtype=torch.float32).reshape(3000, 2)  # rows that differ by little
    u = noise_of_rows(x, 4).double().numpy()
    assert u.shape == (3000, 4, 2)
    assert u.min() >= 0
    assert u.max() < 1
    columns = u.reshape(3000, 8).T
    for column in columns:
        assert stats.kstest(column, stats.uniform.cdf).pvalue > BUDGET / 8
    for i in range(8):
        for j in range(i):
            assert stats.pearsonr(columns[i], columns[j]).pvalue > BUDGET / 28
        assert stats.pearsonr(columns[i][1:], columns[i][:-1]).pvalue > BUDGET / 8


@pytest.mark.parametrize("step", [1.0, 0.01, 0.25])
def test_draws_are_on_the_lattice_with_their_probabilities(step):
    n = 20_000
    x = model(step).sample(n, generator=torch.Generator().manual_seed(1)).numpy()
    k = np.rint(x[:, 0] / step)
    # The numbers themselves: 0.07 is the double that is read from "0.07".
    assert (x[:, 0] == np.array([round(v * step, 2) for v in k])).all()
    counts = np.array([(k == v).sum() for v in VALUES])
    assert counts.sum() >= n - 5
    expected = np.exp(truth(VALUES))
    assert stats.chisquare(counts[1:-1], expected[1:-1] / expected[1:-1].sum() * counts[1:-1].sum()).pvalue > BUDGET / 2
    assert stats.kstest(x[:, 1], stats.norm.cdf).pvalue > BUDGET / 2
    assert torch.isfinite(model(step).log_prob(torch.from_numpy(x[:100]))).all()  # what it draws, it can score


def test_what_it_refuses():
    with pytest.raises(DataError, match=r"expected multiples of 1 at place 0 of the event, got 1\.5 in row 1"):
        model().log_prob(torch.tensor([[1.0, 0.3], [1.5, 0.3]], dtype=torch.float64))
    for steps in ([0.0, 0.0], [1.0], [-1.0, 0.0], [math.nan, 1.0]):
        with pytest.raises(ConfigError, match="expected steps of shape"):
            Dequantised(Gaussian.standard(2), torch.tensor(steps))
    with pytest.raises(ConfigError, match="at least 1 sample"):
        Dequantised(Gaussian.standard(1), torch.ones(1), samples=0)
    with pytest.raises(TypeError, match="cannot be reparameterised"):
        model().rsample(3)


def test_integers_may_come_as_integers():
    byte = Dequantised(Gaussian.standard(2), torch.ones(2))
    whole = torch.tensor([[0, 1], [-1, 2]])
    assert torch.equal(byte.log_prob(whole), byte.log_prob(whole.float()))
    assert byte.log_prob_kind == "lower_bound"


def learned(step: float = 1.0, samples: int = 16, scale: float = 0.3) -> VariationalDequantised:
    """`model`, with noise that depends on the row: a scale and a shift of the logit, at random."""
    noise = Coupling([False], AffineTransformer(), MLP(0, 2, (8,), condition=2, zero_last=not scale)).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in noise.parameters() if scale else ():
            parameter.normal_(std=scale, generator=generator)
    steps = torch.tensor([step, 0.0]).double()
    return VariationalDequantised(model(step).model, noise, steps, samples, scale=torch.tensor([step, 1.0]))


def test_learned_noise_begins_uniform_with_8_bits_a_dimension():
    shape = (2, 3)
    noise = Chain(
        [Affine(torch.zeros(shape), torch.ones(shape)), Affine(torch.zeros(shape), torch.ones(shape))]
    )  # the identity
    flat = VariationalDequantised(Uniform(torch.zeros(shape), torch.full(shape, 256.0)), noise, torch.ones(shape))
    pixels = torch.randint(0, 256, (50, *shape), generator=torch.Generator().manual_seed(0))
    bits = -flat.log_prob(pixels) / (6 * math.log(2))
    torch.testing.assert_close(bits, torch.full((50,), 8.0), rtol=0, atol=1e-5)
    start, uniform = learned(scale=0.0), model()
    x = rows_of(1, 20)
    torch.testing.assert_close(start.log_prob(x), uniform.log_prob(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("k", VALUES)
def test_scores_with_any_noise_are_bounded_by_the_truth_and_reach_it(k):
    n, x = 2000, rows_of(int(k), 2000)
    exact, gaps = truth(np.array([k]))[0], []
    for samples in (1, 8, 64):
        scores = lattice_part(learned(samples=samples).log_prob(x).detach(), x)
        ratio = np.exp(scores - exact)
        assert abs(ratio.mean() - 1) < SIGMAS * ratio.std() / n**0.5
        error = scores.std() / n**0.5
        assert scores.mean() < exact + SIGMAS * error
        gaps.append((exact - scores.mean(), error))
    for (wide, first), (narrow, second) in pairwise(gaps):
        assert narrow < 0.4 * wide + SIGMAS * (first + second)


def test_the_density_of_the_cell_itself_closes_the_bound_with_one_draw():
    # Inside [0, 1) the model has the density of sigmoid(0.7 z - 1.2), z logistic, and so has the noise: P(0) = 1.
    warp = Affine(torch.tensor([-1.2], dtype=torch.float64), torch.tensor([0.7], dtype=torch.float64))
    unit = Uniform(torch.zeros(1).double(), torch.ones(1).double())
    inside = Flow(unit, Chain([logit(1), warp, Sigmoid(1)]))
    exact = VariationalDequantised(inside, warp, torch.ones(1).double(), samples=1)
    loss = exact.objective(exact, Batch(torch.zeros(200, 1).double()), RowGenerator(1, 200)).value
    assert abs(loss.item()) < 1e-12
    assert abs(exact.log_prob(torch.zeros(1).double()).item()) < 1e-12
    assert Dequantised(inside, torch.ones(1).double(), 1).objective(
        Dequantised(inside, torch.ones(1).double(), 1), Batch(torch.zeros(200, 1).double()), RowGenerator(1, 200)
    ).value.item() > 0.1  # fmt: skip


def test_fitted_noise_scores_above_uniform_noise_and_below_the_truth():
    drawn = model().sample(4000, generator=torch.Generator().manual_seed(2))
    fitted = learned(scale=0.0)
    optimiser = torch.optim.Adam(fitted.noise.parameters(), 2e-2)
    for step in range(200):
        loss = fitted.objective(fitted, Batch(drawn[(step * 200) % 4000 :][:200]), RowGenerator(step, 200)).value
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    fresh = model().sample(4000, generator=torch.Generator().manual_seed(3))
    k = fresh[:, 0].numpy()
    with torch.no_grad():
        y, log_weight = fitted.spread(fresh, RowGenerator(9, 4000).uniform(2, dtype=torch.float64))
        scores = lattice_part(fitted.model.log_prob(y) + log_weight, fresh)
    error = scores.std() / 4000**0.5
    # Both ends are expectations over the noise, so that only the error of ours counts.
    assert of_one_draw(k).mean() + SIGMAS * error < scores.mean() < truth(k).mean() + SIGMAS * error
    assert truth(k).mean() - scores.mean() < 0.3 * (truth(k).mean() - of_one_draw(k).mean())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shift", [-1e4, -50.0, 20.0, 1e4])
def test_noise_at_the_edge_of_a_cell_stays_in_it_with_finite_density(dtype, shift):
    x = torch.tensor([[0.0], [-3.0], [255.0], [1e6]], dtype=dtype)
    noise = Affine(torch.tensor([shift], dtype=dtype), torch.tensor([1.0], dtype=dtype))
    wide = Gaussian(torch.zeros(1, dtype=dtype), torch.full((1,), 1e5, dtype=dtype))
    edge = VariationalDequantised(wide, noise, torch.ones(1, dtype=dtype))
    y, log_weight = edge.spread(x, torch.tensor([[0.0], [0.5], [1 - 2**-24], [0.3]], dtype=dtype))
    assert (y.floor() == x).all()
    assert torch.isfinite(log_weight).all()
    assert torch.isfinite(edge.log_prob(x)).all()
    assert (in_cell(x, torch.ones_like(x), edge.steps) < x + 1).all()


def test_learned_noise_gives_a_row_one_score_in_every_batch_and_gradients_to_the_noise():
    distribution = learned()
    x = torch.cat([rows_of(0, 5), rows_of(1, 5)])
    scores, order = distribution.log_prob(x), torch.randperm(10, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(distribution.log_prob(x[order]), scores[order], rtol=1e-12, atol=1e-12)
    assert torch.equal(distribution.log_prob(x), scores)
    parameters = list(distribution.noise.parameters())

    def loss(*values: Tensor) -> Tensor:
        with torch.no_grad():
            for parameter, value in zip(parameters, values):
                parameter.copy_(value)
        return distribution.objective(distribution, Batch(x), RowGenerator(4, 10)).value

    start = [p.detach().clone() for p in parameters]
    ours = torch.autograd.grad(loss(*start), parameters)
    for i in range(len(parameters)):
        direction = torch.randn(start[i].shape, dtype=torch.float64, generator=torch.Generator().manual_seed(i))
        ends = [
            loss(*[p + (sign * 1e-5 * direction if i == j else 0) for j, p in enumerate(start)]) for sign in (1, -1)
        ]
        slope = (ends[0] - ends[1]).item() / 2e-5
        torch.testing.assert_close((ours[i] * direction).sum().item(), slope, rtol=1e-6, atol=1e-8)


def test_what_learned_noise_refuses():
    base, steps = Gaussian.standard(2), torch.ones(2)
    same = Affine(torch.zeros(2), torch.ones(2))
    with pytest.raises(ConfigError, match=r"expected noise for events of shape \(1,\), the places on the lattice"):
        VariationalDequantised(base, same, torch.tensor([1.0, 0.0]))
    other = Coupling([False, False], AffineTransformer(), MLP(0, 4, (8,), condition=3))
    with pytest.raises(ConfigError, match="expected noise with the row as its condition"):
        VariationalDequantised(base, other, steps)
    with pytest.raises(ConfigError, match="expected a positive scale"):
        VariationalDequantised(base, same, steps, scale=torch.zeros(2))
    with pytest.raises(ConfigError, match="broadcast to"):
        VariationalDequantised(base, same, steps, loc=torch.zeros(3))
    with pytest.raises(ConfigError, match="expected steps of shape"):
        VariationalDequantised(base, same, torch.zeros(2))
    with pytest.raises(DataError, match="expected multiples of 1"):
        VariationalDequantised(base, same, steps).log_prob(torch.tensor([[0.5, 1.0]]))
    with pytest.raises(TypeError, match="cannot be reparameterised"):
        VariationalDequantised(base, same, steps).rsample(3)
