"""D7: the solvers of stochastic equations have the strong order they declare, on paths that are Brownian motion.

Oracles: solutions in closed form as functions of the same path; moments of the discrete and of the continuous process in closed
form; scipy's Kolmogorov-Smirnov and normal laws; autodiff and finite differences.
"""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.parts.diffeq import (
    BrownianPath,
    DiffusionTerm,
    EulerMaruyama,
    Heun,
    Milstein,
    ReversibleHeun,
    StochasticHeun,
    StochasticRungeKutta,
    WienerIncrements,
    ito_to_stratonovich,
    march,
    solve,
    stratonovich_to_ito,
)
from tests.cases import CASES

BUDGET = 1e-5
TAIL = stats.norm.isf(BUDGET / 2)
SOLVERS = {name: build for name, build in CASES["solvers"].items() if hasattr(build(), "strong_orders")}
SOLVERS |= {"Milstein, autodiff": lambda: Milstein(derivative="autodiff"),
            "Milstein, Stratonovich": lambda: Milstein("stratonovich")}  # fmt: skip
ORDERS = [(name, kind) for name, build in SOLVERS.items() for kind in build().strong_orders]
ROWS, FINE, LEVEL, LOUD, SPEED = 1500, 1024, 0.8, 1.5, 1.3


def tensor(values) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def times(t: float, rows: int = ROWS) -> Tensor:
    return torch.full((rows,), t, dtype=torch.float64)


# --- strong orders ---


def diagonal(interpretation: str, path: BrownianPath):
    """y = tanh(a W + artanh y0) solves dy = a (1 - y^2) o dW, in two components with the same a."""
    start = tensor([0.3, -0.5]).expand(ROWS, 2)
    correct = 1.0 if interpretation == "ito" else 0.0
    truth = torch.tanh(LEVEL * path.evaluate(times(1.0)) + torch.atanh(start))
    return lambda t, y: -correct * LEVEL**2 * y * (1 - y**2), lambda t, y: LEVEL * (1 - y**2), start, truth


def scalar(interpretation: str, path: BrownianPath):
    """Geometric Brownian motion of two components that share one noise."""
    start, w = tensor([1.0, 2.0]).expand(ROWS, 2), path.evaluate(times(1.0))[:, None]
    rate = 0.4 - (0.5 * LEVEL**2 if interpretation == "ito" else 0.0)
    return lambda t, y: 0.4 * y, lambda t, y: LEVEL * y, start, start * torch.exp(rate + LEVEL * w)


def additive(interpretation: str, path: BrownianPath):
    """dy_1 = -s y_1 dt + (1 + t)^2 / 40 dW_1, and dy_2 = exp(-y_2) dt + a dW_2, for which y_2 = a W + log(e^y0 + int exp(-a W) dt).

    Integrals over cells are from the exact mean of the path there; about it E int (W - mean)^2 = width^2 / 6.
    """
    start, cells = tensor([1.0, 0.0]).expand(ROWS, 2), FINE // 2

    def weight(s: float) -> float:  # of dW_1(s) in y_1(1)
        return math.exp(-SPEED * (1 - s)) * (1 + s) ** 2 / 40

    width, w = 1 / cells, torch.zeros(ROWS, 2, dtype=torch.float64)
    by_parts, exponential = torch.zeros(ROWS, dtype=torch.float64), torch.ones(ROWS, dtype=torch.float64)
    for k in range(cells):
        dw, area = path.increment_and_area(k * width, (k + 1) * width, start)
        mean, middle = w + 0.5 * dw + area, (k + 0.5) * width
        by_parts = by_parts + width * weight(middle) * (SPEED + 2 / (1 + middle)) * mean[:, 0]
        exponential = exponential + width * (1 + LOUD**2 * width / 12) * torch.exp(-LOUD * mean[:, 1])
        w = w + dw
    truth = [math.exp(-SPEED) + weight(1.0) * w[:, 0] - by_parts, LOUD * w[:, 1] + exponential.log()]

    def g(t: Tensor, y: Tensor) -> Tensor:
        return torch.stack([(1 + t) ** 2 / 40, torch.full_like(t, LOUD)], -1)

    return lambda t, y: torch.stack([-SPEED * y[:, 0], torch.exp(-y[:, 1])], -1), g, start, torch.stack(truth, -1)


