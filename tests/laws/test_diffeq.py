"""D1: `solve` gives the solution, at the order that each solver declares and to the tolerance that was asked for.

Oracles: scipy's DOP853 at tight tolerances, the matrix exponential, closed forms, finite differences.
"""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from torch import Tensor

from pushforward.parts.diffeq import (
    PID,
    RK4,
    Bosh3,
    ControlTerm,
    Euler,
    Heun,
    ODETerm,
    SolveError,
    Status,
    Tsit5,
    solve,
)
from pushforward.parts.diffeq.dense import interpolate
from tests.cases import CASES

SOLVERS = CASES["solvers"]
ADAPTIVE = [name for name, build in SOLVERS.items() if build().adaptive]
IMPLICIT = {
    "Kvaerno3",
    "Kvaerno5",
}  # many evaluations a step: what the explicit ones show too is left to the slow suite


def pairs(names: list[str], others: list) -> list:
    """Every solver with every other setting; the implicit ones with all but the first in the slow suite."""
    return [pytest.param(name, other, marks=[pytest.mark.slow] if name in IMPLICIT and k else [])
            for name in names for k, other in enumerate(others)]  # fmt: skip


SPIRAL = np.array([[-0.3, 2.0, 0.0], [-2.0, -0.3, 0.5], [0.1, 0.0, -0.8]])


def wobble(t: Tensor, y: Tensor) -> Tensor:
    """Smooth, nonlinear, and dependent on time in both components."""
    a, b = y.unbind(-1)
    return torch.stack([torch.sin(3 * t) * b - a**2, torch.cos(t) * a + 0.5 * b / (1 + t)], -1)


def lotka_volterra(t: Tensor, y: Tensor) -> Tensor:
    prey, hunters = y.unbind(-1)
    return torch.stack([1.5 * prey - prey * hunters, prey * hunters - 3 * hunters], -1)


def van_der_pol(t: Tensor, y: Tensor) -> Tensor:
    x, v = y.unbind(-1)
    return torch.stack([v, 2 * (1 - x**2) * v - x], -1)


def spiral(t: Tensor, y: Tensor) -> Tensor:
    return y @ torch.tensor(SPIRAL, dtype=y.dtype).T


PROBLEMS = {
    "lotka_volterra": (lotka_volterra, [[1.0, 1.0], [3.0, 0.5]], 5.0),
    "van_der_pol": (van_der_pol, [[2.0, 0.0], [0.1, -1.0]], 6.0),
    "spiral": (spiral, [[1.0, 0.0, -1.0], [0.2, 3.0, 0.5]], 4.0),
    "wobble": (wobble, [[0.5, 1.0], [1.0, -0.3]], 3.0),
}


def tensor(values) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def reference(f, y0: Tensor, t: np.ndarray) -> Tensor:
    """`(T, n, d)` by DOP853, one sample at a time."""

    def alone(t_: float, y: np.ndarray) -> np.ndarray:
        return f(tensor([t_]), tensor(y)[None])[0].numpy()

    paths = [solve_ivp(alone, (t[0], t[-1]), y.numpy(), "DOP853", t_eval=t, rtol=3e-14, atol=1e-15).y.T for y in y0]
    return tensor(np.stack(paths, 1))


def riccati(t: Tensor, y: Tensor) -> Tensor:
    """Smooth, nonlinear, dependent on time; chosen since no method's leading error nearly cancels on it."""
    a, b = y.unbind(-1)
    return torch.stack([t**2 - a**2, a - 2 * t * b**2], -1)


def slope(sizes, errors, corrections: int = 0) -> float:
    """p of the fit log error = const + p log h + c_1 h + c_2 h^2 + ...: h^p (1 + c h) is no higher power."""
    h = np.asarray(sizes)
    columns = [np.ones(len(h)), np.log(h), *(h**power for power in range(1, corrections + 1))]
    return float(np.linalg.lstsq(np.stack(columns, 1), np.log(errors), rcond=None)[0][1])


