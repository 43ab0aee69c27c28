import pytest
import torch

from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import (
    AffineTransformer,
    CircularSplineTransformer,
    MaskedAutoregressive,
    RationalQuadraticTransformer,
)
from pushforward.parts.nn import MLP, MaskedMLP


def test_misuse_is_refused():
    with pytest.raises(
        ConfigError, match="expected a conditioner with 3 inputs and 6 outputs, got one with inputs 3 and outputs 69"
    ):
        MaskedAutoregressive(AffineTransformer(), MaskedMLP(3, 23))
    with pytest.raises(ConfigError, match="expected a MaskedMLP"):
        MaskedAutoregressive(AffineTransformer(), MLP(3, 6))
    with pytest.raises(ConfigError, match="expected solve 'columns' or 'jacobi', got 'newton'"):
        MaskedAutoregressive(AffineTransformer(), MaskedMLP(3, 2), "newton")
    with pytest.raises(ConfigError, match="expected 2 to 500 bins, got 1"):
        CircularSplineTransformer(1)


@pytest.mark.parametrize("solve", ["columns", "jacobi"])
def test_dropout_leaves_the_sequential_direction_alone(solve):
    part = MaskedAutoregressive(AffineTransformer(), MaskedMLP(6, 2, hidden=[32], dropout=0.5), solve)
    z = torch.randn(5, 6)
    assert not torch.equal(part.train().inverse(z)[0], part.inverse(z)[0])
    drawn, log_det = part.forward(z)
    torch.testing.assert_close((drawn, log_det), part.eval().forward(z))
    torch.testing.assert_close(part.inverse(drawn)[0], z, rtol=1e-4, atol=1e-5)


def test_rows_do_not_see_each_other():
    torch.manual_seed(0)
    for solve in ("columns", "jacobi"):
        part = MaskedAutoregressive(RationalQuadraticTransformer(), MaskedMLP(4, 23, hidden=[16]), solve).double()
        z = torch.randn(9, 4, dtype=torch.float64)
        z[4] = 1e6
        torch.testing.assert_close(part.forward(z)[0][:4], part.forward(z[:4])[0], rtol=1e-12, atol=1e-12)


def test_a_gradient_of_the_draw_alone_or_of_its_density_alone():
    part = MaskedAutoregressive(AffineTransformer(), MaskedMLP(3, 2, hidden=[8])).double()
    z = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    x, log_det = part.forward(z)
    both = torch.autograd.grad(x.sum() + log_det.sum(), z)[0]
    x, log_det = part.forward(z)
    alone = torch.autograd.grad(x.sum(), z, retain_graph=True)[0] + torch.autograd.grad(log_det.sum(), z)[0]
    torch.testing.assert_close(both, alone)


def test_the_weights_may_change_before_the_gradient_is_taken():
    part = MaskedAutoregressive(AffineTransformer(), MaskedMLP(3, 2, hidden=[8])).double()
    z = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    expected = torch.autograd.grad(part.forward(z)[0].sum(), z)[0]
    x = part.forward(z)[0]
    for layer in part.conditioner.linears():
        layer.weight.data = layer.weight.data + 1
    torch.testing.assert_close(torch.autograd.grad(x.sum(), z)[0], expected)
