"""D4: a continuous flow's log det is that of the map it solves, and the limit of discrete flows.

Oracles: determinants of Jacobians by automatic differentiation (LAPACK), the matrix exponential and DOP853 of scipy,
quadrature along its dense output, integrals of the density over a grid, means of estimates within their standard errors.
"""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad_vec, solve_ivp
from scipy.linalg import expm
from torch import Tensor, nn

import pushforward as pf
from pushforward.core.data import Batch
from pushforward.core.random import RowGenerator

TIGHT = {"rtol": 1e-9, "atol": 1e-10}


def stirred(module: nn.Module, scale: float = 0.5) -> nn.Module:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=scale)
    return module.double()


def rows(n: int, *event: int, seed: int = 1) -> Tensor:
    return torch.randn(n, *event, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


FIELDS = {
    "one hidden layer": lambda: stirred(pf.nn.VelocityMLP(3, [7])),
    "two hidden layers": lambda: stirred(pf.nn.VelocityMLP(3, [7, 6], "softplus"), 0.4),
    "three hidden layers": lambda: stirred(pf.nn.VelocityMLP(2, [6, 5, 4])),
    "planar": lambda: stirred(pf.bijections.PlanarField(2, width=5, hidden=[4])),
    "images": lambda: stirred(pf.nn.VelocityConvNet((1, 2, 2), width=3, layers=3), 0.3),
}


class Linear(nn.Module):
    """f = cos(t) A z: a field without a trace of its own."""

    def __init__(self, matrix: Tensor):
        super().__init__()
        self.matrix, self.event_shape = matrix, torch.Size((len(matrix),))

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        return t.cos()[:, None] * (z @ self.matrix.T)


def jacobian(f, z: Tensor) -> Tensor:
    """df/dz of one event, as a matrix."""
    return torch.autograd.functional.jacobian(lambda z: f(z[None])[0].flatten(), z).reshape(z.numel(), z.numel())


@pytest.mark.parametrize("name", FIELDS)
class TestFields:
    def test_the_trace_is_that_of_the_jacobian_of_the_field(self, name):
        field = FIELDS[name]()
        z, t = rows(4, *field.event_shape), torch.linspace(0, 1, 4, dtype=torch.float64)
        expected = [jacobian(lambda z, t=t[i : i + 1]: field(t, z), z[i]) for i in range(4)]
        if hasattr(field, "value_and_trace"):
            f, trace = field.value_and_trace(t, z)
            torch.testing.assert_close(f, field(t, z))
            torch.testing.assert_close(trace, torch.stack([matrix.trace() for matrix in expected]))
        if hasattr(field, "value_and_tangents"):
            v = rows(8, *field.event_shape, seed=2).reshape(2, 4, *field.event_shape)
            f, moved = field.value_and_tangents(t, z, v)
            torch.testing.assert_close(f, field(t, z))
            for k in range(2):
                for i in range(4):
                    torch.testing.assert_close(moved[k, i].flatten(), expected[i] @ v[k, i].flatten())

    def test_gradients_of_value_and_trace_are_finite_differences(self, name):
        field = FIELDS[name]()
        names = [key for key, _ in field.named_parameters()]
        call = "value_and_trace" if hasattr(field, "value_and_trace") else "value_and_tangents"
        v = () if call == "value_and_trace" else (rows(2, *field.event_shape, seed=2)[None],)

        def run(amount: Tensor, t: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
            parameters = {f"inner.{k}": p + amount * dot for k, p, dot in zip(names, field.parameters(), dots)}
            return torch.func.functional_call(_Call(field, call), parameters, (t, z, *v))

        dots = [rows(1, *p.shape, seed=3)[0] for p in field.parameters()]
        inputs = torch.zeros((), dtype=torch.float64), torch.rand(2, dtype=torch.float64), rows(2, *field.event_shape)
        assert torch.autograd.gradcheck(run, tuple(x.requires_grad_() for x in inputs))

    def test_log_det_is_that_of_the_solved_map(self, name):
        part = pf.bijections.Continuous(FIELDS[name](), trace="exact", **TIGHT)
        z = rows(2, *part.event_shape)
        x, log_det = part.forward(z)
        again, back = part.inverse(x)
        for i in range(2):
            for value, one, found in (
                (z[i], lambda z: part.forward(z)[0], log_det[i]),
                (x[i], lambda x: part.inverse(x)[0], back[i]),
            ):
                expected = torch.linalg.slogdet(jacobian(one, value.detach()))
                assert expected.sign > 0
                torch.testing.assert_close(found, expected.logabsdet, rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(again, z, rtol=1e-7, atol=1e-7)
        torch.testing.assert_close(back, -log_det, rtol=1e-7, atol=1e-7)


class _Call(nn.Module):
    def __init__(self, inner: nn.Module, name: str):
        super().__init__()
        self.inner, self.name = inner, name

    def forward(self, *given: Tensor) -> tuple[Tensor, Tensor]:
        return getattr(self.inner, self.name)(*given)


def test_a_linear_field_is_a_matrix_exponential_and_log_det_its_trace():
    matrix = rows(3, 3)
    part = pf.bijections.Continuous(Linear(matrix), **TIGHT)
    z = rows(5, 3, seed=2)
    x, log_det = part.forward(z)
    total = math.sin(1) * matrix  # int_0^1 cos t dt A
    torch.testing.assert_close(x, z @ torch.from_numpy(expm(total.numpy())).T, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(log_det, total.trace().expand(5), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("scale", [0.3, 0.6])
def test_the_density_integrates_to_one(scale):
    flow = stirred(pf.flows.ffjord(features=2, hidden=[16]), scale)
    side = torch.linspace(-8, 8, 141, dtype=torch.float64)
    with torch.no_grad():
        density = flow.log_prob(torch.cartesian_prod(side, side)).exp().reshape(141, 141)
    total = torch.trapezoid(torch.trapezoid(density, side), side)
    assert abs(total - 1) < 1e-3


@pytest.mark.parametrize("name", ["two hidden layers", "planar"])
def test_it_is_the_limit_of_residual_flows(name):
    # N layers z + f(t_i, z) / N have log det sum_i log det(I + df/dz / N); the gap to the limit is of order 1 / N.
    field = FIELDS[name]()
    z0 = rows(2, *field.event_shape)
    x, log_det = pf.bijections.Continuous(field, **TIGHT).forward(z0)
    gaps = []
    for layers in (20, 40, 80):
        z, total = z0, torch.zeros(2, dtype=torch.float64)
        for i in range(layers):
            t = torch.tensor([i / layers], dtype=torch.float64)
            maps = [jacobian(lambda z, t=t, h=1 / layers: z + field(t, z) * h, row) for row in z]
            total = total + torch.stack([torch.linalg.slogdet(matrix).logabsdet for matrix in maps])
            z = (z + field(t.expand(2), z) / layers).detach()
        gaps.append(torch.cat([(z - x).norm()[None], (total - log_det).abs()]).detach())
    for coarse, fine in pairwise(gaps):
        assert (gaps[-1] < 0.05).all()
        assert (coarse / fine - 2).abs().max() < 0.35


@pytest.mark.parametrize("probe", ["rademacher", "gaussian", "of rows"])
def test_estimated_log_dets_average_to_the_exact_one(probe):
    field, n = FIELDS["two hidden layers"](), 3000
    one = rows(1, 3)
    if probe == "of rows":  # a function of the row: rows near one another, so that the exact ones differ little
        value = one + 3 * rows(n, 3, seed=2)
        estimate = pf.bijections.Continuous(field, "hutchinson", rtol=1e-6).eval()
    else:
        value = one.expand(n, 3)
        estimate = pf.bijections.Continuous(field, "hutchinson", probe, rtol=1e-6)
    torch.manual_seed(0)
    with torch.no_grad():
        exact = pf.bijections.Continuous(field, "exact", rtol=1e-6).inverse(value)[1]
        error = estimate.inverse(value)[1] - exact
        many = pf.bijections.Continuous(field, "hutchinson", probes=16, rtol=1e-6).inverse(value)[1] - exact
    assert error.std() > 0.01
    assert error.mean().abs() < 5 * error.std() / math.sqrt(n)
    if probe == "rademacher":
        assert abs(error.std() / many.std() - 4) < 0.4  # the spread of a mean of 16


def test_energies_are_integrals_along_the_path():
    field = FIELDS["two hidden layers"]()
    part = pf.bijections.Continuous(field, "exact", **TIGHT)
    x = rows(2, 3)
    _, log_det, kinetic, roughness = part.inverse_with_energies(x, None)
    for i in range(2):

        def f(t: float, z: np.ndarray) -> np.ndarray:
            return field(torch.tensor([t], dtype=torch.float64), torch.from_numpy(z)[None])[0].detach().numpy()

        path = solve_ivp(f, (1, 0), x[i].numpy(), "DOP853", dense_output=True, rtol=1e-11, atol=1e-12).sol

        def integrand(t: float) -> np.ndarray:
            z, now = torch.from_numpy(path(t)), torch.tensor([t], dtype=torch.float64)  # noqa: B023
            matrix = jacobian(lambda z: field(now, z), z)
            return np.array([matrix.trace(), np.square(f(t, path(t))).sum(), matrix.square().sum()])  # noqa: B023

        expected, _ = quad_vec(integrand, 0, 1, epsrel=1e-9)
        found = torch.stack([-log_det[i], kinetic[i], roughness[i]]).detach().numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_estimated_roughness_averages_to_the_exact_one():
    n = 2000
    for name, value in (("two hidden layers", rows(1, 3)), ("images", rows(1, 1, 2, 2))):
        field, many = FIELDS[name](), value.expand(n, *value.shape[1:])
        torch.manual_seed(0)
        with torch.no_grad():
            exact = pf.bijections.Continuous(field, "exact", rtol=1e-6).inverse_with_energies(value, None)[3]
            found = pf.bijections.Continuous(field, "hutchinson", rtol=1e-6).inverse_with_energies(many, None)[3]
        assert (found.mean() - exact).abs() < 5 * found.std() / math.sqrt(n)


def test_the_objective_adds_the_energies():
    flow = stirred(pf.flows.ffjord(features=2, condition=1, hidden=[6], layers=2, tolerance=1e-9))
    model = pf.flows.Regularised(flow, 0.3, 0.2)
    x, condition = rows(5, 2), rows(5, 1)
    batch, generator = Batch(x, condition), RowGenerator(0, 5)
    loss = model.objective(model, batch, generator)
    parts = [part for part in flow.bijection.parts if isinstance(part, pf.bijections.Continuous)]
    assert len(parts) == 2
    z, expected = x, -flow.log_prob(x, condition).mean()
    for part in reversed(list(flow.bijection.parts)):
        if part in parts:
            before, z = z, part.inverse(z, condition)[0]
            _, _, kinetic, roughness = part.inverse_with_energies(before, condition)
            expected = expected + (0.3 * kinetic + 0.2 * roughness).mean()
        else:
            z = part.inverse(z)[0]
    torch.testing.assert_close(loss.value, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(model.log_prob(x, condition), flow.log_prob(x, condition))


@pytest.mark.parametrize("gradient", ["auto", "checkpointed", "adjoint"])
def test_every_way_to_compute_gradients_gives_the_same(gradient):
    field, found = FIELDS["two hidden layers"](), {}
    for how in ("direct", gradient):
        part = pf.bijections.Continuous(field, gradient=how, **TIGHT)
        z = rows(3, 3).requires_grad_()
        x, log_det = part.forward(z)
        found[how] = torch.autograd.grad(x.square().sum() + log_det.sum(), [z, *field.parameters()])
    for a, b in zip(found["direct"], found[gradient]):
        torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("trace", ["exact", "hutchinson"])
def test_a_row_has_one_score_in_every_batch(trace):
    part = pf.bijections.Continuous(FIELDS["two hidden layers"](), trace).eval()
    x = 2 * rows(40, 3)
    _, whole = part.inverse(x)
    for a, b in ((0, 1), (3, 17), (17, 40)):
        torch.testing.assert_close(part.inverse(x[a:b])[1], whole[a:b], rtol=1e-9, atol=1e-9)