def largest(difference: Tensor) -> float:
    return float(difference.detach().abs().max())


@pytest.mark.parametrize(("name", "each"), pairs(list(SOLVERS), [False, True]))
def test_global_error_shrinks_at_the_declared_order(name, each):
    solver, end = SOLVERS[name](), 2.0
    field = wobble if name == "ReversibleHeun" else riccati  # it needs an equation that contracts little
    y0 = tensor([[0.5, 1.0], [1.0, 0.3]])
    truth = reference(field, y0, np.array([0.0, end]))[-1]
    counts = (16, 24, 32, 48, 64, 96, 128) if solver.order < 8 else (5, 6, 7, 8, 9, 10, 12, 14, 16, 20)
    sizes, errors = [end / steps for steps in counts], []
    times = tensor([[0.0, end]]).expand(2, 2) if each else [0.0, end]
    for size in sizes:
        with torch.no_grad():
            found = solve(field, y0, times, solver=solver, step_size=size)
        assert found.accepted.tolist() == [round(end / size)] * 2
        errors.append(float((found.last_y - truth).norm()))
    assert slope(sizes, errors, corrections=3) == pytest.approx(solver.order, abs=0.15)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_error_estimate_is_of_the_order_that_the_controller_assumes(name):
    solver, sizes, estimates = SOLVERS[name](), [0.2, 0.15, 0.1, 0.07, 0.05, 0.035], []
    y0, term = tensor([[0.5, 1.0]]), [ODETerm(riccati)]
    if solver.order == 8:  # a quotient of two estimates, which takes its power from smoother fields and longer steps
        sizes, y0, term = [0.5, 0.4, 0.3, 0.25, 0.2, 0.15], tensor([[1.0, 0.0, -1.0]]), [ODETerm(spiral)]
    for size in sizes:
        start, end = tensor([0.3]), tensor([0.3 + size])
        _, error, _ = solver.step(term, start, end, y0, solver.init(term, start, y0))
        estimates.append(float(error.norm()))
    assert slope(sizes, estimates, corrections=2) == pytest.approx(solver.order, abs=0.15)


@pytest.mark.parametrize(
    ("name", "order"), [("Bosh3", 4), ("Dopri5", 5), ("Dopri8", 8), ("Kvaerno3", 4), ("Kvaerno5", 5), ("Tsit5", 5)]
)
def test_dense_output_within_one_step(name, order):
    """Cubic Hermite misses by h^4, the quartics by h^5, and the polynomial of Dopri8 by h^8, between the ends of a step."""
    y0, sizes, errors = tensor([[0.5, 1.0], [1.0, 0.3]]), [0.2, 0.15, 0.1, 0.07, 0.05, 0.035], []
    if order == 8:
        sizes = [0.5, 0.4, 0.32, 0.26, 0.2, 0.16]
    solver, term, start = SOLVERS[name](), [ODETerm(riccati)], tensor([0.3, 0.3])
    for size in sizes:
        t = 0.3 + np.array([0.0, 0.3 * size, 0.71 * size, size])
        _, _, _, stages = solver.step_dense(term, start, start + size, y0, solver.init(term, start, y0))
        stages = torch.stack(list(stages), 1)
        found = [interpolate(solver.dense, torch.full_like(start, part), y0, stages) for part in (0.3, 0.71)]
        errors.append(float((torch.stack(found) - reference(riccati, y0, t)[1:3]).norm()))
    assert slope(sizes, errors, corrections=2) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_error_follows_the_tolerance(problem, direction):
    """At every save time, most of which lie between steps: a tenth of the tolerance is about a tenth of the error."""
    f, start, end = PROBLEMS[problem]
    t = np.linspace(0, end, 41)
    truth, begin = reference(f, tensor(start), t), tensor(start)
    if direction == "backward":  # from the true end, since some of these systems run backwards explode
        t = np.linspace(0.2 * end, 0, 41)
        forward = reference(f, begin, np.array([0, 0.2 * end]))[-1]
        begin, truth = forward, reference(f, forward, t)
    tolerances, errors = [1e-4, 1e-5, 1e-6, 1e-7, 1e-8], []
    for rtol in tolerances:
        with torch.no_grad():
            solution = solve(f, begin, t.tolist(), rtol=rtol, atol=rtol)
        assert solution.status.eq(Status.SUCCESS).all()
        assert torch.equal(solution.y[-1], solution.last_y)
        errors.append(largest(solution.y - truth))
    assert 0.75 < slope(tolerances, errors) < 1.25
    assert 1e-9 < errors[-1] < 1e-5


