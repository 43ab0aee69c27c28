"""What the metrics of two sets share: checks of their rows, seeds, sizes."""

from functools import partial

import pytest
import torch

from pushforward import UserError, metrics
from pushforward.core.errors import ConfigError, ShapeError
from pushforward.lab.metrics.c2st import build
from pushforward.lab.metrics.rows import nearest, subsample, two_sets

COMPARE = {
    "mmd": metrics.mmd,
    "wasserstein": metrics.wasserstein,
    "c2st": partial(metrics.c2st, classifier="neighbours"),
    "frechet": metrics.frechet,
    "precision_recall": metrics.precision_recall,
    "nearest_neighbours": metrics.nearest_neighbours,
}


def test_sets_of_different_events_are_refused():
    with pytest.raises(ShapeError, match="one shape"):
        two_sets(torch.randn(20, 2), torch.randn(20, 3))
    with pytest.raises(ShapeError, match="at least one row"):
        two_sets(torch.randn(20, 2), torch.randn(0, 2))


@pytest.mark.parametrize("compare", COMPARE.values(), ids=COMPARE)
def test_nan_is_refused(compare):
    with pytest.raises(UserError, match="1 of 20 rows"):
        compare(torch.randn(20, 2), torch.randn(20, 2).index_fill(0, torch.tensor(3), torch.nan))


@pytest.mark.parametrize("name", ["mmd", "wasserstein", "c2st", "precision_recall"])
def test_large_sets_are_thinned_the_same_way_for_the_same_seed(name):
    x, y = torch.randn(90, 2), torch.randn(70, 2) + 0.3
    first, again, other = (COMPARE[name](x, y, max_rows=40, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_images_and_bytes_are_rows_too():
    pixels = torch.randint(0, 255, (12, 1, 4, 4), dtype=torch.uint8)
    assert metrics.wasserstein(pixels, pixels.flip(0)) == 0
    assert metrics.nearest_neighbours(pixels, pixels).distance.max() == 0


def test_too_few_rows_are_refused():
    one = torch.randn(1, 2)
    for call in (metrics.mmd, metrics.frechet, metrics.precision_recall, metrics.c2st):
        with pytest.raises(UserError, match="expected"):
            call(one, one)
    with pytest.raises(UserError, match="twice"):
        metrics.wasserstein_floor(torch.randn(10, 2), rows=6)
    with pytest.raises(UserError, match="neighbours"):
        metrics.nearest_neighbours(one, one, neighbours=2)


def test_unknown_choices_are_refused():
    with pytest.raises(ConfigError, match="forest, neighbours, logistic"):
        build("tree", 0)
    with pytest.raises(UserError, match="order"):
        metrics.wasserstein(torch.randn(5, 2), torch.randn(5, 2), order=0)


def test_rows_that_all_coincide_have_no_discrepancy():
    same = metrics.mmd(torch.zeros(10, 2), torch.zeros(10, 2), permutations=9)
    assert same.squared == pytest.approx(0, abs=1e-12)
    assert same.p_value == 1


def test_subsample_draws_without_replacement_and_leaves_small_sets_alone():
    x = torch.arange(10)
    assert len(set(subsample(x, 7, 0).tolist())) == 7
    assert subsample(x, 10, 0) is x


def test_nearest_in_chunks_is_nearest_at_once():
    x, y = torch.randn(50, 3), torch.randn(40, 3)
    whole, parts = nearest(x, y, 2), nearest(x, y, 2, chunk=100)
    assert all(torch.equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_nearest_among_many_columns_is_exact_down_to_copies():
    y = torch.randn(300, 100).double() + 100
    x = torch.cat([y[:5] + 1e-9, y[5:20] + torch.randn(15, 100)])
    distance, index = nearest(x, y, 3)
    truth = (x[:, None] - y).norm(dim=2).topk(3, largest=False)
    assert torch.equal(index, truth.indices)
    assert torch.allclose(distance, truth.values, rtol=1e-9)
    assert index[:5, 0].tolist() == [0, 1, 2, 3, 4]


def test_without_held_out_rows_there_is_no_ratio():
    found = metrics.nearest_neighbours(torch.randn(5, 2), torch.randn(9, 2))
    assert (found.held_out_distance, found.ratio, found.p_value) == (None, None, None)


@pytest.mark.parametrize("measure", [metrics.crps, metrics.calibration])
def test_scales_that_are_not_positive_are_refused(measure):
    with pytest.raises(UserError, match="positive"):
        measure(torch.zeros(3), torch.tensor([1.0, 0.0, 1.0]), torch.zeros(3))


def test_calibration_levels_are_probabilities_and_rows_the_unit():
    with pytest.raises(UserError, match=r"0\.9"):
        metrics.calibration(torch.zeros(3), torch.ones(3), torch.zeros(3), levels=(90.0,))
    series = metrics.calibration(torch.zeros(4, 25), torch.ones(4, 25), torch.randn(4, 1).expand(4, 25), levels=(0.5,))
    assert float(series.coverage) * 4 == pytest.approx(
        round(float(series.coverage) * 4)
    )  # a series is in or out, whole


def test_crps_from_samples_needs_two_draws():
    with pytest.raises(UserError, match="two draws"):
        metrics.crps_from_samples(torch.zeros(1, 3), torch.zeros(3))
