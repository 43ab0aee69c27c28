import json

import pytest
import torch

from pushforward.core.errors import ConfigError
from pushforward.core.registry import build, describe
from pushforward.parts.bijections import LULinear


def test_the_permutation_and_signs_of_a_matrix_are_saved():
    matrix = torch.tensor([[0.0, 2.0, 1.0], [-3.0, 1.0, 0.0], [1.0, 0.0, -1.0]])
    part, tensors = LULinear.of(matrix), {}
    again = build(json.loads(json.dumps(describe(part, tensors))), tensors)
    again.load_state_dict(part.state_dict())
    z = torch.randn(5, 3)
    assert torch.equal(again(z)[0], part(z)[0])
    torch.testing.assert_close(part(z)[0], z @ matrix.T)


def test_the_same_seed_is_the_same_permutation():
    assert torch.equal(LULinear(9, seed=4).order, LULinear(9, seed=4).order)
    assert LULinear(9).order.tolist() == list(range(9))


@pytest.mark.parametrize("matrix", [torch.ones(2, 3), torch.ones(2), torch.tensor([[torch.nan]])])
def test_what_is_no_square_matrix_is_refused(matrix):
    with pytest.raises(ConfigError, match="square matrix of finite numbers"):
        LULinear.of(matrix)


def test_a_bias_of_another_width_is_refused():
    with pytest.raises(ConfigError, match="expected a bias of shape"):
        LULinear.of(torch.eye(3), torch.ones(2))


def test_no_features_are_refused():
    with pytest.raises(ConfigError, match="at least 1 feature"):
        LULinear(0)
