import pytest
import torch

from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import Affine, AffineTransformer, Chain, Coupling, Inverse, Permutation
from pushforward.parts.nn import MLP


def conditional(width: int) -> Coupling:
    return Coupling([True, False], AffineTransformer(), MLP(1, 2, condition=width))


def test_parts_act_from_noise_to_data():
    double, shift = Affine(torch.zeros(1), torch.full((1,), 2.0)), Affine(torch.ones(1), torch.ones(1))
    assert Chain([double, shift]).forward(torch.ones(1))[0] == 3
    assert Chain([shift, double]).forward(torch.ones(1))[0] == 4
    assert Chain([shift, double]).inverse(torch.full((1,), 4.0))[0] == 1


def test_the_condition_goes_to_those_who_take_one():
    chain = Chain([Permutation([1, 0]), conditional(3), Affine(torch.zeros(2), torch.ones(2))])
    assert chain.condition_shape == (3,)
    a, b = (chain.forward(torch.ones(4, 2), condition)[0] for condition in (torch.zeros(4, 3), torch.ones(4, 3)))
    assert (a[:, 1] != b[:, 1]).all()


def test_misfits_are_refused():
    with pytest.raises(ConfigError, match="at least one part"):
        Chain([])
    with pytest.raises(
        ConfigError, match=r"expected part 1 to take events of shape \(2,\), as part 0 gives them, got \(3,\)"
    ):
        Chain([Permutation([1, 0]), Permutation([0, 2, 1])])
    with pytest.raises(ConfigError, match="expected one shape of condition for all parts"):
        Chain([conditional(1), conditional(2)])


def test_iterative_is_passed_on():
    part = Permutation([1, 0])
    part.inverse_kind = "iterative"
    assert Chain([Permutation([1, 0]), Inverse(part)]).inverse_kind == "iterative"
    assert Chain([Permutation([1, 0])]).inverse_kind == "exact"
