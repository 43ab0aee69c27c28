"""B9, B10: masked networks keep their order, the fast sequential direction is the slow one, and the circle has no seam.

Oracles: Jacobians by automatic differentiation, whose zeros are exact; the sequential direction by one evaluation for each
feature, differentiated as it stands; integrals over the circle and the torus; finite differences.
"""

import math

import pytest
import torch
from torch import Tensor

import pushforward as pf
from pushforward.parts.bijections import (
    AffineTransformer,
    CircularSplineTransformer,
    Inverse,
    InverseTransformer,
    MaskedAutoregressive,
    RationalQuadraticTransformer,
)
from pushforward.parts.nn import MaskedMLP

ORDERS = [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]]
TRANSFORMERS = {
    "affine": AffineTransformer(),
    "affine, turned round": InverseTransformer(AffineTransformer()),
    "spline": RationalQuadraticTransformer(5, 3.0),
    "circular": CircularSplineTransformer(4),
}
# Widths above and below the number of features, one that has room for few degrees, none at all.
SETTINGS = [(5, [16, 16], 0, "relu"), (5, [7, 12, 9], 2, "tanh"), (20, [30, 6], 1, "silu"), (19, [40], 0, "relu"), (4, [], 1, "relu"),
            (1, [8], 2, "relu"), (1, [8], 0, "relu")]  # fmt: skip


def stirred(module: torch.nn.Module, scale: float = 0.5) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return module.double()


def shuffled(features: int) -> list[int]:
    return torch.randperm(features, generator=torch.Generator().manual_seed(features)).tolist()


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize(
    ("hidden", "activation"), [([16, 16], "relu"), ([16], "tanh"), ([], "relu"), ([9, 3, 20], "silu")], ids=str
)
def test_an_output_depends_on_all_features_before_its_own_and_on_no_other(order, hidden, activation):
    network, size = stirred(MaskedMLP(5, 3, hidden, activation, condition=2, order=order), 1.0), 3
    seen = torch.zeros(5 * size, 5, dtype=torch.bool)
    seen_condition = torch.zeros(5 * size, 2, dtype=torch.bool)
    for x, c in zip(torch.randn(20, 5).double(), torch.randn(20, 2).double()):
        by_x, by_c = torch.autograd.functional.jacobian(lambda x, c: network(x[None], c[None])[0], (x, c))
        seen, seen_condition = seen | (by_x != 0), seen_condition | (by_c != 0)
    place = {feature: p for p, feature in enumerate(order)}
    few = hidden and min(hidden) < 5  # three units in a layer cannot tell five features apart
    for k in range(size):
        for i in range(5):
            expected = torch.tensor([place[j] < place[i] for j in range(5)])
            got = seen[k * 5 + i]
            assert not (got & ~expected).any()
            assert few or torch.equal(got, expected)
    assert seen_condition.all()


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("name", TRANSFORMERS)
@pytest.mark.parametrize("solve", ["columns", "jacobi"])
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_the_jacobian_is_triangular_in_the_order(direction, solve, name, order):
    transformer = TRANSFORMERS[name]
    part = MaskedAutoregressive(transformer, stirred(MaskedMLP(5, transformer.size, [12], "tanh", order=order)), solve)
    value = torch.tensor([0.3, -0.7, 1.1, 0.2, -0.4], dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda v: getattr(part, direction)(v)[0], value)[order][:, order]
    assert (jacobian.triu(1) == 0).all()
    assert (jacobian.tril(-1) != 0).any(1)[1:].all()
    log_det = getattr(part, direction)(value)[1]
    torch.testing.assert_close(jacobian.diagonal().log().sum(), log_det, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("features", "hidden", "condition", "activation"), SETTINGS, ids=str)
def test_every_hidden_unit_is_used(features, hidden, condition, activation):
    network = stirred(MaskedMLP(features, 2, hidden, "tanh", condition, shuffled(features)))
    given = torch.randn(50, condition).double() if condition else None
    network(torch.randn(50, features).double(), given).square().sum().backward()
    *inner, last = network.linears()
    for layer, above in zip(inner, [*inner[1:], last]):
        assert (layer.weight.grad != 0).any(1).all()  # it reads something
        assert (above.weight.grad != 0).any(0).all()  # and something reads it
    # Every feature but the last of the order, and every condition, is read by some unit.
    read = (network.linears()[0].weight.grad != 0).any(0)
    assert int(read.sum()) == features - 1 + condition


