"""The tableaus are consistent, and the two ways to compute a step agree."""

import pytest
import torch

from pushforward.parts.diffeq import ODETerm, solvers
from pushforward.parts.diffeq.solvers import bosh3, dopri5, euler, heun, midpoint, rk4, runge_kutta, tsit5

TABLEAUS = {
    module.__name__.rpartition(".")[2]: module.TABLEAU for module in (bosh3, dopri5, euler, heun, midpoint, rk4, tsit5)
}


def field(t, y):
    return torch.sin(y.flip(1)) * torch.cos(t)[:, None]


@pytest.mark.parametrize("name", TABLEAUS)
def test_rows_sum_to_the_nodes(name):
    tableau = TABLEAUS[name]
    assert [sum(row) for row in tableau.a] == pytest.approx(tableau.c, abs=1e-14)
    assert sum(tableau.b) == pytest.approx(1, abs=1e-14)
    assert tableau.first_same_as_last == (name in ("bosh3", "dopri5", "tsit5"))
    if tableau.e is not None:
        assert sum(tableau.e) == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("name", ["bosh3", "dopri5", "tsit5"])
def test_dense_output_fits_both_ends(name):
    """y1 at theta = 1, and the slopes k_1 at 0 and k_s at 1."""
    tableau = TABLEAUS[name]
    rows = torch.tensor(tableau.dense(), dtype=torch.float64)
    torch.testing.assert_close(rows.sum(1), torch.tensor(tableau.b, dtype=torch.float64), rtol=0, atol=1e-13)
    start, end = rows[:, 0], rows @ torch.arange(1.0, 5.0, dtype=torch.float64)
    unit = torch.eye(len(tableau.b), dtype=torch.float64)
    torch.testing.assert_close(start, unit[0], rtol=0, atol=1e-13)
    torch.testing.assert_close(end, unit[-1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", TABLEAUS)
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("count", [1, 2])
def test_buffer_and_chain_agree(name, shared, count):
    tableau, terms = TABLEAUS[name], [ODETerm(field)] * count
    y0, start = torch.randn(5, 3, dtype=torch.float64), torch.full((5,), 0.3, dtype=torch.float64)
    t0, t1 = (0.3, 0.5) if shared else (start, start + 0.2)
    with torch.no_grad():
        carry = runge_kutta.init(tableau, terms, start, y0)
        y, error, after, stages = runge_kutta.step(tableau, terms, t0, t1, y0, carry)
        again = runge_kutta.step(tableau, terms, t0, t1, y0, carry._replace(workspace=after.workspace))[0]
    z, other, end, others = runge_kutta.step(tableau, terms, t0, t1, y0, carry)
    assert torch.equal(y, again)
    torch.testing.assert_close(y, z, rtol=0, atol=1e-15)
    if tableau.e is not None:
        torch.testing.assert_close(error, other, rtol=0, atol=1e-15)
    if tableau.first_same_as_last:
        torch.testing.assert_close(after.first, end.first, rtol=0, atol=1e-14)
    if not shared:
        torch.testing.assert_close(torch.stack(list(stages)), torch.stack(list(others)), rtol=0, atol=1e-15)
    y_each = runge_kutta.step(tableau, terms, start, start + 0.2, y0, carry)[0]
    torch.testing.assert_close(y, y_each, rtol=0, atol=1e-14)


def test_combination_of_stages():
    a, b = torch.tensor([1.0]), torch.tensor([10.0])
    assert runge_kutta.combine(a, (2.0, 0.0, 3.0), [a, b, b], 0.5).item() == 17
    assert runge_kutta.combine(None, (0.0, 3.0), [a, b], 1.0).item() == 30
    assert a.item() == 1


def test_names():
    assert {name: getattr(solvers, name)().order for name in solvers.__all__} == {
        "RK4": 4, "Bosh3": 3, "Dopri5": 5, "Dopri8": 8, "Euler": 1, "Heun": 2, "Kvaerno3": 3, "Kvaerno5": 5,
        "Midpoint": 2, "Tsit5": 5, "EulerMaruyama": 1, "Milstein": 1, "ReversibleHeun": 2, "StochasticHeun": 2,
        "StochasticRungeKutta": 2,
    }  # fmt: skip
