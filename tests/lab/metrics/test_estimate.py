import math

import pytest
import torch

from pushforward import UserError
from pushforward.lab.metrics import Estimate, bits_per_dim, nll


def test_an_estimate_prints_its_error_to_two_digits():
    assert str(Estimate(1.23456, 0.0123)) == "1.235 ± 0.012"
    assert str(Estimate(1234.5, 20.0)) == "1234 ± 20"
    assert str(Estimate(0.5, math.inf)) == "0.5"


def test_one_row_has_no_standard_error_and_an_infinite_row_no_finite_mean():
    assert Estimate.of(torch.tensor([3.0])) == Estimate(3.0, math.inf)
    assert nll(torch.tensor([-1.0, -math.inf])) == Estimate(math.inf, math.inf)


@pytest.mark.parametrize("rows", [torch.tensor([]), torch.tensor([1.0, math.nan])])
def test_no_rows_and_nan_are_refused(rows):
    with pytest.raises(UserError, match="no NaN"):
        Estimate.of(rows)


def test_bits_per_dim_takes_any_batch_shape_and_refuses_no_dimensions():
    assert bits_per_dim(torch.full((2, 3), -math.log(2)), 1).value == pytest.approx(1)
    with pytest.raises(UserError, match="event_numel"):
        bits_per_dim(torch.zeros(2), 0)
