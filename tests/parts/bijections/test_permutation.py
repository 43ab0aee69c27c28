import pytest
import torch

from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import Permutation, random_permutation


def test_the_order_says_where_a_feature_comes_from():
    z = torch.tensor([[1.0, 2.0, 3.0]])
    assert Permutation([2, 0, 1]).forward(z)[0].tolist() == [[3, 1, 2]]
    assert Permutation([2, 0, 1]).inverse(torch.tensor([[3.0, 1.0, 2.0]]))[0].tolist() == [[1, 2, 3]]


def test_seeds():
    assert torch.equal(random_permutation(50, 1).order, random_permutation(50, 1).order)
    assert not torch.equal(random_permutation(50, 1).order, random_permutation(50, 2).order)


@pytest.mark.parametrize("order", [[], [1, 2], [0, 0], [0, 2]])
def test_what_is_no_permutation_is_refused(order):
    with pytest.raises(ConfigError, match="once, got"):
        Permutation(order)
