"""Interpolations: shapes, refusals, and what lies outside of the knots."""

import pytest
import torch

from pushforward.core.errors import ConfigError, DataError, ShapeError
from pushforward.parts.diffeq.interpolation import PiecewisePolynomial, hermite, linear, natural_cubic, rectilinear
from pushforward.parts.diffeq.interpolation.gaps import read_points

KINDS = (linear, hermite, natural_cubic, rectilinear)


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_rests_outside_of_its_knots(kind):
    path = kind(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([[[1.0, 5.0], [2.0, 5.0], [0.0, 7.0]]]))
    far = torch.tensor([[-9.0, 1.0, 4.0, 9.0]])
    value = path.evaluate(far)[0]
    torch.testing.assert_close(value, torch.tensor([[1.0, 5.0], [1.0, 5.0], [0.0, 7.0], [0.0, 7.0]]))
    slope = path.derivative(far)[0]
    assert slope[0].abs().max() == slope[3].abs().max() == 0
    assert path.evaluate(torch.tensor([2.0])).shape == (1, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_point_is_a_constant(kind):
    path = kind(torch.tensor([[3.0], [4.0]]), torch.tensor([[[1.0]], [[torch.nan]]]))
    assert path.evaluate(torch.tensor([3.0, 9.0])).flatten().tolist() == [1.0, 0.0]
    assert path.moves((0.0, 0.5, 1.0)).abs().max() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_large_times_in_float32(kind):
    t = 10_000 + torch.arange(50) / 8
    path = kind(t, torch.sin(t)[None, :, None])
    assert (path.evaluate(t[None])[0, :, 0] - torch.sin(t)).abs().max() < 1e-5


def test_refusals():
    t, x = torch.tensor([0.0, 1.0, 2.0]), torch.zeros(1, 3, 2)
    with pytest.raises(DataError, match="ascend"):
        linear(t.flip(0), x)
    with pytest.raises(DataError, match="ascend"):
        linear(torch.tensor([0.0, 1.0, 1.0]), x)  # two points at one time
    with pytest.raises(DataError, match="ascend"):
        linear(torch.tensor([0.0, 0.0, 1.0]), x, torch.tensor([True, False, True])[None, :, None].expand(1, 3, 2))
    with pytest.raises(ShapeError, match="batch of one"):
        linear(torch.zeros(2, 3), x)
    with pytest.raises(ConfigError, match="fill"):
        read_points(t, x, None, "backward")
    with pytest.raises(ConfigError, match="leading"):
        rectilinear(t, x, leading=3)
    with pytest.raises(ShapeError, match="pieces"):
        PiecewisePolynomial(torch.zeros(2, 3), torch.zeros(2, 3, 4, 1))
    with pytest.raises(ShapeError, match="each path"):
        linear(t, x).evaluate(torch.zeros(2))
