import pytest
import torch

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.parts.nn import MLP, MaskedMLP, Periodic
from pushforward.parts.nn.masked_mlp import degrees


def test_misuse_is_refused():
    with pytest.raises(ConfigError, match=r"expected an order of each of 0 \.\. 2 once, got \[0, 1, 1\]"):
        MaskedMLP(3, 2, order=[0, 1, 1])
    with pytest.raises(ConfigError, match="expected inputs, size and hidden widths of at least 1"):
        MaskedMLP(0, 2)
    with pytest.raises(ConfigError, match=r"expected a dropout in \[0, 1\)"):
        MaskedMLP(2, 2, dropout=1.0)
    with pytest.raises(ConfigError, match="expected an activation among"):
        MaskedMLP(2, 2, activation="sine")
    with pytest.raises(ShapeError, match=r"expected x of shape \(n, 3\)"):
        MaskedMLP(3, 2)(torch.zeros(4, 2))
    with pytest.raises(ConfigError, match="even number of inputs, got 3"):
        Periodic(MLP(3, 1))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_columns_are_the_transpose(activation):
    for network in (MaskedMLP(4, 3, [8], activation, condition=1), Periodic(MLP(8, 3, [8], activation, condition=1))):
        x, condition = torch.randn(5, 4), torch.randn(5, 1)
        columns = network.columns(x, condition)
        assert columns.is_contiguous()
        torch.testing.assert_close(columns.T, network(x, condition))


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8, 64, 100])
@pytest.mark.parametrize(("lowest", "highest"), [(0, 0), (0, 4), (1, 4), (1, 9), (0, 63)])
def test_degrees_are_sorted_and_all_there_where_there_is_room(width, lowest, highest):
    got = degrees(width, lowest, highest)
    assert got == sorted(got)
    assert len(got) == width
    assert set(got) <= set(range(lowest, highest + 1))
    if width > highest - lowest:
        assert set(got) == set(range(lowest, highest + 1))
        counts = [got.count(m) for m in set(got)]
        assert max(counts) - min(counts) <= 1
    elif width > 1:
        assert (got[0], got[-1]) == (lowest, highest)


def test_it_begins_at_zero_where_asked_and_may_be_a_constant():
    assert (MaskedMLP(3, 2, zero_last=True)(torch.randn(4, 3)) == 0).all()
    constant = MaskedMLP(1, 2)(torch.randn(4, 1))
    assert torch.equal(constant, constant[:1].expand(4, -1))


def test_the_first_feature_bends_with_the_condition():
    network = MaskedMLP(3, 1, hidden=[8], activation="tanh", condition=1)
    first = network(torch.zeros(3, 3), torch.tensor([[-1.0], [0.0], [1.0]]))[:, 0]
    assert (first[0] + first[2] - 2 * first[1]).abs() > 1e-6
