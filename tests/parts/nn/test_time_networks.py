"""What `UNet` and `TimeMLP` have in common: f(x, t, condition) of the shape of x, each row on its own."""

import copy

import jaxtyping
import pytest
import torch
from torch import Tensor, nn

from pushforward.core.errors import ShapeError
from pushforward.core.registry import build, describe
from pushforward.parts.nn.unet import UNet
from tests.cases import CASES

NAMES = [name for name in CASES["networks"] if name.split()[0] in ("TimeMLP", "UNet")]


def awake(name: str) -> nn.Module:
    """The case with every layer that begins at zero given something to say."""
    torch.manual_seed(0)
    net = CASES["networks"][name]()
    assert isinstance(net, nn.Module)
    for parameter in net.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.2)
    return net


def inputs(net: nn.Module, rows: int = 5) -> tuple[Tensor, Tensor, Tensor | None]:
    generator = torch.Generator().manual_seed(1)
    shape = net.image_shape if isinstance(net, UNet) else (net.features,)
    condition = None
    if net.embedding.labels is not None:
        condition = torch.arange(rows) % net.embedding.labels.num_embeddings
    elif getattr(net, "condition", 0):
        condition = torch.randn(rows, net.condition, generator=generator)
    return torch.randn(rows, *shape, generator=generator), torch.rand(rows, generator=generator), condition


@pytest.mark.parametrize("name", NAMES)
def test_a_fresh_network_is_the_zero_function_that_can_learn(name):
    net = CASES["networks"][name]()
    x, t, condition = inputs(net)
    out = net(x, t, condition)
    assert out.shape == x.shape
    assert not out.any()
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    losses = []
    for _ in range(12):
        loss = (net(x, t, condition) - x).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("name", NAMES)
def test_rows_do_not_see_each_other(name):
    net = awake(name).double()
    x, t, condition = (
        value.double() if value is not None and value.is_floating_point() else value for value in inputs(net)
    )
    together = net(x, t, condition)
    for row in range(len(x)):
        one = slice(row, row + 1)
        alone = net(x[one], t[one], None if condition is None else condition[one])
        torch.testing.assert_close(alone, together[one], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_every_input_and_every_parameter_matters(name):
    net = awake(name)
    x, t, condition = inputs(net)
    x.requires_grad_()
    t.requires_grad_()
    out = net(x, t, condition)
    gradients = torch.autograd.grad(out.square().sum(), [x, t, *net.parameters()])
    for gradient in gradients:
        assert torch.isfinite(gradient).all()
        assert gradient.any()
    if condition is not None:
        other = net(x, t, condition.roll(1, 0))
        assert ((other - out).flatten(1).abs().amax(1) > 1e-4).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_call_gives_the_same_numbers(name):
    net = awake(name)
    given = inputs(net)
    assert torch.equal(net(*given), net(*given))
    assert torch.equal(net(*given), copy.deepcopy(net)(*given))
    assert torch.equal(net(*given), net.eval()(*given))


@pytest.mark.parametrize("name", NAMES)
def test_rebuilt_from_its_arguments_and_numbers(name):
    net = awake(name)
    twin = build(describe(net, {}), {})
    twin.load_state_dict(net.state_dict())
    given = inputs(net)
    assert torch.equal(net(*given), twin(*given))


@pytest.mark.parametrize("name", NAMES)
def test_float64_agrees_with_float32(name):
    net = awake(name)
    x, t, condition = inputs(net)
    single = net(x, t, condition)
    wide = condition.double() if condition is not None and condition.is_floating_point() else condition
    double = net.double()(x.double(), t.double(), wide)
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), single, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_forward_derivatives_agree_with_finite_differences(name):
    net = awake(name).double()
    x, t, condition = (
        value.double() if value is not None and value.is_floating_point() else value for value in inputs(net, 2)
    )
    dx, dt, h = torch.randn_like(x), torch.randn_like(t), 1e-6  # small beside the fastest wave, 1 / 100
    _, forward = torch.func.jvp(lambda x, t: net(x, t, condition), (x, t), (dx, dt))
    ahead, behind = (net(x + step * dx, t + step * dt, condition) for step in (h, -h))
    differences = (ahead - behind) / (2 * h)
    torch.testing.assert_close(forward, differences, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_differentiates_twice_and_row_by_row(name):
    net = awake(name)
    x, t, condition = inputs(net, 3)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(net(x, t, condition).square().sum(), x, create_graph=True)
    gradient.square().sum().backward()
    assert torch.isfinite(x.grad).all()

    def energy(x: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        return net(x[None], t[None], None if condition is None else condition[None]).square().sum()

    rowwise = torch.func.vmap(torch.func.grad(energy), in_dims=(0, 0, None if condition is None else 0))
    torch.testing.assert_close(rowwise(x, t, condition), gradient, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_shapes_are_refused(name):
    net = CASES["networks"][name]()
    x, t, condition = inputs(net)
    with pytest.raises(ShapeError, match="build the"):
        net(x[..., 1:], t, condition)
    with pytest.raises(ShapeError, match=r"expected (no labels|whole-number labels|a condition)"):
        net(x, t, torch.randn(5, 7))


@pytest.mark.parametrize("name", ["TimeMLP labels", "UNet"])
def test_no_label_is_the_label_after_the_last(name):
    net = awake(name)
    x, t, _ = inputs(net)
    none = net.embedding.labels.num_embeddings - 1
    torch.testing.assert_close(net(x, t), net(x, t, torch.full((5,), none)))
    for wrong in (-1, none + 1):
        with pytest.raises(ShapeError, match=f"expected labels in 0 .. {none - 1}, or {none} for no label"):
            net(x, t, torch.full((5,), wrong))


@pytest.fixture
def without_checks():
    """The run-time shape checks of the tests are Python that a compiler cannot follow."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.mark.parametrize("name", ["TimeMLP labels", "UNet"])
def test_compiles_without_a_break(name, without_checks):
    net = awake(name)
    given = inputs(net)
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(*given), net(*given))
