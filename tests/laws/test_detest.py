"""D1: the DETEST problems of Hull, Enright, Fellen and Sedgwick (1972), and stiff ones of Enright, Hull and Lindberg (1975).

Oracle: scipy's DOP853 and Radau at tight tolerances. Each class of problems is there: single equations (A), small systems
(B), moderate systems (C), orbits (D), equations of higher order (E).
"""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from pushforward.parts.diffeq import Dopri5, Dopri8, Kvaerno5, Tsit5, solve


def columns(*values: Tensor) -> Tensor:
    return torch.stack(values, -1)


def orbit(t: Tensor, y: Tensor) -> Tensor:
    place, speed = y[:, :2], y[:, 2:]
    return torch.cat([speed, -place / place.norm(dim=1, keepdim=True) ** 3], 1)


def torus(t: Tensor, y: Tensor) -> Tensor:
    a, b, c = y.unbind(-1)
    r = (a**2 + b**2).sqrt()
    return columns(-b - a * c / r, a - b * c / r, a / r)


def chain(t: Tensor, y: Tensor) -> Tensor:
    flow = torch.cat([torch.zeros_like(y[:, :1]), y[:, :-1]], 1)
    return flow - torch.cat([y[:, :-1], torch.zeros_like(y[:, :1])], 1)


FIRST = [1.0] + [0.0] * 9
PROBLEMS = {
    "A2": (lambda t, y: -(y**3) / 2, [1.0]),
    "A3": (lambda t, y: y * torch.cos(t)[:, None], [1.0]),
    "A4": (lambda t, y: y / 4 * (1 - y / 20), [1.0]),
    "A5": (lambda t, y: (y - t[:, None]) / (y + t[:, None]), [4.0]),
    "B1": (lambda t, y: columns(2 * (y[:, 0] - y[:, 0] * y[:, 1]), -(y[:, 1] - y[:, 0] * y[:, 1])), [1.0, 3.0]),
    "B3": (lambda t, y: columns(-y[:, 0], y[:, 0] - y[:, 1] ** 2, y[:, 1] ** 2), [1.0, 0.0, 0.0]),
    "B4": (torus, [3.0, 0.0, 0.0]),
    "B5": (lambda t, y: columns(y[:, 1] * y[:, 2], -y[:, 0] * y[:, 2], -0.51 * y[:, 0] * y[:, 1]), [0.0, 1.0, 1.0]),
    "C1": (chain, FIRST),
    "D1": (orbit, [0.9, 0.0, 0.0, (1.1 / 0.9) ** 0.5]),
    "D5": (orbit, [0.1, 0.0, 0.0, 19.0**0.5]),
    "E2": (lambda t, y: columns(y[:, 1], (1 - y[:, 0] ** 2) * y[:, 1] - y[:, 0]), [2.0, 0.0]),
    "E3": (lambda t, y: columns(y[:, 1], y[:, 0] ** 3 / 6 - y[:, 0] + 2 * torch.sin(2.78535 * t)), [0.0, 0.0]),
    "E5": (lambda t, y: columns(y[:, 1], (1 + y[:, 1] ** 2).sqrt() / (25 - t)), [0.0, 0.0]),
}
STIFF = {
    "B5": (lambda t, y: columns(-10 * y[:, 0] + 100 * y[:, 1], -100 * y[:, 0] - 10 * y[:, 1], -4 * y[:, 2], -0.1 * y[:, 3]),
           [1.0] * 4, 20.0),
    "C1": (lambda t, y: columns(-y[:, 0] + (y[:, 1:] ** 2).sum(1), -10 * y[:, 1] + 10 * (y[:, 2:] ** 2).sum(1),
                                -40 * y[:, 2] + 40 * y[:, 3] ** 2, -100 * y[:, 3] + 2), [1.0] * 4, 20.0),
    "D2": (lambda t, y: columns(-0.04 * y[:, 0] + 0.01 * y[:, 1] * y[:, 2],
                                400 * y[:, 0] - 100 * y[:, 1] * y[:, 2] - 3000 * y[:, 1] ** 2, 30 * y[:, 1] ** 2),
           [1.0, 0.0, 0.0], 40.0),
    "D4": (lambda t, y: columns(-0.013 * y[:, 0] - 1000 * y[:, 0] * y[:, 2], -2500 * y[:, 1] * y[:, 2],
                                -0.013 * y[:, 0] - 1000 * y[:, 0] * y[:, 2] - 2500 * y[:, 1] * y[:, 2]),
           [1.0, 1.0, 0.0], 50.0),
    "E3": (lambda t, y: columns(-(55 + y[:, 2]) * y[:, 0] + 65 * y[:, 1], 0.0785 * (y[:, 0] - y[:, 1]), 0.1 * y[:, 0]),
           [1.0, 1.0, 0.0], 500.0),
}  # fmt: skip


def truth(f, start: list[float], end: float, method: str, rtol: float, atol: float) -> np.ndarray:
    def alone(t: float, y: np.ndarray) -> np.ndarray:
        return f(torch.tensor([t], dtype=torch.float64), torch.tensor(y)[None])[0].numpy()

    return solve_ivp(alone, (0, end), start, method, rtol=rtol, atol=atol).y[:, -1]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_non_stiff_problems(problem):
    """Error at t = 20 in proportion to the tolerance; the orbit of eccentricity 0.9 multiplies errors most."""
    f, start = PROBLEMS[problem]
    expected = truth(f, start, 20.0, "DOP853", 1e-13, 1e-14)
    y0 = torch.tensor([start], dtype=torch.float64)
    for solver, tolerance in ((Dopri5(), 1e-7), (Tsit5(), 1e-6), (Dopri8(), 1e-10)):
        with torch.no_grad():
            found = solve(f, y0, [0.0, 20.0], solver=solver, rtol=tolerance, atol=tolerance)
        allowed = (3e4 if problem == "D5" else 300) * tolerance
        np.testing.assert_allclose(found.last_y[0], expected, rtol=allowed, atol=allowed)


@pytest.mark.parametrize("problem", STIFF)
def test_stiff_problems(problem):
    f, start, end = STIFF[problem]
    expected = truth(f, start, end, "Radau", 1e-9, 1e-12)
    with torch.no_grad():
        found = solve(
            f, torch.tensor([start], dtype=torch.float64), [0.0, end], solver=Kvaerno5(), rtol=1e-6, atol=1e-9
        )
    np.testing.assert_allclose(found.last_y[0], expected, rtol=3e-4, atol=1e-7)
    assert int(found.accepted + found.rejected) < 1500
