"""B11: elementwise maps without a closed inverse increase, are finite for every finite input, and are what they say.

Oracles: floating-point arithmetic itself (finite, increasing, undone by the inverse); scipy's Bernstein polynomials and
adaptive quadrature; numpy's polynomials; the plain logit of a mixture in float64; automatic differentiation.
"""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.interpolate import BPoly
from torch import Tensor

import pushforward as pf
from pushforward.parts.bijections import (
    BernsteinTransformer,
    IntegralTransformer,
    NeuralTransformer,
    SumOfSquaresTransformer,
)
from tests.laws.test_spline import extreme_parameters, extreme_points

TRANSFORMERS = {
    "neural": lambda: NeuralTransformer(8),
    "integral": lambda: IntegralTransformer(),
    "Bernstein": lambda: BernsteinTransformer(),
    "sum of squares": lambda: SumOfSquaresTransformer(),
}
SLOW = {"integral"}  # forty evaluations of a network for each number
EVERY = pytest.mark.parametrize("name", TRANSFORMERS)
BOTH = pytest.mark.parametrize("direction", ["forward", "inverse"])


def make(name: str, dtype: torch.dtype = torch.float64):
    torch.manual_seed(0)
    transformer = TRANSFORMERS[name]()
    return transformer.to(dtype) if isinstance(transformer, torch.nn.Module) else transformer


def wild(size: int, n: int) -> Tensor:
    """Columns of parameters: ordinary ones, large ones and some of any size."""
    generator = torch.Generator().manual_seed(1)
    return extreme_parameters(size, n, generator).double() + torch.randn(size, n, generator=generator).double()


class TestEveryTransformer:
    @BOTH
    @EVERY
    def test_value_and_gradient_are_finite_for_every_finite_input(self, name, direction):
        n = 4_000 if name in SLOW else 200_000 if direction == "inverse" else 10_000
        transformer, generator = make(name, torch.float32), torch.Generator().manual_seed(2)
        x = extreme_points(transformer.bound, n, generator)[torch.randperm(n, generator=generator)].requires_grad_()
        parameters = extreme_parameters(transformer.size, n, generator).requires_grad_()
        out, log_derivative = getattr(transformer, direction)(x, parameters)
        bars = [torch.randn(n, generator=generator) for _ in range(2)]
        gradients = torch.autograd.grad((out, log_derivative), (x, parameters), bars)
        for result in (out, log_derivative, *gradients):
            assert torch.isfinite(result).all()

    @EVERY
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    def test_it_increases_whatever_the_parameters(self, name, dtype):
        transformer = make(name, dtype)
        x = torch.linspace(-1.3 * transformer.bound, 1.3 * transformer.bound, 1501, dtype=torch.float64).to(dtype)
        columns = 12 if name in SLOW else 60
        parameters = wild(transformer.size, columns).to(dtype)[:, None].expand(-1, 1501, -1)
        with torch.no_grad():
            z = transformer.inverse(x[:, None].expand(-1, columns), parameters)[0]
        # In float64 a step of the grid is far more than rounding; in float32 neighbours may be one number, give or take.
        slack = 0.0 if dtype == torch.float64 else 16 * torch.finfo(dtype).eps
        assert (z.diff(dim=0) > -slack * (1 + z[1:].abs() + transformer.bound)).all()

    @EVERY
    @pytest.mark.parametrize(("dtype", "allowed"), [(torch.float32, 2e-5), (torch.float64, 1e-12)], ids=str)
    def test_round_trip_in_the_box_and_far_out(self, name, dtype, allowed):
        transformer, generator = make(name, dtype), torch.Generator().manual_seed(3)
        n = 500 if name in SLOW else 4000
        x = (2 * torch.randn(n, generator=generator, dtype=torch.float64)).to(dtype)
        x[::3] *= 10 ** torch.linspace(0, 30, len(x[::3]), dtype=dtype)
        parameters = torch.randn(transformer.size, n, generator=generator, dtype=torch.float64).to(dtype)
        z, there = transformer.inverse(x, parameters)
        again, back = transformer.forward(z, parameters)
        assert transformer.solved is not None
        # An error of z by one rounding is one of x by rounding / slope.
        assert ((again - x).abs() <= allowed * (1 + x.abs() + back.exp() * (1 + z.abs()))).all()
        assert ((there + back).abs() <= 100 * allowed * (1 + back.exp() * (1 + z.abs().clamp(max=100)))).all()

    @EVERY
    def test_zero_parameters_are_the_identity(self, name):
        transformer, edge = make(name), 3 if name == "neural" else 15
        x = torch.linspace(-edge, edge, 301, dtype=torch.float64)
        zero = torch.zeros(transformer.size, 301, dtype=torch.float64)
        for direction in ("forward", "inverse"):
            out, log_derivative = getattr(transformer, direction)(x, zero)
            # The units of the mixture begin side by side.
            near, steady = (0.07, 0.12) if name == "neural" else (1e-13, 1e-13)
            torch.testing.assert_close(out, x, rtol=0, atol=near)
            torch.testing.assert_close(log_derivative, torch.zeros_like(x), rtol=0, atol=steady)

    @EVERY
    def test_the_map_is_the_integral_of_its_slope(self, name):
        transformer = make(name)
        parameters = torch.randn(transformer.size, 1, dtype=torch.float64)

        def slope(t: float) -> float:
            return transformer.inverse(torch.tensor([t], dtype=torch.float64), parameters)[1].detach().exp().item()

        for end in (-4.0, 1.0, 4.5):
            ends = torch.tensor([0.0, end], dtype=torch.float64)
            low, high = transformer.inverse(ends, parameters.expand(-1, 2))[0].tolist()
            assert abs(quad(slope, 0, end, epsabs=1e-11, limit=200)[0] - (high - low)) < 1e-9

    @EVERY
    def test_value_and_slope_are_continuous_where_the_tails_begin(self, name):
        transformer = make(name)
        parameters = torch.randn(transformer.size, 50, dtype=torch.float64)
        for edge in (-transformer.bound, transformer.bound):
            inner, outer = (torch.full((50,), edge * (1 + side), dtype=torch.float64) for side in (-1e-9, 1e-9))
            (z, log_slope), (there, steady) = (transformer.inverse(x, parameters) for x in (inner, outer))
            torch.testing.assert_close(z, there, rtol=0, atol=1e-5)
            torch.testing.assert_close(log_slope, steady, rtol=0, atol=1e-6)
            further = transformer.inverse(outer + math.copysign(50.0, edge), parameters)[0]
            expected = there + math.copysign(50.0, edge) * steady.exp()
            torch.testing.assert_close(further, expected, rtol=1e-12, atol=1e-12)