@pytest.mark.parametrize("name", ADAPTIVE)
def test_linear_system_is_the_matrix_exponential(name):
    t = np.linspace(0, 4, 9)
    y0 = tensor([[1.0, 0.0, -1.0], [0.2, 3.0, 0.5]])
    with torch.no_grad():
        solution = solve(spiral, y0, t.tolist(), solver=SOLVERS[name](), rtol=1e-8, atol=1e-8)
    truth = np.stack([y0.numpy() @ expm(SPIRAL * s).T for s in t])
    np.testing.assert_allclose(solution.y, truth, atol=1e-6)


@pytest.mark.parametrize("grad", [False, True], ids=["no_grad", "grad"])
@pytest.mark.parametrize("step_size", [None, 0.01])
def test_each_sample_has_times_of_its_own(step_size, grad):
    solver = Tsit5() if step_size is None else RK4()
    y0 = tensor([[1.0, 1.0], [3.0, 0.5], [2.0, 2.0], [1.0, 4.0]])
    t = tensor([[0.0, 0.5, 1.0, 2.0], [1.0, 1.1, 1.1, 6.0], [-1.0, 0.0, 0.001, 0.002], [3.0, 3.0, 3.0, 3.0]])
    with torch.set_grad_enabled(grad):
        solution = solve(wobble_up, y0, t, solver=solver, step_size=step_size, rtol=1e-9, atol=1e-9)
    for i in range(3):
        place = np.unique(t[i].numpy(), return_inverse=True)[1]
        truth = reference(wobble_up, y0[i : i + 1], np.unique(t[i].numpy()))[place, 0]
        np.testing.assert_allclose(solution.y[:, i], truth, atol=3e-7)
    assert torch.equal(solution.y[:, 3], y0[3].expand(4, 2))
    assert torch.equal(solution.last_t, t[:, -1])


def wobble_up(t: Tensor, y: Tensor) -> Tensor:
    a, b = y.unbind(-1)
    return torch.stack([torch.sin(3 * t) * b - a**2, torch.cos(t) * a + 0.2 * b], -1)


@pytest.mark.parametrize("grad", [False, True], ids=["no_grad", "grad"])
@pytest.mark.parametrize("kind", ["adaptive", "fixed"])
def test_no_sample_depends_on_the_others(kind, grad):
    """Alone, in company, and beside a sample that blows up: the same states, steps and status."""
    y0 = tensor([[2.0, 0.0], [0.1, -1.0], [0.5, 0.5], [1.0, 3.0], [-2.0, 1.0]])
    stiffness = tensor([1.0, 20.0, 0.1, 5.0, 2.0])
    t = tensor([[0.0, 1.0, 1.5], [0.0, 0.1, 2.0], [1.0, 2.0, 2.0], [0.0, 0.0, 1.3], [0.0, 0.5, 3.0]])
    options = {"solver": RK4(), "step_size": 0.03} if kind == "fixed" else {"rtol": 1e-6, "atol": 1e-6}

    def field(mu: Tensor, wild: Tensor):
        return lambda t, y: (
            torch.stack([y[:, 1], mu * (1 - y[:, 0] ** 2) * y[:, 1] - y[:, 0]], -1) + wild[:, None] * y**3
        )

    calm = torch.zeros(5, dtype=torch.float64)
    with torch.set_grad_enabled(grad):
        together = solve(field(stiffness, calm), y0, t, **options)
        beside = solve(field(stiffness, tensor([0, 0, 0, 0, 50.0])), y0, t, throw=False, **options)
        assert beside.status.ne(Status.SUCCESS).tolist() == [False, False, False, False, True]
        for i in range(5):
            alone = solve(field(stiffness[i : i + 1], calm[i : i + 1]), y0[i : i + 1], t[i : i + 1], **options)
            for company in (together, beside)[: 2 if i < 4 else 1]:
                torch.testing.assert_close(company.y[:, i], alone.y[:, 0], rtol=0, atol=1e-11)
                assert company.accepted[i] == alone.accepted[0]
                assert company.rejected[i] == alone.rejected[0]


