"""D6: a neural CDE solves dz = f(z) dX, and nothing but the path counts: neither its clock nor points that say nothing new.

Oracles: scipy's DOP853 along scipy's spline, the matrix exponential, finite differences, invariances.
"""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline
from scipy.linalg import expm
from torch import Tensor

import pushforward as pf
from pushforward.models.dynamics.control_field import TABLEAUS, fixed_path
from pushforward.models.dynamics.controlled_steps import controlled_path
from pushforward.parts.data import SeriesBatch
from pushforward.parts.diffeq.interpolation import linear, natural_cubic

from .test_interpolation import points


def field(hidden: int = 3, channels: int = 2, layers: int = 1, bounded: bool = True) -> pf.dynamics.ControlField:
    torch.manual_seed(0)
    made = pf.dynamics.ControlField(hidden, channels, width=8, layers=layers, bounded=bounded).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(std=0.5)
    return made


def batch(n: int = 3, instants: int = 7, channels: int = 2, share: float = 0.6) -> SeriesBatch:
    t, x = points(n, instants, channels)
    observed = torch.rand(x.shape, generator=torch.Generator().manual_seed(7)) < share
    observed[:, 0, 0] = True
    return SeriesBatch(t, torch.where(observed, x, 0.0), observed)


@pytest.mark.parametrize("solver", ["RK4", "Tsit5"])
def test_the_solution_along_a_spline(solver):
    """z by scipy from one end to the other, with scipy's own spline and numpy for f."""
    t, x = points(1, 6, 2, shortest=0.5)
    f, path, z0 = field(), natural_cubic(t, x), torch.randn(1, 3, dtype=torch.float64)
    if solver == "RK4":
        found = fixed_path(f, path, z0, pf.diffeq.RK4(), steps=200)[-1]
    else:
        along = pf.diffeq.ODETerm(lambda s, z: f.along(z, path.derivative(s)))
        found = pf.diffeq.solve(along, z0, t, solver=pf.diffeq.Tsit5(), rtol=1e-8, atol=1e-9).last_y
    spline = CubicSpline(t[0].numpy(), x[0].numpy(), bc_type="natural")
    (w0, b0), (w1, b1) = [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in f.layers]

    def slope(s: float, z: np.ndarray) -> np.ndarray:
        matrix = np.tanh(w1 @ np.maximum(w0 @ z + b0, 0) + b1).reshape(2, 3).T
        return matrix @ spline(s, 1)

    truth = solve_ivp(slope, (t[0, 0], t[0, -1]), z0[0].numpy(), "DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    np.testing.assert_allclose(found[0].detach(), truth, atol=2e-6)


@torch.no_grad()
def test_a_linear_equation_with_one_channel_has_a_closed_form():
    t, x = points(3, 8, 1, shortest=0.5)
    f = field(3, 1, layers=0, bounded=False)
    f.layers[0].bias.data.zero_()
    matrix = f.layers[0].weight
    z0 = torch.randn(3, 3, dtype=torch.float64)
    for path in (linear(t, x), natural_cubic(t, x)):
        states = fixed_path(f, path, z0, pf.diffeq.RK4(), steps=100)[::100]
        assert len(states) == 8
        for row in range(3):
            for k in range(8):
                moved = expm((matrix * (x[row, k, 0] - x[row, 0, 0])).numpy())
                np.testing.assert_allclose(states[k, row], moved @ z0[row].numpy(), atol=1e-6)


@torch.no_grad()
def test_another_clock_changes_nothing():
    t, x = points(4, 9, 2, shortest=0.5)
    f, z0 = field(layers=0), torch.randn(4, 3, dtype=torch.float64)
    # Fixed steps along lines: the times do not even enter.
    other = t + 0.9 * torch.sin(t) + 4
    assert (other.diff(dim=1) > 0).all()
    for solver in (pf.diffeq.Euler(), pf.diffeq.RK4()):
        first, second = (fixed_path(f, linear(s, x), z0, solver) for s in (t, other))
        torch.testing.assert_close(first, second, rtol=1e-12, atol=1e-12)
    # A curved path walked along by another clock, phi(s) = s + 0.9 sin(s), to the tolerance of the solver.
    path = natural_cubic(t, x)
    phi = torch.linspace(-8, 25, 200_001, dtype=torch.float64)
    start, end = (torch.from_numpy(np.interp(v, phi + 0.9 * torch.sin(phi), phi)) for v in (t[:, 0], t[:, -1]))

    def slow(s: Tensor, z: Tensor) -> Tensor:
        inside = torch.minimum(torch.maximum(s + 0.9 * torch.sin(s), t[:, 0]), t[:, -1])
        return f.along(z, path.derivative(inside) * (1 + 0.9 * torch.cos(s))[:, None])

    direct = fixed_path(f, path, z0, pf.diffeq.RK4(), steps=100)[-1]
    walked = pf.diffeq.solve(slow, z0, torch.stack([start, end], 1), rtol=1e-8, atol=1e-9).last_y
    torch.testing.assert_close(walked, direct, rtol=0, atol=1e-5)
    assert (direct - z0).abs().max() > 0.1


@torch.no_grad()
def test_a_point_that_says_nothing_new_changes_nothing():
    t, x = points(4, 9, 2, shortest=0.5)
    f, z0 = field(layers=0), torch.randn(4, 3, dtype=torch.float64)
    new = t[:, 3:4] + 0.3 * (t[:, 4:5] - t[:, 3:4])
    more = torch.cat([t[:, :4], new, t[:, 4:]], 1)
    on_line = linear(t, x).evaluate(new)
    for extra in (on_line, torch.full_like(on_line, torch.nan)):
        path = linear(more, torch.cat([x[:, :4], extra, x[:, 4:]], 1))
        ends = [fixed_path(f, p, z0, pf.diffeq.RK4(), steps=100)[-1] for p in (path, linear(t, x))]
        torch.testing.assert_close(*ends, rtol=0, atol=1e-9)


@pytest.mark.parametrize("bounded", [True, False])
@pytest.mark.parametrize("layers", [0, 1, 2])
@pytest.mark.parametrize("solver", TABLEAUS)
def test_gradients_are_those_of_finite_differences(solver, layers, bounded):
    f, tableau = field(3, 2, layers, bounded), TABLEAUS[solver]
    random = torch.Generator().manual_seed(1)
    z0 = torch.randn(2, 3, generator=random, dtype=torch.float64, requires_grad=True)
    moves = torch.randn(len(tableau.distinct), 3, 2, 2, generator=random, dtype=torch.float64, requires_grad=True)
    weights, biases = [layer.weight for layer in f.layers], [layer.bias for layer in f.layers]

    def states(z0: Tensor, moves: Tensor, *parameters: Tensor) -> Tensor:
        half = len(parameters) // 2
        return controlled_path(z0, moves, parameters[:half], parameters[half:], tableau, bounded)

    assert torch.autograd.gradcheck(states, (z0, moves, *weights, *biases))
    with torch.no_grad():  # another way through the code: nothing is kept
        torch.testing.assert_close(states(z0, moves, *weights, *biases), states(z0.clone(), moves, *weights, *biases))
    kept = states(z0, moves, *weights, *biases)
    with torch.no_grad():
        torch.testing.assert_close(states(z0, moves, *weights, *biases), kept)


@pytest.mark.parametrize("interpolation", ["hermite", "linear", "rectilinear"])
def test_the_state_knows_nothing_of_what_is_to_come(interpolation):
    model = pf.dynamics.neural_cde(channels=2, outputs=2, hidden=4, width=8, counts=True, causal=True,
                                   interpolation=interpolation).double()  # fmt: skip
    shown = batch()
    x = shown.x.clone().requires_grad_()
    states = model.states(SeriesBatch(shown.t, x, shown.observed))
    for k in range(7):
        (to_x,) = torch.autograd.grad(states[k].sum(), x, retain_graph=True, allow_unused=True)
        assert to_x[:, k + 1 :].abs().sum() == 0
        assert (to_x[:, : k + 1].abs().sum((1, 2)) > 0).all()
        fewer = SeriesBatch(shown.t[:, : k + 1], shown.x[:, : k + 1], shown.observed[:, : k + 1])
        torch.testing.assert_close(model.states(fewer)[k], states[k])


@pytest.mark.parametrize("interpolation", ["hermite", "natural", "linear", "rectilinear"])
def test_a_row_in_company_is_the_row_alone(interpolation):
    model = pf.dynamics.neural_cde(channels=2, outputs=3, hidden=4, width=8, counts=True, interpolation=interpolation).double()  # fmt: skip
    many = batch()
    padded = SeriesBatch(
        torch.cat([many.t, many.t[:, -1:].expand(3, 3)], 1),
        *(torch.cat([v, torch.zeros_like(v[:, :3])], 1) for v in (many.x, many.observed)),
    )
    together = model.predict(padded).logits
    for row in range(3):
        alone = SeriesBatch(*(getattr(many, name)[row : row + 1] for name in ("t", "x", "observed")))
        torch.testing.assert_close(model.predict(alone).logits, together[row : row + 1])