def naive(part: MaskedAutoregressive, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
    """One evaluation of the whole network for every feature, each as the first definition says."""
    network, transformer = part.conditioner, part.transformer
    x, log_det = torch.zeros_like(z), z.new_zeros(len(z))
    for i in network.order:
        parameters = network(x, condition).reshape(len(z), transformer.size, -1)[:, :, i].T
        column, log_derivative = transformer.forward(z[:, i], parameters)
        x = torch.cat([x[:, :i], column[:, None], x[:, i + 1 :]], 1)
        log_det = log_det + log_derivative
    return x, log_det


@pytest.mark.parametrize("name", TRANSFORMERS)
@pytest.mark.parametrize("solve", ["columns", "jacobi"])
@pytest.mark.parametrize(("features", "hidden", "condition", "activation"), SETTINGS, ids=str)
def test_the_fast_direction_is_the_naive_one_in_value_and_gradient(
    features, hidden, condition, activation, solve, name
):
    transformer, generator = TRANSFORMERS[name], torch.Generator().manual_seed(1)
    network = stirred(MaskedMLP(features, transformer.size, hidden, activation, condition, shuffled(features)), 0.3)
    part = MaskedAutoregressive(transformer, network, solve)
    z = 1.5 * torch.randn(6, features, generator=generator, dtype=torch.float64)
    z = z.clamp(-3, 3) if name == "circular" else z
    given = torch.randn(6, condition, generator=generator, dtype=torch.float64) if condition else None
    expected = naive(part, z, given)
    with torch.no_grad():
        torch.testing.assert_close(part.forward(z, given), expected, rtol=1e-11, atol=1e-11)
    inputs = [z.requires_grad_(), *([given.requires_grad_()] if given is not None else []), *part.parameters()]
    bars = [torch.randn(v.shape, generator=generator, dtype=v.dtype) for v in expected]
    wanted = torch.autograd.grad(naive(part, z, given), inputs, bars, allow_unused=True, materialize_grads=True)
    got = torch.autograd.grad(part.forward(z, given), inputs, bars, allow_unused=True, materialize_grads=True)
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("build", [pf.flows.maf, pf.flows.iaf], ids=lambda f: f.__name__)
def test_gradients_of_reparameterised_draws_are_finite_differences(build):
    flow = stirred(build(features=3, condition=1, layers=2, hidden=[6], activation="tanh"))
    given = torch.tensor([[0.5], [-1.0]], dtype=torch.float64, requires_grad=True)
    parameters = list(flow.parameters())
    dots = [torch.randn(p.shape, generator=torch.Generator().manual_seed(2), dtype=p.dtype) for p in parameters]

    def draws(amount: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        state = {key: p + amount * dot for (key, p), dot in zip(flow.named_parameters(), dots)}
        return torch.func.functional_call(_Draws(flow), {f"flow.{key}": p for key, p in state.items()}, (given,))

    assert torch.autograd.gradcheck(draws, (torch.zeros((), dtype=torch.float64, requires_grad=True), given))


class _Draws(torch.nn.Module):
    """The same draws, and their log density, at every call."""

    def __init__(self, flow: pf.Distribution):
        super().__init__()
        self.flow = flow

    def forward(self, given: Tensor) -> tuple[Tensor, Tensor]:
        return self.flow.rsample_and_log_prob(2, given, generator=torch.Generator().manual_seed(3))


def test_many_features_in_float32():
    # 64 features, five layers: what is sequential must not add up its rounding.
    flow = stirred(pf.flows.maf(features=64, hidden=[128, 128]), 0.05)
    z = torch.randn(50, 64, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    with torch.no_grad():
        exact, exact_log_det = flow.bijection.forward(z)
        x, log_det = flow.float().bijection.forward(z.float())
        again, _ = flow.bijection.inverse(x)
    torch.testing.assert_close(x.double(), exact, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(log_det.double(), exact_log_det, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(again.double(), z, rtol=1e-3, atol=1e-3)


def test_the_direct_way_of_an_inverse_flow_is_a_product_and_a_sum():
    # x = z exp(s) + t keeps all digits of t where z exp(s) is tiny beside it; (z - t') exp(s) would not.
    transformer = InverseTransformer(AffineTransformer())
    part = Inverse(MaskedAutoregressive(transformer, MaskedMLP(1, 2, hidden=[])))
    with torch.no_grad():
        part.part.conditioner.linears()[0].bias.copy_(torch.tensor([1e4, -20.0]))
    z = torch.linspace(-1, 1, 11)[:, None]
    s = 3 * math.tanh(-20 / 3)
    torch.testing.assert_close(part.forward(z)[0], z * math.exp(s) + 1e4, rtol=1e-7, atol=0)


def circle(points: int) -> Tensor:
    """Both ends included, so that the first point and the last are one."""
    return torch.linspace(-math.pi, math.pi, points, dtype=torch.float64)


class TestCircle:
    def test_the_density_of_one_angle_integrates_to_one_and_has_no_seam(self):
        flow = stirred(
            pf.flows.neural_spline(features=1, condition=1, layers=3, hidden=[8], bins=5, kind="circular"), 0.3
        )
        for condition in torch.tensor([[-1.0], [0.0], [2.0]], dtype=torch.float64):
            angle = circle(100_001)
            density = flow.log_prob(angle[:, None], condition).exp().detach()
            assert abs(torch.trapezoid(density, angle).item() - 1) < 1e-4
            assert density.max() > 2 * density.min()
            torch.testing.assert_close(density[0], density[-1], rtol=1e-9, atol=0)
            # The same point, some turns away; and no jump anywhere, the seam included.
            torch.testing.assert_close(
                flow.log_prob(angle[:, None] + 6 * math.pi, condition).exp(), density, rtol=1e-7, atol=0
            )
            assert density.log().diff().abs().max() < 0.01

    def test_the_density_on_the_torus_integrates_to_one_and_has_no_seam(self):
        flow = stirred(pf.flows.neural_spline(features=2, layers=4, hidden=[8], bins=4, kind="circular"), 0.3)
        side = circle(501)
        density = flow.log_prob(torch.cartesian_prod(side, side)).exp().detach().reshape(501, 501)
        assert abs(torch.trapezoid(torch.trapezoid(density, side), side).item() - 1) < 1e-3
        assert density.max() > 2 * density.min()
        torch.testing.assert_close(density[0], density[-1], rtol=1e-9, atol=0)
        torch.testing.assert_close(density[:, 0], density[:, -1], rtol=1e-9, atol=0)
        draws = flow.sample(2000, generator=torch.Generator().manual_seed(5))
        assert draws.abs().max() <= math.pi

    @pytest.mark.parametrize("direction", ["forward", "inverse"])
    def test_the_map_goes_once_around_with_a_continuous_slope(self, direction):
        transformer, generator = CircularSplineTransformer(5), torch.Generator().manual_seed(6)
        parameters = 1.5 * torch.randn(transformer.size, 1, 50, generator=generator, dtype=torch.float64)
        at = circle(20_001)[:, None].expand(-1, 50).contiguous().requires_grad_()
        out, log_slope = getattr(transformer, direction)(at, parameters.expand(-1, len(at), -1).contiguous())
        # As differentiation sees it, and the same on both sides of the seam.
        (slope,) = torch.autograd.grad(out.sum(), at)
        torch.testing.assert_close(slope.log(), log_slope, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(slope[0], slope[-1], rtol=1e-9, atol=0)
        torch.testing.assert_close(out[0].cos(), out[-1].cos(), rtol=0, atol=1e-9)
        steps = out.diff(dim=0).remainder(2 * math.pi)  # the seam of the outcome is somewhere in between
        assert steps.max() < math.pi
        torch.testing.assert_close(steps.sum(0), torch.full((50,), 2 * math.pi, dtype=torch.float64), rtol=1e-9, atol=0)

    def test_it_interpolates_knots_with_a_shared_slope_at_the_joint(self):
        # The outcome of the spline in a box, whose end slopes are 1, when the shared slope is told to be 1.
        generator = torch.Generator().manual_seed(7)
        box, ring = RationalQuadraticTransformer(6, math.pi), CircularSplineTransformer(6)
        parameters = torch.randn(box.size, 200, generator=generator, dtype=torch.float64)
        # Phase and joint slope, before the others.
        given = torch.cat([torch.zeros(2, 200, dtype=torch.float64), parameters])
        x = torch.empty(200, dtype=torch.float64).uniform_(-math.pi, math.pi, generator=generator)
        for direction in ("forward", "inverse"):
            torch.testing.assert_close(
                getattr(ring, direction)(x, given), getattr(box, direction)(x, parameters), rtol=1e-12, atol=1e-12
            )
        given[1] = 0.7  # the logarithm of the slope at the joint, as good as unbounded at this size
        for side in (-1e-9, 1e-9):
            _, log_slope = ring.inverse(torch.full((200,), math.pi + side, dtype=torch.float64), given)
            expected = math.log(1e3) * math.tanh(0.7 / math.log(1e3))
            torch.testing.assert_close(log_slope, torch.full_like(log_slope, expected), rtol=0, atol=1e-5)