def general(interpretation: str, path: BrownianPath):
    """dy_1 = dW_1, dy_2 = y_1 dW_2: y_2 is the double integral that increments do not tell; here a fine sum of the same path."""
    steps = torch.stack([path.increment(k / FINE, (k + 1) / FINE, torch.zeros(ROWS, 2).double()) for k in range(FINE)])
    w1 = steps[..., 0].cumsum(0) - 0.5 * steps[..., 0]
    truth = torch.stack([steps[..., 0].sum(0), (w1 * steps[..., 1]).sum(0)], 1)

    def g(t: Tensor, y: Tensor) -> Tensor:
        one, none = torch.ones_like(y[:, 0]), torch.zeros_like(y[:, 0])
        return torch.stack([torch.stack([one, none], -1), torch.stack([none, y[:, 0]], -1)], 1)

    return (lambda t, y: 0 * y), g, torch.zeros(ROWS, 2).double(), truth


PROBLEMS = {"diagonal": (diagonal, 2), "scalar": (scalar, ()), "additive": (additive, 2), "general": (general, 2)}
MADE: dict = {}


def problem(kind: str, interpretation: str):
    if (kind, interpretation) not in MADE:
        make, shape = PROBLEMS[kind]
        path = BrownianPath(0.0, 1.0, shape, seed=5, tolerance=1 / FINE)
        MADE[kind, interpretation] = path, make(interpretation, path)
    return MADE[kind, interpretation]


# Two of the reversible solver's kinds of noise take as long as all the others together.
LONG = {("ReversibleHeun", "additive"), ("ReversibleHeun", "general")}


@pytest.mark.parametrize(
    ("name", "kind"), [pytest.param(*pair, marks=[pytest.mark.slow] if tuple(pair) in LONG else []) for pair in ORDERS]
)
def test_strong_order_is_the_declared_one(name, kind):
    """E|y - truth| over 1500 paths, on steps of 1/8 to 1/128 of one and the same path."""
    solver = SOLVERS[name]()
    path, (f, g, start, truth) = problem(kind, solver.interpretation)
    sizes = [1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128]
    term, errors = DiffusionTerm(g, path, kind, solver.interpretation), []
    with torch.no_grad():
        for size in sizes:
            found = solve([f, term], start, [0.0, 1.0], solver=solver, step_size=size).last_y
            errors.append(float((found - truth).norm(dim=1).mean()))
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert slope == pytest.approx(solver.strong_orders[kind], abs=0.2)


# --- moments ---


def mean_is(sample: Tensor, truth: float, bias: float = 0.0) -> bool:
    error = float(sample.std() / math.sqrt(sample.numel()))
    return abs(float(sample.mean()) - truth) < TAIL * error + bias


def test_moments_of_euler_maruyama_are_those_of_its_recursion():
    """E y = (1 + mu h)^n and E y^2 = ((1 + mu h)^2 + sigma^2 h)^n, which no wrong power of h gives."""
    mu, sigma, n, h = 0.3, 0.6, 8, 0.125
    for t in ([0.0, 1.0], tensor([[0.0, 1.0]]).expand(50_000, 2)):
        term = DiffusionTerm(lambda t, y: sigma * y, WienerIncrements(2, seed=3))
        y = solve(
            [lambda t, y: mu * y, term], torch.ones(50_000, 2).double(), t, solver=EulerMaruyama(), step_size=h
        ).last_y
        assert mean_is(y, (1 + mu * h) ** n)
        assert mean_is(y.square(), ((1 + mu * h) ** 2 + sigma**2 * h) ** n)
        assert mean_is(y[:, 0] * y[:, 1], (1 + mu * h) ** (2 * n))


def test_ito_and_stratonovich_differ_as_they_should():
    mu, sigma, start = 0.3, 0.7, torch.ones(100_000, 1)
    for solver, rate in ((Milstein(), mu), (StochasticHeun(), mu + sigma**2 / 2), (StochasticRungeKutta(), mu)):
        term = DiffusionTerm(lambda t, y: sigma * y, WienerIncrements(1, seed=4), interpretation=solver.interpretation)
        y = solve([lambda t, y: mu * y, term], start, [0.0, 1.0], solver=solver, step_size=1 / 32).last_y
        assert mean_is(y, math.exp(rate), bias=0.005)


