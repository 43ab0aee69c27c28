"""D1: the implicit solvers on stiff problems, where explicit ones would need steps without number.

Oracles: closed forms, scipy's Radau at tight tolerances, the stability function by exact arithmetic, finite differences.
"""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from pushforward.parts.diffeq import Dopri5, Kvaerno3, Kvaerno5, Status, solve
from pushforward.parts.diffeq.solvers import kvaerno3, kvaerno5

SOLVERS = {"Kvaerno3": Kvaerno3, "Kvaerno5": Kvaerno5}
ONE_IS_ENOUGH = [
    "Kvaerno3",
    pytest.param("Kvaerno5", marks=pytest.mark.slow),
]  # for every change; both in the slow suite
TABLEAUS = {"Kvaerno3": kvaerno3.TABLEAU, "Kvaerno5": kvaerno5.TABLEAU}


def tensor(values) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def robertson(t: Tensor, y: Tensor) -> Tensor:
    a, b, c = y.unbind(-1)
    lost, made = -0.04 * a + 1e4 * b * c, 3e7 * b**2
    return torch.stack([lost, -lost - made, made], -1)


def radau(f, y0: Tensor, t, rtol: float = 1e-10, atol: float = 1e-13) -> Tensor:
    """`(T, d)` for one sample."""

    def alone(t_: float, y: np.ndarray) -> np.ndarray:
        return f(tensor([t_]), tensor(y)[None])[0].numpy()

    return tensor(solve_ivp(alone, (t[0], t[-1]), y0.numpy(), "Radau", t_eval=t, rtol=rtol, atol=atol).y.T)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_and_l_stability(name):
    """R(z) = 1 + z b (I - z A)^-1 1 is at most 1 on the imaginary axis and left of it, and 0 at infinity."""
    a = TABLEAUS[name].a
    matrix = np.array([[*row, *[0.0] * (len(a) - len(row))] for row in a])

    def gain(z: complex) -> float:
        return abs(1 + z * matrix[-1] @ np.linalg.solve(np.eye(len(a)) - z * matrix, np.ones(len(a))))

    axis = np.concatenate([np.linspace(0, 20, 400), np.geomspace(20, 1e5, 100)])
    assert max(gain(1j * w) for w in axis) <= 1 + 1e-12
    assert max(gain(-x + 1j * w) for x in (0.1, 1.0, 10.0, 1e3) for w in axis) <= 1
    assert gain(-1e9) < 1e-6
    # and the solver is that method: one step of y' = z y
    for z in (-0.5, -3.0, -50.0, -1e6):
        with torch.no_grad():
            found = solve(lambda t, y, z=z: z * y, tensor([[1.0]]), [0.0, 1.0], solver=SOLVERS[name](), step_size=1.0)
        assert abs(float(found.last_y)) == pytest.approx(gain(z), abs=1e-9)


@pytest.mark.parametrize("grad", [False, True], ids=["no_grad", "grad"])
@pytest.mark.parametrize("name", ONE_IS_ENOUGH)
def test_a_million_times_faster_than_its_solution(name, grad):
    """y' = L (y - cos t) follows cos t, by steps far longer than 1 / L; fixed ones of 0.05 too."""
    rate = tensor([-1e6, -1e4, -1.0])[:, None]
    with torch.set_grad_enabled(grad):
        for options in ({"rtol": 1e-6, "atol": 1e-6}, {"step_size": 0.05}):
            found = solve(
                lambda t, y: rate * (y - torch.cos(t)[:, None]),
                tensor([[1.0], [0.0], [0.0]]),
                [0.0, 10.0],
                solver=SOLVERS[name](),
                **options,
            )
            assert int((found.accepted + found.rejected)[:2].max()) < 300
            t = found.t[1:]
            for i in range(2):
                L = float(rate[i])
                truth = (L * L * torch.cos(t) - L * torch.sin(t)) / (1 + L * L)
                torch.testing.assert_close(found.y[1:, i, 0], truth, rtol=0, atol=1e-4)
            truth = 0.5 * (torch.cos(t) + torch.sin(t)) - 0.5 * torch.exp(-t)
            torch.testing.assert_close(found.y[1:, 2, 0], truth, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ONE_IS_ENOUGH)
def test_robertson(name):
    t = [0.0, 0.4, 40.0, 4e3, 1e5]
    y0 = tensor([[1.0, 0.0, 0.0], [0.5, 0.0, 0.5]])
    tolerance = 1e-5 if name == "Kvaerno3" else 1e-7
    with torch.no_grad():
        found = solve(robertson, y0, t, solver=SOLVERS[name](), rtol=tolerance, atol=1e-4 * tolerance)
    for i in range(2):
        np.testing.assert_allclose(found.y[:, i], radau(robertson, y0[i], t), rtol=1000 * tolerance, atol=1e-9)
    torch.testing.assert_close(found.y.sum(-1), torch.ones(5, 2, dtype=torch.float64), rtol=0, atol=1e-8)
    assert int(found.accepted.max()) < 600


