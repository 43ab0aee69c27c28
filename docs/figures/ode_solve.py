"""D1: the order of every solver, and a batch in which each sample takes the steps it needs."""

from functools import partial

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.integrate import solve_ivp

import pushforward as pf
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import COLOURS

SOLVERS = ("Euler", "Midpoint", "Heun", "Bosh3", "RK4", "Dopri5", "Tsit5")


def riccati(t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Two components, nonlinear, dependent on time."""
    a, b = y.unbind(-1)
    return torch.stack([t**2 - a**2, a - 2 * t * b**2], -1)


def van_der_pol(mu: torch.Tensor, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """x'' = mu (1 - x^2) x' - x, each sample with its own mu."""
    x, speed = y[:, :1], y[:, 1:]
    return torch.cat([speed, mu * (1 - x**2) * speed - x], 1)


def _alone(t: float, y: np.ndarray) -> np.ndarray:
    return riccati(torch.tensor([t]), torch.tensor(y)[None])[0].numpy()


@torch.no_grad()
def draw() -> Figure:
    """Left: lines of slope `order`. Right: the fast parts of stiff samples cost the others nothing."""
    figure = canvas(height=3.6)
    orders, batch = figure.subplots(1, 2)
    y0 = torch.tensor([[0.5, 1.0]], dtype=torch.float64)
    truth = torch.tensor(solve_ivp(_alone, (0, 2), y0[0].numpy(), "DOP853", rtol=3e-14, atol=1e-15).y[:, -1])
    dress(orders, title="solvers and their orders", x="step size", y="error at t = 2")
    sizes = [2 / steps for steps in (8, 16, 32, 64, 128)]
    for i, name in enumerate(SOLVERS):
        solver = getattr(pf.diffeq, name)()
        ends = [pf.diffeq.solve(riccati, y0, [0.0, 2.0], solver=solver, step_size=size).last_y for size in sizes]
        errors = [float((end - truth).norm()) for end in ends]
        dashed = "--" if name in ("Heun", "Tsit5") else "-"
        orders.loglog(sizes, errors, dashed, marker=".", color=COLOURS[i % 6])
        if name != "Heun":
            label = f"{'Midpoint, Heun' if name == 'Midpoint' else name}: {solver.order}"
            lift = {"Euler": 1.5, "Tsit5": 0.4}.get(name, 1.0)
            orders.text(0.28, errors[0] * lift, label, fontsize=8, color=COLOURS[i % 6], va="center")
    orders.set_xlim(0.012, 1.1)
    orders.set_xticks(sizes, [f"2/{round(2 / size)}" for size in sizes])
    orders.minorticks_off()

    stiffness = torch.tensor([0.1, 1.0, 3.0, 8.0])[:, None]
    t = torch.linspace(0, 20, 800)
    solution = pf.diffeq.solve(partial(van_der_pol, stiffness), torch.tensor([[2.0, 0.0]]).expand(4, 2), t)
    dress(batch, title="one batch, four Van der Pol oscillators", x="t", y="x")
    for i, mu in enumerate(stiffness[:, 0].tolist()):
        label = f"mu = {mu:g}: {int(solution.accepted[i])} steps, {int(solution.rejected[i])} rejected"
        batch.plot(t.numpy(), solution.y[:, i, 0].numpy() - 5.5 * i, color=COLOURS[i], linewidth=1.2, label=label)
    batch.set_yticks(-5.5 * np.arange(4), ["0"] * 4)
    batch.set_ylim(-20, 11)
    legend(batch, "upper left")
    return figure
