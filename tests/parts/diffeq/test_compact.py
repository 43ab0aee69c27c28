"""Adaptive solves that drop the samples which have arrived: the states and the gradients of `solve`."""

import pytest
import torch

import pushforward as pf
from pushforward.parts.diffeq.compact import TABLEAUX, solve_rows


@pytest.mark.parametrize("solver", list(TABLEAUX), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("times", [(0.0, 2.0), (1.5, -0.5)])
def test_it_is_the_ordinary_solve(solver, times):
    stiffness = torch.tensor([0.1, 1.0, 9.0], dtype=torch.float64)[:, None]
    weight = torch.tensor([[0.3, -1.0], [1.0, 0.2]], dtype=torch.float64, requires_grad=True)
    y0 = torch.tensor([[1.0, 0.0], [0.5, 2.0], [-1.0, 1.0]], dtype=torch.float64, requires_grad=True)

    def rate(t, y, rows):
        return stiffness[rows] * torch.sin(y @ weight) * t.cos()[:, None]

    found = {}
    for how in ("rows", "solve"):
        if how == "rows":
            y = solve_rows(rate, y0, *times, [weight], solver=solver(), rtol=1e-8, atol=1e-8)
        else:
            y = pf.diffeq.solve(
                lambda t, y: rate(t, y, torch.arange(3)), y0, times, solver=solver(), rtol=1e-8, atol=1e-8
            ).last_y
        found[how] = y, *torch.autograd.grad(y.square().sum(), [y0, weight])
    for a, b in zip(found["rows"], found["solve"]):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_a_sample_that_does_not_arrive_gives_none():
    def rate(t, y, rows):
        return y**2

    y0 = torch.tensor([[0.1], [2.0]])
    assert solve_rows(rate, y0, 0.0, 1.0, [], solver=pf.diffeq.Dopri5(), rtol=1e-5, atol=1e-5) is None
    y0 = torch.tensor([[0.1]])
    assert solve_rows(rate, y0, 0.0, 1.0, [], solver=pf.diffeq.Dopri5(), rtol=1e-9, atol=1e-9, max_steps=2) is None
