"""B10: the rational-quadratic spline is finite for every finite input, in both directions and on both tails, in float32.

Oracles: floating-point arithmetic itself (finite, monotone, undone by the inverse); the conditions a Hermite interpolant
meets at its knots, with the knots computed by numpy; automatic differentiation and finite differences for its gradient.
"""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pushforward.parts.bijections import CircularSplineTransformer, RationalQuadraticTransformer
from pushforward.parts.bijections.rational_quadratic import Spline, spline

DIRECTIONS = ["forward", "inverse"]


def extreme_points(bound: float, n: int, generator: torch.Generator) -> Tensor:
    """float32 numbers of every size and both signs, denormal ones and the largest too, half of them near the box.

    An eighth are bits at random, so that every exponent comes some hundred times among a million.
    """
    sign = torch.randint(0, 2, (n,), generator=generator) * 2.0 - 1
    x = sign * 10 ** torch.empty(n).uniform_(-46, 38.5, generator=generator)
    bits = torch.randint(-(2**31), 2**31, (n // 8,), generator=generator).to(torch.int32).view(torch.float32)
    x[-len(bits) :] = torch.where(torch.isfinite(bits), bits, torch.finfo(torch.float32).tiny)
    x[: n // 2] = torch.empty(n // 2).uniform_(-1.2 * bound, 1.2 * bound, generator=generator)
    edge = torch.tensor(bound)
    special = [edge, edge.nextafter(torch.tensor(math.inf)), edge.nextafter(torch.tensor(0.0)), torch.tensor(0.0),
               torch.tensor(1e-45), torch.tensor(torch.finfo(torch.float32).max)]  # fmt: skip
    x[: 200 * len(special)] = torch.stack(special).repeat(200)
    x[: 100 * len(special)] *= -1
    return x.clamp(-torch.finfo(torch.float32).max, torch.finfo(torch.float32).max)


def extreme_parameters(size: int, n: int, generator: torch.Generator) -> Tensor:
    """Ordinary parameters, large ones, parameters of every size up to 1e38, and zeros."""
    ordinary = torch.randn(size, n, generator=generator)
    scale = 10 ** torch.empty(n).uniform_(-46, 38, generator=generator)
    scale[: n // 2] = torch.empty(n // 2).uniform_(0, 30, generator=generator)
    scale[: n // 20] = 0
    return (ordinary * scale)[:, torch.randperm(n, generator=generator)].clamp(-3e38, 3e38)


@pytest.mark.parametrize(("bins", "bound", "n"), [(8, 5.0, 500_000), (2, 0.1, 50_000), (50, 100.0, 20_000)])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_value_and_gradient_are_finite_for_every_finite_input(direction, bins, bound, n):
    transformer, generator = RationalQuadraticTransformer(bins, bound), torch.Generator().manual_seed(bins)
    x, parameters = extreme_points(bound, n, generator), extreme_parameters(transformer.size, n, generator)
    x.requires_grad_()
    parameters.requires_grad_()
    out, log_derivative = getattr(transformer, direction)(x, parameters)
    bars = [torch.randn(n, generator=generator) for _ in range(2)]
    gradients = torch.autograd.grad((out, log_derivative), (x, parameters), bars)
    for result in (out, log_derivative, *gradients):
        assert torch.isfinite(result).all()
    outside = x.abs() > bound
    # The corner is computed, a sum over the bins, taken away and added back: some roundings.
    assert ((out - x).abs() <= (8 + bins / 4) * torch.finfo(torch.float32).eps * x.abs())[outside].all()
    assert (log_derivative[outside] == 0).all()
    assert (gradients[0][outside] == bars[0][outside]).all()
    assert (gradients[1][:, outside] == 0).all()
    assert (out.abs() <= bound * (1 + 1e-6))[~outside].all()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_it_starts_on_the_knots_themselves(direction):
    # The knots as float32 computes them: the look-up must not fall between two bins.
    transformer, generator = RationalQuadraticTransformer(8, 5.0), torch.Generator().manual_seed(0)
    parameters = 3 * torch.randn(transformer.size, 20_000, generator=generator)
    logits = parameters[7 + 8 * (direction == "forward") :][:8]
    inner = (logits.softmax(0) * (1 - 8e-3) + 1e-3).cumsum(0)[torch.arange(20_000) % 8, torch.arange(20_000)]
    knots = inner * 10 - 5
    ends = [knots.nextafter(torch.tensor(side * math.inf)) for side in (-1, 1)]
    knots, parameters = torch.cat([knots, *ends]).requires_grad_(), parameters.repeat(1, 3)
    out, log_derivative = getattr(transformer, direction)(knots, parameters)
    (gradient,) = torch.autograd.grad(out.sum() + log_derivative.sum(), knots)
    assert all(torch.isfinite(result).all() for result in (out, log_derivative, gradient))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_on_the_circle_every_finite_angle_gives_finite_values_and_gradients(direction):
    transformer, generator, n = CircularSplineTransformer(6), torch.Generator().manual_seed(4), 200_000
    x, parameters = extreme_points(math.pi, n, generator), extreme_parameters(transformer.size, n, generator)
    at_the_seam = torch.tensor([math.pi, -math.pi]).repeat(500)
    x[:1000], parameters[0, :500] = at_the_seam, 0  # no phase: the joint of the spline itself
    x[1000:2000] = at_the_seam.nextafter(3 * at_the_seam)
    x.requires_grad_()
    parameters.requires_grad_()
    out, log_derivative = getattr(transformer, direction)(x, parameters)
    bars = [torch.randn(n, generator=generator) for _ in range(2)]
    for result in (out, log_derivative, *torch.autograd.grad((out, log_derivative), (x, parameters), bars)):
        assert torch.isfinite(result).all()
    assert out.abs().max() <= torch.tensor(math.pi)  # where the uniform base has its density


@pytest.mark.parametrize("solve", [False, True], ids=["evaluate", "solve"])
def test_derivatives_on_the_circle_are_finite_differences(solve):
    generator = torch.Generator().manual_seed(5)
    x = torch.empty(6, dtype=torch.float64).uniform_(-3, 3, generator=generator).requires_grad_()
    parameters = (1.5 * torch.randn(9, 6, generator=generator, dtype=torch.float64)).requires_grad_()

    def pair(x, parameters):
        return Spline.apply(x, parameters, 3, math.pi, solve)[:2]

    assert torch.autograd.gradcheck(pair, (x, parameters))
    assert torch.autograd.gradgradcheck(pair, (x, parameters))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_it_never_decreases(direction):
    transformer, generator = RationalQuadraticTransformer(8, 5.0), torch.Generator().manual_seed(1)
    x = torch.linspace(-6, 6, 4001)[:, None].expand(-1, 100)
    parameters = 4 * torch.randn(transformer.size, 1, 100, generator=generator)
    out, _ = getattr(transformer, direction)(x, parameters.expand(-1, 4001, -1))
    # Neighbours may be one number in float32, and then differ by its last two places.
    assert out.diff(dim=0).min() >= -4 * torch.finfo(torch.float32).eps * 5


@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float32, 2e-5), (torch.float64, 1e-13)], ids=str)
def test_round_trip(dtype, allowed):
    transformer, generator = RationalQuadraticTransformer(8, 5.0), torch.Generator().manual_seed(2)
    x = torch.empty(50_000, dtype=dtype).uniform_(-7, 7, generator=generator)
    parameters = torch.randn(transformer.size, 50_000, generator=generator, dtype=torch.float64).to(dtype)
    z, there = transformer.inverse(x, parameters)
    again, back = transformer.forward(z, parameters)
    # Where the spline is flat, many x have one z: an error of z by one rounding is one of x by rounding / slope.
    assert ((again - x).abs() <= allowed * (1 + back.exp())).all()
    assert ((there + back).abs() <= 100 * allowed * (1 + back.exp())).all()


def test_it_interpolates_with_the_slopes_it_was_given():
    bins, bound = 6, 3.0
    transformer, rng = RationalQuadraticTransformer(bins, bound), np.random.default_rng(0)
    slopes, widths, heights = rng.normal(size=bins - 1), rng.normal(size=bins), rng.normal(size=bins)

    def knots(logits: np.ndarray) -> np.ndarray:
        shares = 1e-3 + (1 - 1e-3 * bins) * np.exp(logits) / np.exp(logits).sum()
        return np.concatenate([[0], shares.cumsum()]) * 2 * bound - bound

    x, y = torch.from_numpy(knots(widths)), torch.from_numpy(knots(heights))
    ends = np.exp(math.log(1e3) * np.tanh(np.concatenate([[0], slopes, [0]]) / math.log(1e3)))
    parameters = torch.from_numpy(np.concatenate([slopes, widths, heights]))[:, None]

    def g(points: Tensor) -> tuple[Tensor, Tensor]:
        return transformer.inverse(points, parameters.expand(-1, len(points)))

    for side in (-1e-9, 1e-9):  # the pieces on both sides of a knot
        out, log_slope = g(x + side)
        torch.testing.assert_close(out, y, rtol=0, atol=1e-7)
        torch.testing.assert_close(log_slope.exp(), torch.from_numpy(ends), rtol=1e-5, atol=0)
    # In the middle of a bin: Gregory and Delbourgo 1982, the member of the family whose denominator is symmetric.
    s = (y.diff() / x.diff()).numpy()
    middle, _ = g((x[1:] + x[:-1]) / 2)
    expected = y[:-1] + y.diff() * torch.from_numpy((s + ends[:-1]) / (2 * s + ends[:-1] + ends[1:]))
    torch.testing.assert_close(middle, expected, rtol=0, atol=1e-12)
    for k in range(bins):  # p(x) - y q(x) = 0 for quadratics p, q: six unknowns, so seven points leave a null vector
        points = torch.linspace(float(x[k]), float(x[k + 1]), 9, dtype=torch.float64)[1:-1]
        values = g(points)[0]
        u, v = (points - x[k]) / x.diff()[k], (values - y[k]) / y.diff()[k]
        system = torch.stack([u**0, u, u**2, -v, -v * u, -v * u**2], 1)
        assert torch.linalg.svdvals(system)[-1] < 1e-12


@pytest.mark.parametrize("solve", [False, True], ids=["evaluate", "solve"])
class TestGradient:
    """The gradient by hand, against finite differences and against automatic differentiation of the formula."""

    @staticmethod
    def problem(bins: int = 3, n: int = 5) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(3)
        x = torch.empty(n, dtype=torch.float64).uniform_(-4, 4, generator=generator)
        parameters = 1.5 * torch.randn(3 * bins - 1, n, generator=generator, dtype=torch.float64)
        return x.requires_grad_(), parameters.requires_grad_()

    # PyTorch compiles decompositions for forward mode with what it now deprecates.
    def test_first_and_second_derivatives_are_finite_differences(self, solve):
        def pair(x, parameters):
            return Spline.apply(x, parameters, 3, 3.0, solve)[:2]

        inputs = self.problem()
        assert torch.autograd.gradcheck(pair, inputs, check_forward_ad=True, check_batched_grad=True)
        assert torch.autograd.gradgradcheck(pair, inputs)

    def test_it_is_that_of_automatic_differentiation(self, solve):
        x, parameters = self.problem(9, 5000)
        bars = [torch.randn(5000, dtype=torch.float64) for _ in range(2)]
        by_hand = torch.autograd.grad(Spline.apply(x, parameters, 9, 3.0, solve)[:2], (x, parameters), bars)
        automatic = torch.autograd.grad(spline(x, parameters, 9, 3.0, solve)[:2], (x, parameters), bars)
        for ours, theirs in zip(by_hand, automatic):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)

    def test_each_output_alone_has_its_gradient(self, solve):
        x, parameters = self.problem()
        for which in (0, 1):
            by_hand = torch.autograd.grad(Spline.apply(x, parameters, 3, 3.0, solve)[which].sum(), (x, parameters))
            automatic = torch.autograd.grad(spline(x, parameters, 3, 3.0, solve)[which].sum(), (x, parameters))
            torch.testing.assert_close(by_hand, automatic, rtol=1e-9, atol=1e-9)

    def test_a_third_derivative_is_there_and_right(self, solve):
        x, parameters = self.problem()

        def thrice(function):
            first = torch.autograd.grad(function(x, parameters, 3, 3.0, solve)[1].sum(), x, create_graph=True)[0]
            second = torch.autograd.grad(first.sum(), x, create_graph=True)[0]
            return torch.autograd.grad(second.sum(), parameters)[0]

        torch.testing.assert_close(thrice(Spline.apply), thrice(spline), rtol=1e-9, atol=1e-9)

    def test_function_transforms(self, solve):
        x, parameters = self.problem()

        def total(x, parameters):
            out, log_derivative = Spline.apply(x[None], parameters[:, None], 3, 3.0, solve)[:2]
            return (out + log_derivative).sum()

        each = torch.func.vmap(torch.func.grad(total, argnums=(0, 1)), in_dims=(0, 1), out_dims=(0, 1))(x, parameters)
        out, log_derivative = Spline.apply(x, parameters, 3, 3.0, solve)[:2]
        at_once = torch.autograd.grad((out + log_derivative).sum(), (x, parameters))
        torch.testing.assert_close(each, at_once, rtol=1e-9, atol=1e-9)
