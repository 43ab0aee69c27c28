"""The controller, the norm and the first step."""

import pytest
import torch

from pushforward.parts.diffeq import PID
from pushforward.parts.diffeq.step_size import error_norm, first_step


def run(pid: PID, norms: list[float], order: int = 5) -> list[float]:
    memory, factors = pid.start(torch.zeros(1)), []
    for norm in norms:
        value = torch.tensor([norm])
        factor, memory = pid.next(value, value <= 1, memory, order)
        factors.append(float(factor))
    return factors


def test_the_integral_controller_aims_at_the_tolerance():
    assert run(PID(), [1.0, 2.0**-5, 2.0**5]) == pytest.approx([0.9, 1.8, 0.45])
    assert run(PID(), [0.0, 1e9, float("inf"), float("nan")]) == pytest.approx([10.0, 0.2, 0.2, 0.2])
    assert run(PID(safety=0.5, shrink=0.1, grow=2.0), [1.0, 0.0, 1e9]) == pytest.approx([0.5, 2.0, 0.1])


def test_memory_is_of_accepted_steps():
    pid = PID(proportional=0.5, integral=0.5)
    first, second = run(pid, [0.1, 0.1])
    assert first == pytest.approx(0.9 * 0.1**-0.2)
    assert second == pytest.approx(0.9 * 0.1**-0.2 * 0.1**0.1)
    assert run(pid, [0.1, 50.0, float("nan"), 0.1])[-1] == pytest.approx(second)
    d = PID(integral=1.0, derivative=0.5)
    assert run(d, [0.1, 0.3, 0.2])[-1] == pytest.approx(0.9 * 0.2**-0.3 * 0.3**0.2 * 0.1**-0.1, rel=1e-5)


def test_the_norm_is_in_units_of_the_tolerance():
    y0, y1, error = torch.tensor([[1.0, -4.0]]), torch.tensor([[-2.0, 1.0]]), torch.tensor([[0.3, 0.5]])
    expected = (((0.3 / (0.1 + 0.5 * 2)) ** 2 + (0.5 / (0.1 + 0.5 * 4)) ** 2) / 2) ** 0.5
    assert float(error_norm(0.5, 0.1, y0)(error, y0, y1)) == pytest.approx(expected)
    assert float(error_norm(0.5, 0.1, y0[:, 0])(error[:, 0], y0[:, 0], y1[:, 0])) == pytest.approx(0.3 / 1.1)
    assert error_norm(0.5, 0.1, y0)(0 * error, y0, y1 / 0).isnan().all()


def test_the_first_step_follows_the_scale_of_the_problem():
    def rate(speed):
        y0, t0 = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
        norm = error_norm(1e-6, 1e-6, y0)
        return float(first_step(lambda t, y: -speed * y, t0, t0 + 100.0, y0, -speed * y0, 5, norm))

    assert 1e-3 < rate(1.0) < 1
    assert 1e-6 < rate(1000.0) < rate(1.0) / 20
    assert 0 < rate(0.0) <= 100


def test_the_first_step_stays_inside_and_finite():
    y0, t0 = torch.ones(3, 1), torch.zeros(3)
    span, norm = torch.tensor([-1e-3, 0.0, -5.0]), error_norm(1e-3, 1e-3, y0)
    wild = torch.tensor([[1.0], [1.0], [float("inf")]])
    h = first_step(lambda t, y: y.detach() * 0 + wild, t0, span, y0, wild, 5, norm)
    assert h.isfinite().all()
    assert h[1] == h[2] == 0
    assert -1e-3 <= h[0] < 0