@pytest.mark.parametrize("solver", [StochasticHeun(), ReversibleHeun()])
def test_a_stratonovich_equation_can_be_solved_back(solver):
    path = BrownianPath(0.0, 1.0, 2, seed=1, tolerance=1 / 512)
    term = DiffusionTerm(lambda t, y: 0.5 * torch.sin(y), path, interpretation="stratonovich")
    gaps = []
    for h in (1 / 64, 1 / 512):
        there = solve(
            [lambda t, y: torch.cos(y), term], torch.ones(200, 2).double(), [0.0, 1.0], solver=solver, step_size=h
        )
        back = solve([lambda t, y: torch.cos(y), term], there.last_y, [1.0, 0.0], solver=solver, step_size=h)
        gaps.append(float((back.last_y - 1).abs().mean()))
    assert gaps[1] < 0.01
    assert gaps[1] < 0.45 * gaps[0]


def field(kind: str):
    if kind in ("diagonal", "scalar"):
        return lambda t, y: torch.sin(y) * (1 + t[:, None]) + (0.3 * y.roll(1, 1) if kind == "scalar" else 0)
    if kind == "additive":
        return lambda t, y: (1 + t[:, None]) * torch.ones_like(y)
    return lambda t, y: torch.stack([y.roll(1, 1) ** 2, torch.cos(y), y * t[:, None], 1 + 0 * y], -1)


SHAPES = {"diagonal": 3, "scalar": (), "additive": 3, "general": 4}


@pytest.mark.parametrize("kind", SHAPES)
def test_the_correction_between_ito_and_stratonovich(kind):
    g, y, t = field(kind), torch.randn(5, 3, dtype=torch.float64), tensor([0.1, 0.2, 0.5, 0.0, 1.0])
    noise = DiffusionTerm(g, WienerIncrements(SHAPES[kind]), kind)
    turned, other = ito_to_stratonovich(lambda t, y: 2 * y, noise)
    assert (other.interpretation, other.noise) == ("stratonovich", kind)
    back = stratonovich_to_ito(turned, other)[0]
    for i in range(5):
        one = lambda x, i=i: g(t[i : i + 1], x[None])[0]  # noqa: E731
        jacobian, value = torch.autograd.functional.jacobian(one, y[i]), one(y[i])
        if kind == "general":
            exact = torch.einsum("jk,ikj->i", value, jacobian)
        elif kind == "scalar":
            exact = jacobian @ value
        else:
            exact = jacobian.diagonal() * value
        torch.testing.assert_close(turned.vector_field(t, y)[i], 2 * y[i] - 0.5 * exact)
    torch.testing.assert_close(back.vector_field(t, y), 2 * y)


# --- the path ---


def looks_normal(x: Tensor) -> None:
    assert stats.kstest(x.flatten().numpy(), "norm").pvalue > BUDGET


def uncorrelated(*x: Tensor) -> None:
    """Every pair of these standard normals."""
    for i, a in enumerate(x):
        for b in x[:i]:
            assert abs(float((a * b).mean()) * math.sqrt(a.numel())) < TAIL


