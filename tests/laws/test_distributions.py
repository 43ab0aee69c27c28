"""A2: base distributions are the ones scipy knows, draw what they score, and carry true gradients.

Oracles: densities and distribution functions of scipy.stats, Kolmogorov-Smirnov with a false-alarm budget of 1e-5,
finite differences in float64.
"""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.parts.distributions import FullGaussian, Gaussian, Mixture, Uniform
from tests.cases import CASES

BUDGET = 1e-5
LOC, SCALE = np.array([0.5, -2.0, 10.0]), np.array([1.0, 0.01, 40.0])
LOWER = np.array([[1.0, 0.0, 0.0], [-2.0, 0.5, 0.0], [0.3, 0.1, 3.0]])
LOW, HIGH = np.array([-1.0, 2.0, 0.0]), np.array([1.0, 2.5, 100.0])
WEIGHTS, MEANS, WIDTHS = np.array([0.15, 0.6, 0.25]), np.array([-4.0, 0.0, 3.0]), np.array([1.0, 0.3, 2.0])


def build(name: str, dtype: torch.dtype = torch.float64) -> Distribution:
    def t(values):
        return torch.as_tensor(values, dtype=dtype)

    if name == "gaussian":
        return Gaussian(t(LOC), t(SCALE), learn=True)
    if name == "full":
        return FullGaussian(t(LOC), t(LOWER), learn=True)
    if name == "uniform":
        return Uniform(t(LOW), t(HIGH))
    bumps = [Gaussian(t([m, -m]), t([s, 1.0])) for m, s in zip(MEANS, WIDTHS)]
    return Mixture(t(WEIGHTS), bumps, learn=True)


def scipy_log_density(name: str, x: np.ndarray) -> np.ndarray:
    if name == "gaussian":
        return stats.norm(LOC, SCALE).logpdf(x).sum(-1)
    if name == "full":
        return stats.multivariate_normal(LOC, LOWER @ LOWER.T).logpdf(x)
    if name == "uniform":
        return stats.uniform(LOW, HIGH - LOW).logpdf(x).sum(-1)
    terms = [w * stats.multivariate_normal([m, -m], [s * s, 1.0]).pdf(x) for w, m, s in zip(WEIGHTS, MEANS, WIDTHS)]
    return np.log(np.sum(terms, 0))


