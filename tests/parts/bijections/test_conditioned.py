"""A network and the map that it feeds as one operation. Oracle: automatic differentiation of the same steps one by one."""

import pytest
import torch
from torch import Tensor, nn

from pushforward.parts.bijections import AffineTransformer, Coupling, MaskedAutoregressive, RationalQuadraticTransformer
from pushforward.parts.nn import MLP, MaskedMLP

MASK = [True, False, False, True, False]
TRANSFORMERS = {
    "affine": AffineTransformer,
    "unlimited": lambda: AffineTransformer(float("inf")),
    "spline": lambda: RationalQuadraticTransformer(4, 3.0),
}


def layers(kind: str, condition: int, seed: int = 0) -> dict[str, nn.Module]:
    """A coupling and an autoregressive layer in double precision, with weights at random."""
    torch.manual_seed(seed)
    transformer = TRANSFORMERS[kind]()
    networks = (
        MLP(2, 3 * transformer.size, [7, 6], "relu", condition),
        MaskedMLP(5, transformer.size, [9, 8], "relu", condition),
    )
    coupling = Coupling(MASK, transformer, networks[0])
    return {"coupling": coupling.double(), "autoregressive": MaskedAutoregressive(transformer, networks[1]).double()}


class Stepwise(nn.Module):
    """The same network, which offers neither its weights nor columns: everything is then taken step by step."""

    def __init__(self, network: nn.Module, layers: list[nn.Linear]):
        super().__init__()
        self.network, self.layers = network, layers
        self.inputs, self.outputs, self.condition = network.inputs, network.outputs, network.condition

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        h = x if condition is None else torch.cat([x, condition], 1)
        for layer in self.layers[:-1]:
            h = layer(h).clamp(min=0)
        return self.layers[-1](h)


def stepwise(layer: nn.Module, kind: str, value: Tensor, condition: Tensor | None, direction: str):
    """The formula on single operations: `transformer.evaluate` of numbers from the network's own linear layers."""
    network, transformer = layer.conditioner, TRANSFORMERS[kind]()
    if isinstance(layer, Coupling):
        parts = Stepwise(network, [*network.hidden, network.head.linear])
        seen, at = value[:, layer.passing], layer.mapped
    else:
        parts, seen, at = Stepwise(network, network.linears()), value, list(range(5))
    raw = parts(seen, condition).T.reshape(transformer.size, len(at), len(value))
    out, log_derivative = transformer.evaluate(value[:, at].T, raw, direction == "inverse")[:2]
    return value.index_copy(1, torch.tensor(at), out.T), log_derivative.sum(0)


def weighed(pair: tuple[Tensor, Tensor]) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return sum((p * torch.randn(p.shape, dtype=p.dtype, generator=generator)).sum() for p in pair)


@pytest.mark.parametrize("condition", [0, 2])
@pytest.mark.parametrize("kind", TRANSFORMERS)
@pytest.mark.parametrize(("name", "direction"), [("coupling", "forward"), ("coupling", "inverse"), ("autoregressive", "inverse")])  # fmt: skip
def test_values_and_gradients(name, direction, kind, condition):
    layer = layers(kind, condition)[name]
    value = torch.randn(6, 5, dtype=torch.float64).requires_grad_()
    given = torch.randn(6, condition, dtype=torch.float64).requires_grad_() if condition else None
    wanted = [value, *layer.parameters(), *([] if given is None else [given])]
    ours, theirs = getattr(layer, direction)(value, given), stepwise(layer, kind, value, given, direction)
    torch.testing.assert_close(ours, theirs)
    found = torch.autograd.grad(weighed(ours), wanted, retain_graph=True)
    for a, b in zip(found, torch.autograd.grad(weighed(theirs), wanted, retain_graph=True), strict=True):
        torch.testing.assert_close(a, b)
    # The same graph again, for one of the two results alone.
    for i in range(2):
        one, other = (torch.autograd.grad(pair[i].sum(), wanted, retain_graph=True, allow_unused=True, materialize_grads=True)
                      for pair in (ours, theirs))  # fmt: skip
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("kind", ["affine", "spline"])
def test_second_derivatives_and_forward_mode(kind):
    for condition in (0, 1):
        layer = layers(kind, condition)["coupling"]
        value = torch.randn(2, 5, dtype=torch.float64).requires_grad_()
        given = (torch.randn(2, 1, dtype=torch.float64).requires_grad_(),) if condition else ()
        assert torch.autograd.gradgradcheck(layer.forward, (value, *given), fast_mode=True)
        assert torch.autograd.gradcheck(layer.forward, (value, *given), check_forward_ad=True, fast_mode=True)


def test_the_transforms_of_torch_func_agree():
    layer = layers("affine", 0)["coupling"]
    value = torch.randn(4, 5, dtype=torch.float64)
    each = torch.func.vmap(torch.func.jacrev(lambda row: layer(row)[0]))(value)
    one = torch.stack([torch.autograd.functional.jacobian(lambda row: layer(row)[0], row) for row in value])
    torch.testing.assert_close(each, one)


def test_frozen_weights_get_no_gradient():
    layer = layers("affine", 0)["coupling"]
    layer.conditioner.hidden[1].weight.requires_grad_(False)
    weighed(layer.inverse(torch.randn(4, 5, dtype=torch.float64))).backward()
    assert layer.conditioner.hidden[1].weight.grad is None
    assert all(p.grad is not None for p in layer.parameters() if p.requires_grad)


def test_a_missing_condition_is_named_as_before():
    with pytest.raises(ValueError, match="condition"):
        layers("affine", 2)["coupling"](torch.randn(4, 5, dtype=torch.float64))