@pytest.mark.parametrize("tolerance", [1 / 4, 1e-4])
def test_bridge(tolerance):
    """W(s) given W(a) and W(b) is normal about the line between them; all times random, of each row its own."""
    n, path = 20_000, BrownianPath(-1.0, 2.0, 2, seed=11, tolerance=tolerance)
    if tolerance < 0.01:
        t = (
            torch.rand(n, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
            .mul(3)
            .sub(1)
            .sort(1)
            .values
        )
    else:  # both ends are ends of intervals at the bottom: what lies within is made at once
        t = tensor([0.5, 0.5, 1.25]).expand(n, 3) + torch.rand(n, 1, dtype=torch.float64) * tensor([0.0, 0.75, 0.0])
    a, s, b = t.unbind(1)
    wa, ws, wb = path.evaluate(a), path.evaluate(s), path.evaluate(b)
    r = ((s - a) / (b - a))[:, None]
    inner = (ws - wa - r * (wb - wa)) / ((s - a) * (b - s) / (b - a)).sqrt()[:, None]
    early, outer = wa / (a + 1).sqrt()[:, None], (wb - wa) / (b - a).sqrt()[:, None]
    for x in (inner, early, outer):
        looks_normal(x)
    uncorrelated(inner, early, outer)
    uncorrelated(inner[:, 0], inner[:, 1])
    uncorrelated(early[:, 0], outer[:, 1])


def test_increments_and_areas_are_independent_and_normal():
    n, path = 10_000, BrownianPath(0.0, 1.0, (), seed=2, tolerance=1e-3)
    like, edges = torch.zeros(n).double(), (0.0, 0.113, 0.35, 0.5, 0.77, 1.0)
    found = []
    for low, high in pairwise(edges):
        w, area = path.increment_and_area(low, high, like)
        found += [w / math.sqrt(high - low), area / math.sqrt((high - low) / 12)]
    for x in found:
        looks_normal(x)
    uncorrelated(*found)
    # The area is that of the path: the mean of W(s) - W(0) over the steps, from many points.
    w, area = path.increment_and_area(0.2, 0.6, like[:200])
    middles = torch.arange(800).double().add(0.5).div(800) * 0.4 + 0.2
    sums = sum(path.increment(0.2, float(m), like[:200]) for m in middles) / 800
    torch.testing.assert_close(0.5 * w + area, sums, rtol=0, atol=1.5e-3)


def test_wiener_increments_are_independent_and_normal():
    like = torch.zeros(20_000, 2)
    for places in ((0, 1, 63, 64, 200), ((0, 0), (0, 1), (1, 0))):
        path, found = WienerIncrements(2, seed=7), []
        for place in places:
            path.seek(place)
            w, area = path.increment_and_area(0.5, 0.75, like)
            found += [w[:, 0] / 0.5, w[:, 1] / 0.5, area[:, 0] / math.sqrt(0.25 / 12)]
        for x in found:
            looks_normal(x)
        uncorrelated(*found)


def test_answers_do_not_depend_on_what_was_asked_before():
    t = torch.rand(6, 30, dtype=torch.float64).mul(2)
    path = BrownianPath(0.0, 2.0, (2, 3), seed=1)
    first = [path.evaluate(s) for s in t.unbind(1)]
    again = [path.evaluate(s) for s in t.flip(1).unbind(1)][::-1]
    fresh = [BrownianPath(0.0, 2.0, (2, 3), seed=1).evaluate(s) for s in t.unbind(1)]
    alone = [BrownianPath(0.0, 2.0, (2, 3), seed=1, start=2).evaluate(s[2:4]) for s in t.unbind(1)]
    for a, b, c, d in zip(first, again, fresh, alone):
        assert torch.equal(a, b)
        assert torch.equal(a, c)
        assert torch.equal(a[2:4], d)
    low, middle, high = t[:, :3].sort(1).values.unbind(1)
    whole = path.increment(low, high)
    torch.testing.assert_close(path.increment(low, middle) + path.increment(middle, high), whole, rtol=0, atol=1e-12)
    assert not torch.equal(BrownianPath(0.0, 2.0, (2, 3), seed=2).evaluate(high), path.evaluate(high))
    assert torch.equal(path.increment(0.0, 1.7, torch.zeros(6)), path.evaluate(times(1.7, 6)).float())


def test_refining_keeps_what_is_known():
    rough, fine = BrownianPath(0.0, 1.0, 3, seed=9, tolerance=1 / 16), BrownianPath(0.0, 1.0, 3, seed=9, tolerance=1e-5)
    for k in range(17):
        torch.testing.assert_close(
            rough.evaluate(times(k / 16, 4)), fine.evaluate(times(k / 16, 4)), rtol=0, atol=1e-12
        )
    grid = torch.linspace(0, 1, 2**10 + 1).double()
    path = torch.stack([fine.evaluate(t.expand(4)) for t in grid])
    variation = path.diff(dim=0).square().sum(0)  # quadratic variation of a path is the time it took
    np.testing.assert_allclose(variation, 1.0, atol=TAIL * math.sqrt(2 / 2**10))


@pytest.mark.parametrize("make", [lambda: WienerIncrements(2, seed=3), lambda: BrownianPath(0.0, 1.0, 2, seed=3)])
@pytest.mark.parametrize("solver", [EulerMaruyama(), StochasticRungeKutta()])
def test_no_row_depends_on_the_batch(make, solver):
    own = tensor([[0.0, 0.3, 1.0], [0.2, 0.2, 0.5], [0.0, 0.9, 1.0], [0.1, 0.15, 0.9]])
    y0 = torch.randn(4, 2).double()
    for t in (tensor([0.0, 0.4, 1.0]), own):
        every = solve(_terms(make()), y0, t,
                      solver=solver, step_size=0.07)  # fmt: skip
        few = solve(_terms(make()), y0[:2], t if t.ndim == 1 else t[:2], solver=solver, step_size=0.07)
        torch.testing.assert_close(every.y[:, :2], few.y, rtol=0, atol=1e-14)
        again = solve(_terms(make()), y0, t, solver=solver, step_size=0.07)
        assert torch.equal(again.y, every.y)


def _terms(path, interpretation: str = "ito"):
    noise = DiffusionTerm(lambda t, y: 0.5 * torch.sin(y), path, interpretation=interpretation)
    return [lambda t, y: torch.cos(y) * (1 + t[:, None]), noise]


# --- gradients ---


def case(kind: str, weight: Tensor, solver, make):
    shape = {"diagonal": 2, "scalar": (), "additive": 2, "general": 3}[kind]

    def g(t: Tensor, y: Tensor) -> Tensor:
        if kind == "general":
            return torch.stack([torch.sin(y @ weight), y * t[:, None], torch.cos(y)], -1)
        return weight[0] * (1 + t[:, None]) + (0 * y if kind == "additive" else torch.sin(y))

    return [
        lambda t, y: torch.tanh(y @ weight) * (1 + t[:, None]),
        DiffusionTerm(g, make(shape), kind, solver.interpretation),
    ]


@pytest.mark.parametrize(("name", "kind"), [pair for pair in ORDERS if pair[0] in CASES["solvers"]])
@pytest.mark.parametrize("own", [False, True], ids=["(T,)", "(n, T)"])
def test_gradients_are_finite_differences_with_the_same_noise(name, kind, own):
    solver = SOLVERS[name]()
    y0, weight = (torch.randn(2, 2, dtype=torch.float64).requires_grad_() for _ in range(2))
    t = tensor([[0.0, 0.3, 1.0], [0.2, 0.6, 0.7]]) if own else tensor([0.0, 0.3, 1.0])
    rules = ["direct", "checkpointed", *(["reversible"] if name == "ReversibleHeun" else [])]

    def run(y0: Tensor, weight: Tensor, rule: str = "direct") -> Tensor:
        terms = case(kind, weight, solver, lambda shape: WienerIncrements(shape, seed=8))
        return solve(terms, y0, t, solver=solver, step_size=0.11, gradient=rule).y

    assert torch.autograd.gradcheck(run, (y0, weight), eps=1e-6, atol=1e-7, rtol=1e-6)
    found = [run(y0, weight, rule) for rule in rules]
    probe = torch.randn_like(found[0])
    gradients = [torch.autograd.grad((y * probe).sum(), (y0, weight)) for y in found]
    for y, gradient in zip(found[1:], gradients[1:]):
        torch.testing.assert_close(y, found[0], rtol=0, atol=1e-12)
        torch.testing.assert_close(gradient, gradients[0], rtol=0, atol=1e-10)


def test_reversible_gradients_along_a_path_and_of_an_ordinary_equation():
    weight = torch.randn(2, 2, dtype=torch.float64).requires_grad_()
    y0, t = torch.randn(3, 2, dtype=torch.float64).requires_grad_(), tensor([0.0, 0.3, 1.0]).requires_grad_()
    solver, found = ReversibleHeun(), []
    for rule in ("direct", "reversible"):
        terms = case("general", weight, solver, lambda shape: BrownianPath(0.0, 1.0, shape, seed=8))
        y = solve(terms, y0, t.detach(), solver=solver, step_size=0.05, gradient=rule).y
        z = solve(terms[:1], y0, t, solver=solver, step_size=0.07, gradient=rule).y
        probe = torch.linspace(-1, 1, y.numel()).double().reshape(y.shape)
        found.append(torch.autograd.grad(((y + z) * probe).sum(), (y0, weight, t)))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-10)