NAMES = ["gaussian", "full", "uniform", "mixture"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)], ids=str)
def test_log_density_is_scipys(name, dtype, tolerance):
    model = build(name, dtype)
    generator = torch.Generator().manual_seed(1)
    spread = {"gaussian": SCALE, "full": SCALE[:1] * 3, "uniform": HIGH - LOW, "mixture": np.array([2.0])}[name]
    near = model.sample(100, generator=generator)
    # Far points as well: three spreads away, where the densities are small and the box is empty.
    far = 3 * torch.as_tensor(spread, dtype=dtype)
    x = torch.cat([near, near + far, near - far])
    expected = scipy_log_density(name, x.double().numpy())
    if name == "uniform":
        # float32 moves the faces of the box by a rounding error, so a draw next to one may be outside scipy's.
        keep = np.isfinite(expected) | (np.arange(300) >= 100)
        assert keep.mean() > 0.98
        x, expected = x[keep], expected[keep]
    np.testing.assert_allclose(model.log_prob(x).detach().numpy(), expected, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_samples_follow_scipys_distribution_functions(dtype):
    n, looks = 20_000, 3 + 4 + 3 + 2
    draw = {}
    for name in NAMES:
        draw[name] = build(name, dtype).sample(n, generator=torch.Generator().manual_seed(2)).double().numpy()
    direction = np.random.default_rng(0).normal(size=3)
    variance = direction @ LOWER @ LOWER.T @ direction
    tests = [(draw["gaussian"][:, i], stats.norm(LOC[i], SCALE[i]).cdf) for i in range(3)]
    tests += [(draw["full"][:, i], stats.norm(LOC[i], np.linalg.norm(LOWER[i])).cdf) for i in range(3)]
    tests += [(draw["full"] @ direction, stats.norm(LOC @ direction, variance**0.5).cdf)]
    tests += [(draw["uniform"][:, i], stats.uniform(LOW[i], HIGH[i] - LOW[i]).cdf) for i in range(3)]
    for column, widths, sign in ((0, WIDTHS, 1), (1, np.ones(3), -1)):
        parts = [stats.norm(sign * m, s).cdf for m, s in zip(MEANS, widths)]
        tests.append((draw["mixture"][:, column], lambda x, parts=parts: sum(w * f(x) for w, f in zip(WEIGHTS, parts))))
    assert len(tests) == looks
    for x, cdf in tests:
        assert stats.kstest(x, cdf).pvalue > BUDGET / looks


@pytest.mark.parametrize("name", ["gaussian", "uniform"])
def test_coordinates_are_independent(name):
    x = build(name).sample(20_000, generator=torch.Generator().manual_seed(3)).numpy()
    correlation = np.corrcoef(x.T)[np.triu_indices(3, 1)]
    assert (np.abs(correlation) * 20_000**0.5 < stats.norm.isf(BUDGET / 2 / 3)).all()


def test_a_mixture_draws_whole_components():
    # The two coordinates of one draw come from one component, so they vary together as the means (m_k, -m_k) do.
    n = 20_000
    x = build("mixture").sample(n, generator=torch.Generator().manual_seed(4)).numpy()
    products = (x[:, 0] - WEIGHTS @ MEANS) * (x[:, 1] + WEIGHTS @ MEANS)
    expected = -(WEIGHTS @ MEANS**2 - (WEIGHTS @ MEANS) ** 2)
    assert abs(products.mean() - expected) / (products.std() / n**0.5) < stats.norm.isf(BUDGET / 2)


def finite_differences(value, parameters: list[Tensor], step: float = 1e-5) -> list[Tensor]:
    """Central differences of `value()` in every number of every parameter."""
    gradients = []
    for parameter in parameters:
        gradient, flat = torch.zeros(parameter.numel(), dtype=torch.float64), parameter.data.view(-1)
        for i in range(len(flat)):
            start = flat[i].item()
            flat[i] = start + step
            up = value().item()
            flat[i] = start - step
            gradient[i] = (up - value().item()) / (2 * step)
            flat[i] = start
        gradients.append(gradient.view_as(parameter))
    return gradients


@pytest.mark.parametrize("name", ["gaussian", "full"])
def test_reparameterised_draws_have_true_gradients(name):
    model = build(name)

    def value():
        x = model.rsample(40, generator=torch.Generator().manual_seed(5))
        return (x / 10).sin().sum()

    for ours, theirs in zip(
        torch.autograd.grad(value(), list(model.parameters())), finite_differences(value, list(model.parameters()))
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["gaussian", "full", "mixture"])
def test_log_densities_have_true_gradients(name):
    model = build(name)
    x = model.sample(40, generator=torch.Generator().manual_seed(6))
    parameters = [*model.parameters(), x.requires_grad_()]

    def value():
        return model.log_prob(x).mean()

    for ours, theirs in zip(torch.autograd.grad(value(), parameters), finite_differences(value, parameters)):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def condition_for(model: Distribution, batch: int) -> Tensor | None:
    shape = model.condition_shape
    return None if shape is None else torch.linspace(-1, 1, shape.numel()).reshape(shape).expand(batch, *shape)


@pytest.mark.parametrize("name", CASES["distributions"])
def test_a_sample_is_the_same_whatever_the_batch(name):
    torch.manual_seed(0)
    model = CASES["distributions"][name]()
    few, many = (
        model.sample((), condition_for(model, n), generator=torch.Generator().manual_seed(7))
        if model.condition_shape is not None
        else model.sample(n, generator=torch.Generator().manual_seed(7))
        for n in (18, 1000)
    )
    torch.testing.assert_close(few, many[:18], rtol=1e-5, atol=1e-5)
    assert not torch.equal(few[0], few[1])


@pytest.mark.parametrize("name", CASES["distributions"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3)], ids=str)
def test_shapes_are_sample_then_event_also_through_torch(name, shape):
    torch.manual_seed(0)
    model = CASES["distributions"][name]()
    condition = None if model.condition_shape is None else torch.zeros(model.condition_shape)
    x = model.sample(shape, condition)
    assert x.shape == (*shape, *model.event_shape)
    view = model.as_torch(condition)
    assert view.sample(shape).shape == x.shape
    if model.log_prob_kind != "none":
        assert view.log_prob(x).shape == model.log_prob(x, condition).shape == shape
    if model.reparameterised and any(p.requires_grad for p in model.parameters()):
        assert view.rsample(shape).requires_grad


def test_outside_the_box_the_log_density_is_minus_infinity():
    box = Uniform(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 2.0]))
    x = torch.tensor([[0.5, 1.0], [0.0, 2.0], [1.5, 1.0], [0.5, torch.inf], [torch.nan, 1.0]], requires_grad=True)
    log_prob = box.log_prob(x)
    assert torch.allclose(log_prob[:2], -torch.tensor(2.0).log())
    assert log_prob[2:4].eq(-torch.inf).all()
    assert log_prob[4].isnan()  # a missing value is not a value outside
    log_prob[:3].sum().backward()
    assert x.grad is not None
    assert x.grad[:3].eq(0).all()
