"""B15: out of distribution is what is not typical, on either side; density alone calls the mode the most normal of all.

Oracles: the chi-square distribution of |x|^2 for a standard Gaussian in 500 dimensions; the beta-binomial law of ranks
among the reference, which holds for every continuous distribution. False-alarm budget 1e-5.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats

import pushforward as pf
from pushforward.core.errors import ConfigError, DataError
from pushforward.parts.distributions import Gaussian, Uniform

BUDGET, D = 1e-5, 500
anomaly_score = pf.flows.anomaly_score


def draws(n: int, seed: int) -> torch.Tensor:
    return torch.randn(n, D, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


MODEL = Gaussian.standard(D).double()
REFERENCE = draws(4000, 0)


def at_radius(squared: np.ndarray) -> torch.Tensor:
    """Points with these |x|^2, in random directions."""
    direction = draws(len(squared), 5)
    return direction / direction.norm(dim=1, keepdim=True) * torch.from_numpy(squared)[:, None].sqrt()


def test_the_mode_is_the_likeliest_point_and_the_least_typical():
    mode = torch.zeros(1, D, dtype=torch.float64)
    assert (MODEL.log_prob(mode) > MODEL.log_prob(REFERENCE)).all()
    found = anomaly_score(MODEL, mode, REFERENCE)
    assert found.p_value.item() == pytest.approx(2 / 4001)  # the least there is
    # The entropy of a Gaussian is d/2 log(2 pi e); the mode's surprise d/2 log(2 pi).
    assert abs(found.entropy - D / 2 * math.log(2 * math.pi * math.e)) < stats.norm.isf(BUDGET / 2) * found.std_error
    assert found.std_error == pytest.approx((D / 2) ** 0.5 / 4000**0.5, rel=0.1)  # var |x|^2 / 4 = d / 2
    assert abs(found.score.item() - D / 2) < stats.norm.isf(BUDGET / 2) * found.std_error
    assert found.surprise.item() < found.entropy  # too likely
    far = anomaly_score(MODEL, at_radius(np.array([2.0 * D])), REFERENCE)
    assert far.p_value.item() == pytest.approx(2 / 4001)
    assert far.surprise.item() > far.entropy


def test_p_values_are_the_two_tails_of_chi_square():
    tails = np.array([0.001, 0.01, 0.1, 0.3, 0.5, 0.8, 0.95, 0.999])
    p = anomaly_score(MODEL, at_radius(stats.chi2(D).ppf(tails)), REFERENCE).p_value.numpy()
    low, high = (stats.binom(4000, np.minimum(tails, 1 - tails)).ppf(q) for q in (BUDGET / 16, 1 - BUDGET / 16))
    assert (p >= np.minimum(1, 2 * (1 + low) / 4001)).all()
    assert (p <= np.minimum(1, 2 * (1 + high) / 4001)).all()


@pytest.mark.parametrize("level", [0.01, 0.05, 0.2])
def test_rows_in_distribution_are_flagged_at_the_nominal_rate(level):
    n, m = 4000, 4000
    flagged = int((anomaly_score(MODEL, draws(n, 1), REFERENCE).p_value <= level).sum())
    # Flagged below the r-th or above the (m + 1 - r)-th reference score, 2 (1 + (r - 1)) / (m + 1) <= level: mass Beta(2r, ..).
    r = math.floor(level * (m + 1) / 2)
    law = stats.betabinom(n, 2 * r, m + 1 - 2 * r)
    assert law.ppf(BUDGET / 2) <= flagged <= law.isf(BUDGET / 2)


def test_groups_find_what_single_rows_do_not():
    # A slightly wider Gaussian: |x|^2 has mean 1.1 d, 1.6 standard deviations off for a row and 11 for 50 of them.
    wide = draws(2000, 2) * 1.1**0.5
    single = anomaly_score(MODEL, wide, REFERENCE)
    grouped = anomaly_score(MODEL, wide, REFERENCE, group=50)
    assert (single.p_value <= 0.01).double().mean() < 0.5
    assert grouped.p_value.shape == (40,)
    assert (grouped.p_value <= 0.001).all()
    torch.testing.assert_close(grouped.surprise, single.surprise.reshape(40, 50).mean(1))
    usual = anomaly_score(MODEL, draws(20_000, 3), REFERENCE, group=50)
    flagged = int((usual.p_value <= 0.05).sum())
    # The bootstrap's centre is off by the reference's error, 1 / 9 of a group's: within a rate of 0.07 by far.
    assert flagged <= stats.binom(400, 0.07).isf(BUDGET)


def test_what_the_model_gives_no_density_is_strange_and_order_does_not_matter():
    box = Uniform(torch.zeros(2), torch.ones(2))
    sure = anomaly_score(Gaussian.standard(2), torch.tensor([[0.1, 0.2], [9.0, 9.0]]), torch.randn(99, 2))
    assert sure.p_value[1] == pytest.approx(2 / 100)
    out = anomaly_score(box, torch.tensor([[2.0, 0.5], [0.5, 0.5]]), torch.rand(99, 2))
    assert out.score[0] == math.inf
    assert out.p_value.tolist() == [pytest.approx(0.02), 1.0]
    x = draws(10, 4)
    forward, back = (anomaly_score(MODEL, part, REFERENCE).p_value for part in (x, x.flip(0)))
    assert torch.equal(forward, back.flip(0))
    table = pf.data.Table.of(torch.randn(50, 2))
    assert anomaly_score(Gaussian.standard(2), torch.zeros(3, 2), table).score.shape == (3,)


def test_what_it_refuses():
    plane = Gaussian.standard(2)
    with pytest.raises(ConfigError, match="a group of at least 1 that divides 5 rows"):
        anomaly_score(plane, torch.zeros(5, 2), torch.zeros(5, 2), group=2)
    with pytest.raises(DataError, match="at least 2 reference rows"):
        anomaly_score(plane, torch.zeros(5, 2), torch.zeros(1, 2))
    with pytest.raises(DataError, match=r"got NaN in 1 of 2 rows of x"):
        anomaly_score(plane, torch.tensor([[math.nan, 0.0], [0.0, 0.0]]), torch.zeros(5, 2))
    box = Uniform(torch.zeros(2), torch.ones(2))
    with pytest.raises(DataError, match="with 1 infinite"):
        anomaly_score(box, torch.zeros(1, 2), torch.tensor([[2.0, 2.0], [0.5, 0.5], [0.1, 0.1]]))
