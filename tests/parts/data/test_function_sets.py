"""Sets of functions: rows by number, ragged lengths, one seed a function, and sentences."""

import pytest
import torch

from pushforward.core.errors import ConfigError, DataError
from pushforward.parts.data import FunctionSet, covariance_matrix, gp_draws, sines
from pushforward.parts.data.covariances import factor


@pytest.mark.parametrize("draw", [lambda n: gp_draws("rbf", n, points=(3, 9)), lambda n: sines(n, points=(3, 9))])
def test_a_function_depends_on_the_seed_and_its_number_only(draw):
    few, many = draw(18), draw(700)
    assert torch.equal(few.x, many.x[:18])
    assert torch.equal(few.mask, many.mask[:18])
    torch.testing.assert_close(few.y, many.y[:18], rtol=1e-5, atol=1e-6)
    assert not torch.equal(few.y[0], few.y[1])


def test_seeds_differ():
    assert not torch.equal(gp_draws(n=2, seed=0).x, gp_draws(n=2, seed=1).x)


def test_ragged_lengths_cover_their_range_and_padding_is_zero():
    data = gp_draws("matern52", 300, points=(2, 6), x_dim=2)
    lengths = data.mask.sum(1)
    assert set(lengths.tolist()) == {2, 3, 4, 5, 6}
    assert (data.mask == (torch.arange(6) < lengths[:, None])).all()
    assert data.x[~data.mask].eq(0).all()
    assert data.y[~data.mask].eq(0).all()
    assert (data.x_dim, data.y_dim) == (2, 1)


def test_take_split_and_move():
    data = gp_draws(n=10, points=4)
    batch = data.take(torch.tensor([7, 2]))
    assert len(batch) == 2
    assert torch.equal(batch.y[1], data.y[2])
    assert torch.equal(batch.to("cpu").x, batch.x)
    first, second = data.split((0.7, 0.3), seed=1)
    assert (len(first), len(second)) == (7, 3)
    rows = torch.cat([first.y, second.y]).flatten(1)
    assert torch.equal(rows[rows[:, 0].argsort()], data.y.flatten(1)[data.y[:, 0, 0].argsort()])
    assert torch.equal(first.y, data.split((0.7, 0.3), seed=1)[0].y)
    assert len(data.to("cpu")) == 10


def test_everything_comes_in_the_default_dtype():
    assert gp_draws(n=2).y.dtype == torch.float32
    torch.set_default_dtype(torch.float64)
    assert gp_draws(n=2).y.dtype == torch.float64
    assert sines(n=2).x.dtype == torch.float64


def test_smooth_noiseless_functions_can_be_drawn():
    data = gp_draws("rbf", 4, points=200, length_scale=5.0, noise=0.0)
    assert data.y.isfinite().all()
    assert data.y.std() < 3


def test_the_factor_of_each_matrix_has_the_least_jitter_that_it_needs():
    good, singular = torch.diag(torch.tensor([4.0, 9.0])).double(), torch.ones(2, 2).double()
    lower = factor(torch.stack([good, singular]))
    assert torch.equal(lower[0], torch.diag(torch.tensor([2.0, 3.0])).double())
    assert (lower[1] @ lower[1].T - singular).abs().max() < 2e-6
    with pytest.raises(DataError, match="got 1 that are not, even with 1e-6"):
        factor(torch.stack([good, -good]))


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: gp_draws("rbff"), ConfigError, "expected kernels among rbf, .* got 'rbff'"),
        (lambda: gp_draws("rbf", 2, length_scale=0.0), ConfigError, "positive length scale and period, got 0.0"),
        (lambda: gp_draws("rbf", 2, points=(5, 3)), ConfigError, "least <= most points"),
        (lambda: gp_draws("rbf", 2, low=1.0, high=1.0), ConfigError, "low < high"),
        (lambda: gp_draws("brownian", 2), DataError, "expected times of one dimension, 0 or later, got dimension 1"),
        (
            lambda: FunctionSet.of(torch.zeros(2, 3, 1), torch.zeros(2, 4, 1)),
            DataError,
            r"got \(2, 3, 1\), \(2, 4, 1\)",
        ),
        (
            lambda: FunctionSet.of(torch.zeros(2, 3), torch.zeros(2, 3, 1)),
            DataError,
            r"expected x \(n, points, x_dim\)",
        ),
        (
            lambda: FunctionSet.of(torch.zeros(2, 3, 1), torch.full((2, 3, 1), torch.nan)),
            DataError,
            "got 6 with NaN or inf, the first in function 0; leave them out",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()


def test_masked_points_may_hold_anything():
    mask = torch.tensor([[True, False]])
    data = FunctionSet.of(torch.zeros(1, 2, 1), torch.tensor([[[1.0], [torch.nan]]]), mask)
    assert len(data) == 1


def test_a_covariance_may_be_taken_between_two_sets():
    k = covariance_matrix("rbf", torch.zeros(4, 3, 2), torch.zeros(4, 5, 2))
    assert k.shape == (4, 3, 5)
    assert k.eq(1).all()
