"""D2: the adjoint is a gradient of the equation, the others of the steps; and what an equation that forgets does to it."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

import pushforward as pf
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import COLOURS

RULES = ("checkpointed", "adjoint", "reversible")


def _swing(weight: Tensor, t: Tensor, y: Tensor) -> Tensor:
    return torch.sin(y @ weight) * torch.cos(2 * t)[:, None]


def _discretisation(rule: str, steps: int) -> float:
    """Relative distance of the gradient from finite differences of what was computed."""
    generator = torch.Generator().manual_seed(0)
    y0, weight, move = (torch.randn(2, 2, generator=generator, dtype=torch.float64) for _ in range(3))

    def loss(weight: Tensor) -> Tensor:
        field = lambda t, y: _swing(weight, t, y)  # noqa: E731
        ends = pf.diffeq.solve(field, y0, [0.0, 2.0], solver=pf.diffeq.RK4(), step_size=2 / steps, gradient=rule)
        return ends.last_y.square().sum()

    weight.requires_grad_()
    (found,) = torch.autograd.grad(loss(weight), weight)
    with torch.no_grad():
        h = 1e-3
        values = [float(loss(weight + s * h * move)) for s in (1, -1, 2, -2, 3, -3)]
    truth = (45 * (values[0] - values[1]) - 9 * (values[2] - values[3]) + (values[4] - values[5])) / (60 * h)
    return abs(float((found * move).sum()) / truth - 1)


def _forgetting(rule: str, rate: float) -> float | None:
    """Relative error of dy(2)/d rate for y' = rate (cos t - y), in closed form; None where `solve` refuses."""
    k = torch.tensor(rate, dtype=torch.float64, requires_grad=True)
    t = torch.tensor(2.0, dtype=torch.float64)

    def bend(t: Tensor) -> Tensor:
        return (k**2 * torch.cos(t) + k * torch.sin(t)) / (1 + k**2)

    exact = bend(t) + (2 - bend(torch.zeros_like(t))) * torch.exp(-k * t)
    steps = {"solver": pf.diffeq.RK4(), "step_size": 0.01} if rule == "reversible" else {}
    y0 = torch.full((1, 1), 2.0, dtype=torch.float64)
    try:
        found = pf.diffeq.solve(lambda t, y: k * (torch.cos(t)[:, None] - y), y0, [0.0, 2.0], gradient=rule, **steps)
        (mine,) = torch.autograd.grad(found.last_y.sum(), k)
    except pf.diffeq.SolveError:
        return None
    (truth,) = torch.autograd.grad(exact, k)
    return abs(float(mine / truth) - 1)


def draw() -> Figure:
    """Left: exact for the steps or not. Right: backwards, a contracting equation multiplies every error."""
    figure = canvas(height=3.6)
    left, right = figure.subplots(1, 2)
    counts = (8, 16, 32, 64)
    dress(left, title="gradient against differences", x="steps of RK4", y="relative difference")
    for i, rule in enumerate(RULES):
        values = [max(_discretisation(rule, n), 1e-14) for n in counts]
        left.loglog(counts, values, marker=".", color=COLOURS[i], label=rule)
    left.set_xticks(counts, [str(n) for n in counts])
    left.minorticks_off()
    left.set_ylim(1e-14, 1e-2)
    legend(left, "upper right")
    rates = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
    dress(right, title="y' = k (cos t - y): dy(2)/dk", x="k", y="relative error")
    for i, rule in enumerate(RULES):
        errors = [_forgetting(rule, rate) for rate in rates]
        kept = [(rate, max(error, 1e-14)) for rate, error in zip(rates, errors) if error is not None]
        right.semilogy(*zip(*kept), marker=".", color=COLOURS[i])
        refused = [rate for rate, error in zip(rates, errors) if error is None]
        if refused:
            right.plot(refused, [3.0 * 3**i] * len(refused), "x", color=COLOURS[i], label=f"{rule}: refused")
    right.set_ylim(1e-11, 1e3)
    legend(right, "lower right")
    return figure