def test_the_plain_logit_of_the_mixture():
    transformer = NeuralTransformer(5, limit=2.0)
    x = torch.empty(400, dtype=torch.float64).uniform_(-6, 6)
    log_w, log_a, m = transformer._mixture(torch.randn(15, 400, dtype=torch.float64))
    F = (log_w.exp().numpy() / (1 + np.exp(-log_a.exp().numpy() * (x - m).numpy()))).sum(0)
    expected = 0.999 * np.log(F / (1 - F)) + 0.001 * x.numpy()
    assert np.allclose(log_w.exp().sum(0), 1)
    # A mixture with such parameters, whatever made them: the map sees them only through `_mixture`.
    transformer._mixture = lambda parameters: (log_w, log_a, m)
    got = transformer.inverse(x, torch.zeros(15, 400, dtype=torch.float64))[0]
    np.testing.assert_allclose(got.numpy(), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("degree", [1, 4, 16, 60])
def test_the_bernstein_polynomial_of_scipy(degree):
    transformer, bound = BernsteinTransformer(degree, 2.0), 2.0
    parameters = torch.randn(degree + 1, 1, dtype=torch.float64)
    steps = np.exp(math.log(1e3) * np.tanh(parameters[:-1, 0].numpy() / math.log(1e3))) * 2 * bound / degree
    c = np.concatenate([[0], steps.cumsum()])
    c = c - (c[degree // 2] + c[(degree + 1) // 2]) / 2 + bound * np.tanh(parameters[-1].item() / bound)
    scipys = BPoly(c[:, None], [-bound, bound])
    x = torch.linspace(-bound, bound, 101, dtype=torch.float64)
    z, log_slope = transformer.inverse(x, parameters.expand(-1, 101))
    np.testing.assert_allclose(z.numpy(), scipys(x.numpy()), rtol=0, atol=1e-11)
    np.testing.assert_allclose(log_slope.exp().numpy(), scipys.derivative()(x.numpy()), rtol=1e-9)


@pytest.mark.parametrize(("polynomials", "degree"), [(1, 0), (2, 3), (5, 4)])
def test_the_integral_of_the_squares_by_numpy(polynomials, degree):
    transformer, bound = SumOfSquaresTransformer(polynomials, degree, 3.0), 3.0
    parameters = torch.randn(transformer.size, 1, dtype=torch.float64)
    a, c = transformer._coefficients(parameters)
    total = np.polynomial.Polynomial([1e-3])
    for k in range(polynomials):
        p = np.polynomial.Polynomial(a[:, k, 0].numpy() / bound ** np.arange(degree + 1))
        total = total + 0.999 * p * p
    x = torch.linspace(-bound, bound, 101, dtype=torch.float64)
    z, log_slope = transformer.inverse(x, parameters.expand(-1, 101))
    np.testing.assert_allclose(z.numpy(), c.item() + total.integ()(x.numpy()), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(log_slope.exp().numpy(), total(x.numpy()), rtol=1e-11)


class TestIntegral:
    @pytest.mark.parametrize("scale", [1.0, 10.0, 1e4])
    def test_its_slope_is_the_network_whatever_the_weights(self, scale):
        # The computed map by automatic differentiation, against what is said to be its slope.
        transformer = make("integral")
        with torch.no_grad():
            for parameter in transformer.parameters():
                parameter.mul_(scale)
        x = torch.linspace(-5, 5, 400, dtype=torch.float64, requires_grad=True)
        parameters = 3 * torch.randn(transformer.size, 400, dtype=torch.float64)
        z, log_slope = transformer.inverse(x, parameters)
        (slope,) = torch.autograd.grad(z.sum(), x)
        torch.testing.assert_close(slope, log_slope.exp(), rtol=1e-8, atol=0)

    def test_the_worst_network_too(self):
        # Every unit as steep as may be, at one place, all of the amplitude on it: the bound says 10 % at most.
        transformer = IntegralTransformer(1, 1).double()
        with torch.no_grad():
            transformer.w.fill_(1e9)
            transformer.a.weight.fill_(1e9)
        for move in torch.linspace(-5, 5, 21).tolist():
            with torch.no_grad():
                transformer.b.fill_(-move)
            x = torch.linspace(-5, 5, 400, dtype=torch.float64, requires_grad=True)
            for side in (-1.0, 1.0):
                z, log_slope = transformer.inverse(x, torch.full((2, 400), side, dtype=torch.float64))
                (slope,) = torch.autograd.grad(z.sum(), x)
                assert ((slope / log_slope.exp() - 1).abs() < 0.1).all()


class TestUnitsPart:
    """Units that are equal, with equal gradients, would stay equal."""

    @staticmethod
    def after_a_step(transformer) -> Tensor:
        x = torch.linspace(-4, 4, 201, dtype=torch.float64)
        parameters = torch.zeros(transformer.size, 1, dtype=torch.float64, requires_grad=True)
        z, log_derivative = transformer.inverse(x, parameters.expand(-1, 201))
        loss = (z**2 / 2 - log_derivative) @ torch.exp(-((x.abs() - 1.5) ** 2))
        return -0.1 * torch.autograd.grad(loss, parameters)[0] / 201

    def test_of_the_mixture(self):
        transformer = NeuralTransformer(8)
        steps = self.after_a_step(transformer).unflatten(0, (3, 8))[..., 0]
        for step in steps:  # of weights, of slopes, of places
            assert step.std() > 0.05 * step.abs().max()

    def test_of_the_squares(self):
        transformer = SumOfSquaresTransformer(3, 4)
        a, _ = transformer._coefficients(self.after_a_step(transformer))
        values = torch.linalg.svdvals(a[:, :, 0])
        assert values[1] > 1e-4 * values[0]  # proportional polynomials would be one square


def test_flows_are_the_standardised_gaussian_at_first():
    x = torch.randn(50, 3) * torch.tensor([3.0, 0.1, 1.0])
    expected = torch.distributions.Normal(x.mean(0), x.std(0)).log_prob(x).sum(1)
    for build in (pf.flows.neural_autoregressive, pf.flows.umnn, pf.flows.bernstein, pf.flows.sum_of_squares):
        got = build(x, hidden=[8]).eval().log_prob(x)
        if build is pf.flows.neural_autoregressive:  # near it: five layers, each with slopes within 12 % of 1
            assert (got - expected).mean().abs() < 0.3
            assert (got - expected).abs().max() < 5 * 3 * 0.12
        else:
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=2e-4)