# --- the edges ---


def test_what_does_not_fit_is_refused():
    y0, path = torch.ones(3, 2), WienerIncrements(2)

    def go(solver, noise="diagonal", interpretation="ito", path=path, g=lambda t, y: y, **options):
        term = DiffusionTerm(g, path, noise, interpretation)
        return solve([lambda t, y: -y, term], y0, [0.0, 1.0], solver=solver, step_size=0.25, **options)

    with pytest.raises(ConfigError, match="ito_to_stratonovich"):
        go(StochasticHeun())
    with pytest.raises(ConfigError, match=r"Ito equation for Milstein.*stratonovich_to_ito"):
        go(Milstein(), interpretation="stratonovich")
    with pytest.raises(ConfigError, match=r"expected diagonal or additive or scalar noise for Milstein, got general"):
        go(Milstein(), "general")
    with pytest.raises(ConfigError, match="got Heun; take EulerMaruyama"):
        go(Heun())
    with pytest.raises(ConfigError, match='gradient="direct" or "checkpointed"'):
        go(EulerMaruyama(), gradient="adjoint")
    with pytest.raises(ConfigError, match="where the path was made"):
        go(EulerMaruyama(), path=BrownianPath(0.0, 0.5, 2))
    with pytest.raises(ConfigError, match="at least the tolerance"):
        go(EulerMaruyama(), path=BrownianPath(0.0, 1.0, 2, tolerance=0.5))
    with pytest.raises(ShapeError, match=r"a path of shape \(2,\)"):
        go(EulerMaruyama(), path=WienerIncrements(3))
    with pytest.raises(ShapeError, match=r"general noise of shape \(3, 2, 'm'\)"):
        go(EulerMaruyama(), "general")
    with pytest.raises(ConfigError, match="one DiffusionTerm, got 2"):
        solve([DiffusionTerm(lambda t, y: y, path)] * 2, y0, [0.0, 1.0], solver=EulerMaruyama())
    with pytest.raises(ConfigError, match="use BrownianPath"):
        path.increment(0.0, 1.0, y0)
    with pytest.raises(ConfigError, match="no Brownian path has a derivative"):
        solve(
            DiffusionTerm(lambda t, y: y, path), y0, torch.tensor([0.0, 1.0]).requires_grad_(), solver=EulerMaruyama()
        )
    assert go(StochasticHeun(), "additive", g=lambda t, y: torch.ones_like(y)).status.eq(0).all()


