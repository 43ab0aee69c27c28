"""Every metric against another's oracle: scipy, enumeration, quadrature, Brenier's theorem, known nulls."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate, linalg, stats
from sklearn.neighbors import NearestNeighbors

from pushforward import metrics

ALPHA = 1e-5
Z = stats.norm.isf(ALPHA / 2)


def mean_is(values, expected):
    """The mean of independent replicates equals `expected` by a two-sided t-test with a false alarm in 100,000."""
    assert stats.ttest_1samp(np.asarray(values, dtype=float), expected).pvalue > ALPHA


# --- likelihood ---
def test_a_uniform_8_bit_source_scores_8_bits_per_dim():
    log_prob = torch.as_tensor(stats.randint(0, 256).logpmf(np.random.default_rng(0).integers(0, 256, (50, 12))).sum(1))
    score = metrics.bits_per_dim(log_prob, 12)
    assert score.value == pytest.approx(8, abs=1e-12)
    assert score.std_error == pytest.approx(0, abs=1e-12)


def test_nll_is_the_entropy_within_its_standard_error():
    x = stats.norm(1, 3).rvs(4000, random_state=1)
    log_prob = stats.norm(1, 3).logpdf(x)
    score = metrics.nll(torch.as_tensor(log_prob))
    assert abs(score.value - stats.norm(1, 3).entropy()) < Z * score.std_error
    assert score.std_error == pytest.approx(stats.sem(log_prob), rel=1e-9)


# --- Wasserstein ---
def whitened(rows, width, seed=0):
    """Rows whose mean is exactly 0 and covariance (divided by n) exactly the identity."""
    x = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = x - x.mean(0)
    return x @ torch.linalg.inv(torch.linalg.cholesky(x.mT @ x / rows)).mT


@pytest.mark.parametrize("width", [1, 2, 5])
def test_w2_of_a_gaussian_and_its_image_is_the_closed_form(width):
    # Brenier: x -> A x + b with A symmetric positive is the optimal map, between these finite sets too.
    x = whitened(150, width)
    root = torch.randn(width, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    a, b = root @ root.mT / width + 0.1 * torch.eye(width, dtype=torch.float64), torch.arange(1.0, width + 1).double()
    closed = float(b.square().sum() + (a - torch.eye(width)).square().sum())
    assert metrics.wasserstein(x, x @ a + b) ** 2 == pytest.approx(closed, rel=1e-9)
    assert metrics.frechet_gaussian(torch.zeros(width), torch.eye(width), b.float(), (a @ a).float()) == pytest.approx(
        closed, rel=1e-4
    )


@pytest.mark.parametrize("order", [1, 2, 3])
def test_wasserstein_is_the_best_of_all_pairings(order):
    x, y = np.random.default_rng(order).normal(size=(2, 6, 3))
    cost = np.linalg.norm(x[:, None] - y[None], axis=-1) ** order
    best = min(np.mean([cost[i, j] for i, j in enumerate(pairing)]) for pairing in itertools.permutations(range(6)))
    assert metrics.wasserstein(torch.as_tensor(x), torch.as_tensor(y), order=order) == pytest.approx(
        best ** (1 / order)
    )


@pytest.mark.parametrize("sizes", [(40, 40), (7, 12), (30, 1)])
def test_one_dimensional_wasserstein_is_scipys(sizes):
    x, y = (np.random.default_rng(i).normal(i, 1 + i, size) for i, size in enumerate(sizes))
    ours = metrics.wasserstein(torch.as_tensor(x), torch.as_tensor(y), order=1)
    assert ours == pytest.approx(stats.wasserstein_distance(x, y), rel=1e-9)


def test_the_floor_is_what_two_fresh_samples_score():
    draw = np.random.default_rng(3)
    fresh = [metrics.wasserstein(*torch.as_tensor(draw.normal(size=(2, 100, 2)))) for _ in range(40)]
    floors = [
        metrics.wasserstein_floor(torch.as_tensor(draw.normal(size=(200, 2))), repeats=1).value for _ in range(40)
    ]
    assert stats.ttest_ind(fresh, floors).pvalue > ALPHA


# --- maximum mean discrepancy ---
@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_mmd_is_unbiased_for_the_closed_form_of_two_gaussians(shift):
    width, h = 3, 1.3
    same = (h**2 / (h**2 + 2)) ** (width / 2)  # E k(x, x') = E k of a N(0, 2 I) difference
    expected = 2 * same * (1 - math.exp(-width * shift**2 / (2 * (h**2 + 2))))
    draw = np.random.default_rng(0)
    sets = (torch.as_tensor(draw.normal(size=(2, 15, width))) for _ in range(400))
    mean_is([metrics.mmd(x, y + shift, bandwidth=h).squared for x, y in sets], expected)


def test_mmd_has_mean_zero_and_a_valid_p_value_under_the_null_with_the_median_bandwidth():
    draw = np.random.default_rng(1)
    pairs = [
        (torch.as_tensor(draw.exponential(size=(12, 2))), torch.as_tensor(draw.exponential(size=(9, 2))))
        for _ in range(300)
    ]
    found = [metrics.mmd(x, y, permutations=3, seed=i) for i, (x, y) in enumerate(pairs)]
    mean_is([f.squared for f in found], 0)
    for level in (0.25, 0.5):  # of the values 1/4, 2/4, 3/4, 1, each as likely as another
        rejected = sum(f.p_value <= level + 1e-9 for f in found)
        assert stats.binomtest(rejected, len(found), level).pvalue > ALPHA


# --- Frechet ---
@pytest.mark.parametrize("rank", [2, 4])
def test_frechet_is_the_formula_with_scipys_matrix_root(rank):
    draw = np.random.default_rng(rank)
    r1, r2 = draw.normal(size=(4, 4)), draw.normal(size=(4, rank))
    s1, s2, m1, m2 = r1 @ r1.T, r2 @ r2.T, draw.normal(size=4), draw.normal(size=4)
    expected = np.sum((m1 - m2) ** 2) + np.trace(s1 + s2 - 2 * np.real(linalg.sqrtm(s1 @ s2)))
    ours = metrics.frechet_gaussian(*(torch.as_tensor(v) for v in (m1, s1, m2, s2)))
    assert ours == pytest.approx(expected, rel=1e-5)
    assert metrics.frechet_gaussian(*(torch.as_tensor(v) for v in (m2, s2, m1, s1))) == pytest.approx(
        expected, rel=1e-5
    )


def test_frechet_of_features_reads_their_moments():
    x, y = np.random.default_rng(5).normal(size=(2, 60, 3)) * [[[1.0]], [[2.0]]]
    expected = metrics.frechet_gaussian(*(torch.as_tensor(v) for s in (x, y) for v in (s.mean(0), np.cov(s.T))))
    assert metrics.frechet(torch.as_tensor(x), torch.as_tensor(y)) == pytest.approx(expected, rel=1e-9)


# --- classifier two-sample test ---
@pytest.mark.parametrize(("classifier", "replicates"), [("logistic", 30), ("neighbours", 30), ("forest", 4)])
def test_c2st_is_one_half_under_the_null(classifier, replicates):
    draw = np.random.default_rng(0)
    found = [
        metrics.c2st(*torch.as_tensor(draw.normal(size=(2, 60, 2))), classifier=classifier, seed=i).value
        for i in range(replicates)
    ]
    # Folds share rows, which widens the spread: the t-test takes it from the replicates themselves.
    mean_is(found, 0.5)


def test_c2st_reaches_the_bayes_accuracy_and_never_passes_it():
    draw, shift = np.random.default_rng(2), 1.5
    score = metrics.c2st(
        torch.as_tensor(draw.normal(size=(2000, 2))),
        torch.as_tensor(draw.normal([shift, 0], size=(2000, 2))),
        classifier="logistic",
    )
    best = stats.norm.cdf(shift / 2)
    assert best - 0.01 - Z * score.std_error < score.value < best + Z * score.std_error


# --- precision and recall ---
def test_precision_and_recall_by_scikit_learns_neighbours():
    draw, k = np.random.default_rng(0), 3
    real, made = draw.normal(size=(80, 2)), draw.normal(1, 0.7, size=(80, 2))

    def inside(points, centres):
        radius = NearestNeighbors(n_neighbors=k + 1).fit(centres).kneighbors(centres)[0][:, -1]
        return np.mean([any(math.dist(p, c) <= r for c, r in zip(centres, radius, strict=True)) for p in points])

    found = metrics.precision_recall(torch.as_tensor(real), torch.as_tensor(made), neighbours=k)
    assert found.precision == pytest.approx(inside(made, real))
    assert found.recall == pytest.approx(inside(real, made))
    assert found.precision != found.recall


def test_a_dropped_mode_costs_recall_and_not_precision():
    draw = np.random.default_rng(1)
    two_modes = np.concatenate([draw.normal(size=(200, 2)), draw.normal(50, size=(200, 2))])
    found = metrics.precision_recall(torch.as_tensor(two_modes), torch.as_tensor(draw.normal(size=(400, 2))))
    assert found.precision > 0.8
    assert 0.4 < found.recall < 0.6


# --- calibration and CRPS ---
@pytest.mark.parametrize("stretch", [1.0, 1.5, 0.6])
def test_coverage_is_the_gaussian_probability(stretch):
    y = torch.as_tensor(np.random.default_rng(0).normal(2, 3, size=3000))
    found = metrics.calibration(torch.full_like(y, 2.0), torch.full_like(y, 3 * stretch), y)
    for level, coverage, std_error in zip(
        found.levels.tolist(), found.coverage.tolist(), found.std_error.tolist(), strict=True
    ):
        expected = 2 * stats.norm.cdf(stretch * stats.norm.ppf((1 + level) / 2)) - 1
        assert stats.binomtest(round(coverage * 3000), 3000, expected).pvalue > ALPHA / 10
        assert std_error == pytest.approx(math.sqrt(coverage * (1 - coverage) / 3000), rel=0.01)


@pytest.mark.parametrize(("mean", "std", "y"), [(0, 1, 0), (1, 2, -3), (-2, 0.3, -1.9), (0, 1, 5)])
def test_crps_is_the_integral(mean, std, y):
    below = integrate.quad(lambda x: stats.norm.cdf(x, mean, std) ** 2, -np.inf, y)[0]
    above = integrate.quad(lambda x: stats.norm.sf(x, mean, std) ** 2, y, np.inf)[0]
    ours = metrics.crps(*(torch.tensor(float(v), dtype=torch.float64) for v in (mean, std, y)))
    assert float(ours) == pytest.approx(below + above, rel=1e-6)


def test_crps_of_draws_is_the_integral_of_their_step_function():
    draws, y = np.random.default_rng(0).normal(size=9), 0.4
    edges = np.sort(np.append(draws, y))
    steps = [(np.mean(draws <= a) - (a >= y)) ** 2 * (b - a) for a, b in itertools.pairwise(edges)]
    ours = metrics.crps_from_samples(torch.as_tensor(draws), torch.tensor(y, dtype=torch.float64), fair=False)
    assert float(ours) == pytest.approx(sum(steps), rel=1e-9)


def test_fair_crps_of_draws_is_unbiased():
    draws = torch.as_tensor(np.random.default_rng(0).normal(size=(4, 3000)))
    ours = metrics.crps_from_samples(draws, torch.full((3000,), 0.7, dtype=torch.float64))
    expected = integrate.quad(lambda x: (stats.norm.cdf(x) - (x >= 0.7)) ** 2, -10, 10, points=[0.7])[0]
    mean_is(ours.numpy(), expected)


# --- nearest training neighbours ---
def test_neighbours_are_scikit_learns():
    draw = np.random.default_rng(0)
    samples, train = draw.normal(size=(30, 4)), draw.normal(size=(70, 4))
    distance, index = NearestNeighbors(n_neighbors=3).fit(train).kneighbors(samples)
    found = metrics.nearest_neighbours(torch.as_tensor(samples), torch.as_tensor(train), neighbours=3)
    np.testing.assert_array_equal(found.index.numpy(), index)
    np.testing.assert_allclose(found.distance.numpy(), distance)


def test_the_memorisation_test_is_valid_for_a_perfect_model_and_rejects_a_copier():
    draw = np.random.default_rng(0)
    sets = [[torch.as_tensor(draw.normal(size=(n, 2))) for n in (40, 60, 50)] for _ in range(150)]
    found = [metrics.nearest_neighbours(samples, train, held_out) for samples, train, held_out in sets]
    assert stats.kstest([f.p_value for f in found], "uniform").pvalue > ALPHA
    mean_is(np.log([f.ratio for f in found]), 0)
    _, train, held_out = sets[0]
    copied = metrics.nearest_neighbours(train[:40] + 0.01, train, held_out)
    assert copied.p_value < 1e-6
    assert copied.ratio < 0.5