@pytest.mark.parametrize("name", ADAPTIVE)
def test_solving_there_and_back_returns(name):
    y0 = tensor([[1.0, 1.0], [3.0, 0.5]])
    options = {"solver": SOLVERS[name](), "rtol": 1e-7, "atol": 1e-7}
    with torch.no_grad():
        there = solve(lotka_volterra, y0, [0.0, 2.0], **options)
        back = solve(lotka_volterra, there.last_y, [2.0, 1.0, 0.0], **options)
        middle = solve(lotka_volterra, y0, [0.0, 1.0], **options)
    torch.testing.assert_close(back.last_y, y0, rtol=0, atol=3e-5)
    torch.testing.assert_close(back.y[1], middle.last_y, rtol=0, atol=3e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("grad", [False, True], ids=["no_grad", "grad"])
def test_a_blow_up_ends_where_it_must_and_the_healthy_go_on(grad, dtype):
    """y' = y^2 from y0 is y0 / (1 - y0 t): infinite at t = 1 / y0."""
    y0 = torch.tensor([[0.1], [2.0], [-1.0]], dtype=dtype)
    t = [0.0, 0.25, 1.0, 5.0]
    with torch.set_grad_enabled(grad):
        solution = solve(lambda t, y: y**2, y0, t, throw=False)
    assert solution.status.tolist()[0::2] == [Status.SUCCESS, Status.SUCCESS]
    assert solution.status[1] in (Status.STEP_UNDERFLOW, Status.NON_FINITE)
    np.testing.assert_allclose(solution.y[:, 0, 0], 0.1 / (1 - 0.1 * np.array(t)), rtol=2e-4)
    np.testing.assert_allclose(solution.y[:, 2, 0], -1 / (1 + np.array(t)), rtol=2e-4)
    np.testing.assert_allclose(solution.y[:2, 1, 0], [2, 4], rtol=2e-4)
    assert float(solution.last_t[1]) == pytest.approx(0.5, abs=1e-3)
    assert solution.y.isfinite().all()
    assert torch.equal(solution.y[2:, 1], solution.last_y[1].expand(2, 1))
    assert float(solution.last_y[1]) > 1e3
    with pytest.raises(SolveError, match=r"all 3 samples .* got 1 .* sample 1, good until t = 0\.\d+ of 0 to 5"):
        solve(lambda t, y: y**2, y0, t)


def test_a_fixed_step_blow_up_holds_the_last_good_state():
    y0 = tensor([[0.1], [2.0]])
    solution = solve(lambda t, y: y**2, y0, np.linspace(0, 5, 101).tolist(), solver=Euler(), throw=False)
    assert solution.status.tolist() == [Status.SUCCESS, Status.NON_FINITE]
    assert solution.y.isfinite().all()
    assert 0.5 < float(solution.last_t[1]) < 2
    assert torch.equal(solution.y[-1], solution.last_y)
    with pytest.raises(SolveError, match="smaller step_size"):
        solve(lambda t, y: y**2, y0, np.linspace(0, 5, 101).tolist(), solver=Euler())


def test_a_jump_too_high_for_any_step_is_an_underflow_and_too_few_steps_are_said_so():
    heights = tensor([1.0, 1e40])
    cliff = solve(
        lambda t, y: heights[(t > 0.5).long()][:, None] + 0 * y, tensor([[0.0]]), [0.0, 0.4, 1.0], throw=False
    )
    assert cliff.status.tolist() == [Status.STEP_UNDERFLOW]
    assert float(cliff.last_t) == pytest.approx(0.5, abs=1e-9)
    np.testing.assert_allclose(cliff.y[:, 0, 0], [0, 0.4, 0.5], atol=1e-9)
    short = solve(van_der_pol, tensor([[2.0, 0.0]]), [0.0, 0.01, 20.0], max_steps=7, throw=False)
    assert short.status.tolist() == [Status.MAX_STEPS]
    assert int(short.accepted + short.rejected) == 7
    assert 0.01 < float(short.last_t) < 20
    np.testing.assert_allclose(
        short.last_y, reference(van_der_pol, tensor([[2.0, 0.0]]), np.array([0, float(short.last_t)]))[-1], atol=1e-4
    )


def test_a_state_that_overflows_is_not_taken_for_a_success():
    """The field stays finite and the error estimate small while the state leaves the range of float32."""
    y0 = torch.tensor([[3.0e38], [0.0]])
    solution = solve(lambda t, y: torch.full_like(y, 1e38), y0, [0.0, 3.0], throw=False)
    assert solution.status.tolist() == [Status.NON_FINITE, Status.SUCCESS]
    assert solution.y.isfinite().all()
    assert float(solution.last_t[0]) == pytest.approx(0.4028, abs=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("end", [1.0, 0.1, -0.3])
@pytest.mark.parametrize("name", SOLVERS)
def test_the_field_is_never_asked_outside_the_times(name, end, dtype):
    """A path may end in a singularity one rounding error further: 1 / sqrt(1 - t) and the like."""
    asked = []

    def field(t: Tensor, y: Tensor) -> Tensor:
        asked.append(t.clone())
        return -3 * y

    t = torch.tensor([0.7, 0.7 + end / 3, 0.7 + end], dtype=dtype)
    for step_size, times in ((None, t), (abs(end) / 7.3, t), (abs(end) / 7.3, t.expand(2, 3))):
        solve(field, torch.ones(2, 1, dtype=dtype), times, solver=SOLVERS[name](), step_size=step_size)
    low, high = min(t[0], t[-1]), max(t[0], t[-1])
    if name == "Kvaerno5":  # one of its stages lies at 1.23 h, as its docstring says
        low, high = low - 0.24 * (high - low), high + 0.24 * (high - low)
    assert all(low <= times.min() and times.max() <= high for times in asked)


@pytest.mark.parametrize(("name", "shape"), pairs(list(SOLVERS), ["(n, T)", "(T,)"]))
def test_gradients_of_fixed_steps_are_finite_differences(name, shape):
    """To the start, to the parameters and to the times."""

    def run(y0: Tensor, weight: Tensor, t: Tensor) -> Tensor:
        terms = [lambda t, y: torch.sin(y @ weight), lambda t, y: t[:, None] * y]
        return solve(terms, y0, t, solver=SOLVERS[name](), step_size=0.2).y[1:]

    y0, weight = torch.randn(2, 2, dtype=torch.float64), torch.randn(2, 2, dtype=torch.float64)
    t = tensor([0.1, 0.33, 0.95]) if shape == "(T,)" else tensor([[0.1, 0.33, 0.95], [0.5, 0.81, 1.0]])
    arguments = [value.requires_grad_() for value in (y0, weight, t)]
    assert torch.autograd.gradcheck(run, arguments, eps=1e-6, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize(("name", "shape"), pairs(ADAPTIVE, ["(n, T)", "(T,)"]))
def test_gradients_of_adaptive_steps_are_those_of_the_solution(name, shape):
    """y' = cos(t) A y has y = exp((sin t - sin t_0) A) y_0; save times lie between the steps."""
    y0, weight = torch.randn(2, 3, dtype=torch.float64), torch.randn(3, 3, dtype=torch.float64)
    t = tensor([0.1, 0.33, 0.8, 1.2]) if shape == "(T,)" else tensor([[0.1, 0.33, 0.7, 1.4], [0.5, 0.81, 1.2, 1.3]])
    arguments = [value.requires_grad_() for value in (y0, weight, t)]
    tolerance = 1e-7 if name == "Bosh3" else 1e-9
    found = solve(
        lambda t, y: torch.cos(t)[:, None] * (y @ weight.T),
        y0,
        t,
        solver=SOLVERS[name](),
        rtol=tolerance,
        atol=tolerance,
    )
    turned = torch.sin(t).expand(2, 4) - torch.sin(t).expand(2, 4)[:, :1]
    truth = torch.einsum("ntij,nj->tni", torch.matrix_exp(turned[..., None, None] * weight), y0)
    torch.testing.assert_close(found.y, truth, rtol=0, atol=100 * tolerance)
    weights = torch.randn_like(truth)
    for mine, exact in zip(
        torch.autograd.grad((found.y * weights).sum(), arguments),
        torch.autograd.grad((truth * weights).sum(), arguments),
    ):
        torch.testing.assert_close(mine, exact, rtol=0, atol=1e4 * tolerance)


def test_gradients_survive_a_trial_step_into_nothing():
    """y' = -sqrt(y): a long first trial is NaN, is thrown away, and must leave no trace in the gradient.

    y(t) = (sqrt(y0) - t/2)^2, so dy/dy0 = 1 - t / (2 sqrt(y0)).
    """
    y0 = tensor([[1.0], [4.0]]).requires_grad_()
    scale = tensor(1.0).requires_grad_()
    solution = solve(
        lambda t, y: -scale * y.sqrt(), y0, [0.0, 0.4, 1.0], step_size=PID(first_step=10.0), rtol=1e-9, atol=1e-9
    )
    wide = solve(
        lambda t, y: -scale * y.sqrt(), y0, [0.0, 2.4], step_size=PID(first_step=2.4), rtol=1e-9, atol=1e-9, throw=False
    )
    assert int(wide.rejected[0]) > 0
    assert wide.status.tolist() == [Status.NON_FINITE, Status.SUCCESS]
    (gradient,) = torch.autograd.grad(wide.last_y[1].sum(), y0, retain_graph=True)
    torch.testing.assert_close(gradient[1], tensor([1 - 2.4 / 4]), rtol=0, atol=1e-7)
    start, rate = torch.autograd.grad(solution.last_y.sum(), [y0, scale])
    torch.testing.assert_close(start, tensor([[0.5], [0.75]]), rtol=0, atol=1e-7)
    # d/d scale of (sqrt(y0) - scale t/2)^2 at scale = 1 is -t (sqrt(y0) - t/2).
    torch.testing.assert_close(rate, tensor(-0.5 - 1.5), rtol=0, atol=1e-7)


def test_a_controller_with_memory_gives_the_same_solution():
    truth = reference(van_der_pol, tensor([[2.0, 0.0]]), np.array([0.0, 6.0]))[-1]
    for controller in (PID(), PID(0.2, 0.65), PID(0.3, 0.4, 0.1), PID(first_step=1e-3)):
        solution = solve(van_der_pol, tensor([[2.0, 0.0]]), [0.0, 6.0], step_size=controller, rtol=1e-7, atol=1e-7)
        assert largest(solution.last_y - truth) < 2e-5
        assert 60 < int(solution.accepted) < 200


@pytest.mark.parametrize("event", [(), (1,), (2, 3), (2, 1, 2)])
def test_events_of_any_shape(event):
    y0 = torch.randn(4, *event, dtype=torch.float64)
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            for options in ({}, {"solver": Heun(), "step_size": 0.01}, {"solver": Bosh3(), "step_size": 0.01}):
                found = solve(lambda t, y: -2 * y, y0, [0.0, 0.3, 1.0], **options).y
                assert found.shape == (3, 4, *event)
                torch.testing.assert_close(found[-1], y0 * math.exp(-2), rtol=0, atol=1e-4)
                torch.testing.assert_close(found[1], y0 * math.exp(-0.6), rtol=0, atol=1e-4)


# --- controlled differential equations ---

CURVE = SimpleNamespace(evaluate=lambda t: torch.stack([torch.sin(2 * t), t**2], -1))
NOT_COMMUTING = torch.tensor([[[0.0, 1.0], [-1.0, 0.2]], [[0.5, 0.0], [0.3, -0.4]]], dtype=torch.float64)


def driven(t: Tensor, y: Tensor) -> Tensor:
    """`(n, 2, 2)`: dy = A_1 y dX_1 + A_2 y dX_2."""
    return torch.stack([y @ matrix.T for matrix in NOT_COMMUTING], -1)


def driven_by_hand(t: Tensor, y: Tensor) -> Tensor:
    slopes = torch.stack([2 * torch.cos(2 * t), 2 * t], -1)
    return (driven(t, y) * slopes[:, None]).sum(-1)


def test_controlled_equation_along_a_smooth_path():
    y0 = tensor([[1.0, 0.5], [-0.3, 2.0]])
    truth = reference(driven_by_hand, y0, np.array([0.0, 1.2]))[-1]
    term = ControlTerm(driven, CURVE)
    with torch.no_grad():
        found = solve(term.as_ode(), y0, [0.0, 1.2], rtol=1e-7, atol=1e-7).last_y
    np.testing.assert_allclose(found, truth, atol=1e-5)
    sizes = [1.2 / steps for steps in (12, 24, 48)]
    for terms, order in ((term.as_ode(), 4), (term, 2)):
        errors = [largest(solve(terms, y0, [0.0, 1.2], solver=RK4(), step_size=size).last_y - truth) for size in sizes]
        assert slope(sizes, errors) == pytest.approx(order, abs=0.2)


def test_controlled_equation_along_straight_pieces_has_the_full_order():
    """Increments are exact when steps end at the knots; the oracle is a product of matrix exponentials."""
    knots = tensor([[0.0, 0.0], [1.0, -0.5], [0.7, 0.4], [1.5, 1.0]])
    line = SimpleNamespace(evaluate=lambda t: knots[t.long().clamp(max=2)] + (t - t.long().clamp(max=2))[:, None]
                           * (knots[1:] - knots[:-1])[t.long().clamp(max=2)])  # fmt: skip
    y0 = tensor([[1.0, 0.5], [-0.3, 2.0]])
    flow = np.eye(2)
    for change in (knots[1:] - knots[:-1]).numpy():
        flow = expm(np.tensordot(change, NOT_COMMUTING.numpy(), 1)) @ flow
    sizes, errors = [1 / 4, 1 / 8, 1 / 16], []
    for size in sizes:
        with torch.no_grad():
            found = solve(ControlTerm(driven, line), y0, [0.0, 1.0, 2.0, 3.0], solver=RK4(), step_size=size).last_y
        errors.append(largest(found - y0 @ tensor(flow).T))
    assert slope(sizes, errors) == pytest.approx(4, abs=0.3)


def test_terms_add_up():
    y0, t = tensor([[1.0, 0.5], [-0.3, 2.0]]), [0.0, 0.5, 1.2]
    truth = reference(lambda t, y: wobble(t, y) + spiral_of_two(t, y), y0, np.array(t))
    with torch.no_grad():
        np.testing.assert_allclose(
            solve([wobble, ODETerm(spiral_of_two)], y0, t, rtol=1e-9, atol=1e-9).y, truth, atol=1e-7
        )
    mixed = [ODETerm(wobble), ControlTerm(driven, CURVE)]
    truth = reference(lambda t, y: wobble(t, y) + driven_by_hand(t, y), y0, np.array(t))
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            sizes = (0.05, 0.025)
            errors = [largest(solve(mixed, y0, t, solver=RK4(), step_size=size).y.detach() - truth) for size in sizes]
        assert slope(sizes, errors) == pytest.approx(2, abs=0.2)


def spiral_of_two(t: Tensor, y: Tensor) -> Tensor:
    return torch.stack([-y[:, 1], y[:, 0]], -1)