@pytest.mark.parametrize("name", SOLVERS)
def test_steps_without_length_change_nothing_and_trees_are_the_joined_state(name):
    solver = SOLVERS[name]()

    def noise(shape):
        return WienerIncrements(shape, seed=2)

    joined = solve(_terms(noise(3), solver.interpretation), torch.ones(4, 3), [0.0, 0.5, 0.5, 1.0], solver=solver)
    assert torch.equal(joined.y[1], joined.y[2])
    assert joined.y.isfinite().all()

    def split(x):
        return {"a": x[..., :1], "b": x[..., 1:]}

    def join(tree):
        return torch.cat([tree["a"], tree["b"]], 1)

    drift, term = _terms(noise(3), solver.interpretation)
    terms = [lambda t, y: split(drift(t, join(y))),
             DiffusionTerm(lambda t, y: split(term.g(t, join(y))), noise(3), interpretation=solver.interpretation)]  # fmt: skip
    tree = solve(terms, split(torch.ones(4, 3)), [0.0, 0.5, 0.5, 1.0], solver=solver)
    assert torch.equal(torch.cat([tree.y["a"], tree.y["b"]], -1), joined.y)


def test_marching_is_solving():
    terms = _terms(WienerIncrements(2, seed=1))
    *_, last = march(terms, torch.ones(3, 2), [0.0, 0.25, 0.5, 0.75, 1.0], solver=Milstein())
    assert torch.equal(last, solve(terms, torch.ones(3, 2), [0.0, 1.0], solver=Milstein(), step_size=0.25).last_y)
