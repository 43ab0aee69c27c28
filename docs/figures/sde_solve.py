"""D7: strong orders of the solvers on one path each, and one path seen at finer and finer times."""

import numpy as np
import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import COLOURS

LEVEL, ROWS = 0.8, 400
SOLVERS = ("EulerMaruyama", "Milstein", "StochasticHeun", "ReversibleHeun", "StochasticRungeKutta")


@torch.no_grad()
def draw() -> Figure:
    """Left: dy = a (1 - y^2) o dW, whose solution is tanh(a W + artanh y0). Right: queries refine a path and change none."""
    figure = canvas(height=3.6)
    orders, paths = figure.subplots(1, 2)
    path = pf.diffeq.BrownianPath(0.0, 1.0, 1, seed=5, tolerance=1 / 256)
    start, ones = torch.full((ROWS, 1), 0.3, dtype=torch.float64), torch.ones(ROWS, dtype=torch.float64)
    truth = torch.tanh(LEVEL * path.evaluate(ones) + torch.atanh(start))
    dress(orders, title="strong order", x="step size", y="mean |error| at t = 1")
    sizes = [2.0**-k for k in range(3, 9)]
    for colour, name in zip(COLOURS, SOLVERS):
        solver = getattr(pf.diffeq, name)()
        correct = 1.0 if solver.interpretation == "ito" else 0.0
        noise = pf.diffeq.DiffusionTerm(lambda t, y: LEVEL * (1 - y**2), path, interpretation=solver.interpretation)
        terms = [lambda t, y, c=correct: -c * LEVEL**2 * y * (1 - y**2), noise]
        ends = [pf.diffeq.solve(terms, start, [0.0, 1.0], solver=solver, step_size=h).last_y for h in sizes]
        errors = [float((end - truth).abs().mean()) for end in ends]
        slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
        orders.loglog(
            sizes, errors, marker=".", color=colour, label=f"{name}: {solver.strong_order:g}, measured {slope:.2f}"
        )
    orders.set_ylim(top=2.5)
    orders.set_xticks(sizes[::2], [f"1/{round(1 / size)}" for size in sizes[::2]])
    orders.minorticks_off()
    legend(orders, "upper left")

    dress(paths, title="one path, asked at more and more times", x="t", y="W(t)")
    path = pf.diffeq.BrownianPath(0.0, 1.0, 1, seed=3)
    for points, colour, width in ((1024, COLOURS[0], 0.7), (32, COLOURS[1], 1.2), (8, COLOURS[2], 1.6)):
        t = torch.linspace(0, 1, points + 1, dtype=torch.float64)
        values = [float(path.evaluate(time[None])) for time in t]
        paths.plot(t, values, "-" if points > 32 else ".-", color=colour, linewidth=width, label=f"{points} steps")
    legend(paths, "best")
    return figure
