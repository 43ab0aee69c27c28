import pytest
import torch

from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import Orthogonal, QRLinear


@pytest.mark.parametrize("layer", [Orthogonal, QRLinear])
def test_a_zero_vector_reflects_nothing_and_has_finite_gradients(layer):
    part, z = layer(3, 1), torch.randn(4, 3)
    torch.nn.init.zeros_(part.vectors)
    x, _ = part(z)
    assert torch.equal(x, z)
    assert torch.isfinite(torch.autograd.grad(x.square().sum(), part.vectors)[0]).all()


@pytest.mark.parametrize("layer", [Orthogonal, QRLinear])
def test_impossible_numbers_are_refused(layer):
    for arguments in ((0,), (3, 0)):
        with pytest.raises(ConfigError, match="at least 1 feature and 1 reflection"):
            layer(*arguments)


def test_the_default_number_is_even():
    assert [len(Orthogonal(d).vectors) for d in (1, 2, 3, 4)] == [2, 2, 4, 4]
