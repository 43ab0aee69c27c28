"""Sizes, units, floor and sentences of the conditional neural process."""

import pytest
import torch
from torch.distributions import Independent, Normal

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.process import Context
from pushforward.models.processes import ConditionalNeuralProcess, conditional_neural_process
from pushforward.parts.data import FunctionSet


def small(**sizes) -> ConditionalNeuralProcess:
    return ConditionalNeuralProcess(hidden=8, representation=8, layers=1, **sizes)


def test_predictions_are_independent_normals_over_targets_and_outputs():
    process = small(x_dim=2, y_dim=3)
    prediction = process.predict(Context.of(torch.randn(4, 5, 2), torch.randn(4, 5, 3)), torch.randn(4, 6, 2))
    assert isinstance(prediction, Independent)
    assert isinstance(prediction.base_dist, Normal)
    assert (prediction.batch_shape, prediction.event_shape) == ((4,), (6, 3))
    assert prediction.rsample().shape == (4, 6, 3)


def test_the_scale_never_falls_below_its_floor():
    process = small(min_scale=0.25)
    with torch.no_grad():
        process.decoder.head.linear.bias.fill_(-1e4)
    process.y_scale.fill_(2.0)
    prediction = process.predict(Context.of(torch.randn(4, 5, 1), torch.randn(4, 5, 1)), torch.randn(4, 6, 1))
    assert torch.allclose(prediction.stddev, torch.tensor(0.5))


def test_sizes_and_units_come_from_the_real_points_of_the_data():
    mask = torch.tensor([[True, True, False]])
    x, y = torch.tensor([[[1.0], [3.0], [99.0]]]), torch.tensor([[[2.0, 7.0], [4.0, 7.0], [99.0, 99.0]]])
    process = conditional_neural_process(FunctionSet(x, y, mask), hidden=8)
    assert (process.x_dim, process.y_dim) == (1, 2)
    assert (process.x_loc.tolist(), process.x_scale.tolist()) == ([2.0], [1.0])
    assert (process.y_loc.tolist(), process.y_scale.tolist()) == ([3.0, 7.0], [1.0, 1.0])  # a constant is left alone
    assert {"x_loc", "x_scale", "y_loc", "y_scale"} <= set(process.state_dict())
    assert conditional_neural_process(x_dim=3, y_dim=2).x_dim == 3


def test_double_precision():
    process = small().double()
    x = torch.randn(2, 3, 1).double()
    assert process.predict(Context.of(x, x), x).mean.dtype == torch.float64


@pytest.mark.parametrize("sizes", [{"x_dim": 0}, {"min_scale": 0.0}, {"min_scale": 1.0}])
def test_impossible_sizes_are_refused(sizes):
    with pytest.raises(ConfigError, match="expected sizes of 1 or more and 0 < min_scale < 1"):
        small(**sizes)


@pytest.mark.parametrize(
    ("context", "target", "sentence"),
    [
        (
            Context.of(torch.zeros(2, 3, 2), torch.zeros(2, 3, 1)),
            torch.zeros(2, 4, 1),
            r"context of x \(n, points, 1\)",
        ),
        (Context.of(torch.zeros(2, 3, 1), torch.zeros(2, 2, 1)), torch.zeros(2, 4, 1), r"got \(2, 3, 1\), \(2, 2, 1\)"),
        (Context.of(torch.zeros(3, 1), torch.zeros(3, 1)), torch.zeros(2, 4, 1), "one function is a batch of one"),
        (Context.of(torch.zeros(2, 3, 1), torch.zeros(2, 3, 1)), torch.zeros(1, 4, 1), r"of shape \(2, targets, 1\)"),
        (Context.of(torch.zeros(2, 3, 1), torch.zeros(2, 3, 1)), torch.zeros(2, 4, 2), r"got \(2, 4, 2\); give each"),
    ],
)
def test_points_that_do_not_fit_are_refused(context, target, sentence):
    with pytest.raises(ShapeError, match=sentence):
        small().predict(context, target)