@pytest.mark.slow
def test_van_der_pol_of_stiffness_1000_beside_calm_neighbours():
    """Over two relaxations; a step for each sample, so the calm ones take few."""
    mu = tensor([1000.0, 1.0, 100.0])

    def field(mu: Tensor):
        return lambda t, y: torch.stack([y[:, 1], mu * (1 - y[:, 0] ** 2) * y[:, 1] - y[:, 0]], -1)

    y0, t = tensor([[2.0, 0.0]]).expand(3, 2), tensor([[0.0, 500.0, 1200.0], [0.0, 1.0, 2.0], [0.0, 50.0, 120.0]])
    with torch.no_grad():
        found = solve(field(mu), y0, t, solver=Kvaerno5(), rtol=1e-7, atol=1e-7)
    for i in range(3):
        truth = radau(field(mu[i : i + 1]), y0[i], t[i].numpy(), 1e-10, 1e-10)
        np.testing.assert_allclose(found.y[:, i, 0], truth[:, 0], rtol=1e-4)
    assert int(found.accepted[0]) < 1500
    assert int(found.accepted[1]) < 60


@pytest.mark.parametrize("name", ONE_IS_ENOUGH)
def test_gradients_of_a_stiff_solve_are_finite_differences(name):
    def run(y0: Tensor, rates: Tensor, t: Tensor) -> Tensor:
        def field(t: Tensor, y: Tensor) -> Tensor:
            a, b = y.unbind(-1)
            return torch.stack([-rates[0] * (a - b**2), torch.sin(a) - rates[1] * b * a + t], -1)

        return solve(field, y0, t, solver=SOLVERS[name](), step_size=0.06).y[1:]

    y0, rates, t = tensor([[0.25, 0.5], [0.4, 0.6]]), tensor([200.0, 1.5]), tensor([0.0, 0.3, 1.0])
    arguments = [x.requires_grad_() for x in (y0, rates, t)]
    assert torch.autograd.gradcheck(run, arguments, eps=1e-6, atol=1e-6, rtol=1e-5)


def test_gradients_of_an_adaptive_stiff_solve_and_of_its_parameters():
    """y' = -L (y - c sin t) - from y0 = 0: c enters linearly, so dy/dc = y / c, and dy/dy0 = exp(-L t)."""
    c, y0 = tensor([2.0]).requires_grad_(), tensor([[0.0], [0.1]]).requires_grad_()
    found = solve(lambda t, y: -2e3 * (y - c * torch.sin(t)[:, None]), y0, [0.0, 1e-3, 2.0], solver=Kvaerno5(),
                  rtol=1e-8, atol=1e-10)  # fmt: skip
    (by_c,) = torch.autograd.grad(found.y[2, 0, 0], c, retain_graph=True)
    torch.testing.assert_close(by_c, (found.y[2, 0] / c).detach(), rtol=1e-6, atol=0)
    (by_y0,) = torch.autograd.grad(found.y[1].sum(), y0)
    torch.testing.assert_close(by_y0, torch.full_like(y0, np.exp(-2.0)), rtol=0, atol=1e-6)


def test_an_explicit_solver_needs_a_hundred_times_the_steps():
    rate, y0 = -1e4, tensor([[1.0]])
    options = {"rtol": 1e-6, "atol": 1e-6}
    with torch.no_grad():
        implicit = solve(lambda t, y: rate * (y - torch.cos(t)[:, None]), y0, [0.0, 1.0], solver=Kvaerno5(), **options)
        explicit = solve(lambda t, y: rate * (y - torch.cos(t)[:, None]), y0, [0.0, 1.0], solver=Dopri5(), **options)
    torch.testing.assert_close(implicit.last_y, explicit.last_y, rtol=0, atol=1e-5)
    assert int(explicit.accepted) > 100 * int(implicit.accepted)


@pytest.mark.slow
def test_stages_that_are_not_found_are_said_so_and_harm_nobody():
    """y' = y^2 blows up at t = 1 / y0; the step across has no solution for the implicit stage."""
    y0 = tensor([[2.0], [-1.0]])
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            fixed = solve(lambda t, y: y**2, y0, [0.0, 1.0], solver=Kvaerno5(), step_size=0.5, throw=False)
        with torch.no_grad():
            free = solve(lambda t, y: y**2, y0, [0.0, 1.0], solver=Kvaerno5(), rtol=1e-4, throw=False)
        assert fixed.status.tolist() == [Status.NON_FINITE, Status.SUCCESS]
        assert free.status[0] in (Status.NON_FINITE, Status.STEP_UNDERFLOW)
        assert free.status[1] == Status.SUCCESS
        assert float(free.last_t[0]) == pytest.approx(0.5, abs=1e-3)
        assert float(free.last_y[1]) == pytest.approx(-0.5, abs=1e-4)
        assert free.y.isfinite().all()
        assert fixed.y.isfinite().all()
