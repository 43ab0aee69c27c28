"""A6: Langevin chains spread over a mixture, and how much too wide they are."""

import numpy as np
import torch
from _exact import two_bumps
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import COLOURS, INK, MODEL, REAL


def draw() -> Figure:
    """Left: 4,000 chains from 0 after 10, 40 and 1,000 steps. Right: the variance of chains on N(0, 1) by step size."""
    exact = two_bumps(pf.paths.VP())
    figure = canvas(height=3.2)
    left, right = figure.subplots(1, 2)
    x = torch.linspace(-2.6, 2.4, 300)[:, None]
    dress(left, title="chains on a mixture, ε = 0.01", x="x", y="density")
    left.fill_between(
        x[:, 0].numpy(), exact.log_prob(x).exp().numpy(), color=REAL, alpha=0.25, linewidth=0, label="exact"
    )
    kernel = pf.inference.Langevin(exact.log_prob, step_size=0.01)
    generator = pf.RowGenerator(0, 4000)
    state = kernel.init(torch.zeros(4000, 1))
    for colour, until in zip((COLOURS[4], COLOURS[2], MODEL), (10, 40, 1000)):
        while state.step < until:
            state, _ = kernel.step(state, generator)
        left.hist(
            state.x[:, 0].numpy(),
            bins=np.linspace(-2.6, 2.4, 66),
            density=True,
            histtype="step",
            color=colour,
            linewidth=1.2,
            label=f"{until} steps",
        )
    left.set_ylim(0, 1.9)
    legend(left, "upper left")
    dress(right, title="chains on N(0, 1): the bias is O(ε)", x="step size ε", y="variance")
    sizes = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6])
    normal = pf.distributions.Gaussian.standard(1)
    for eps in sizes:
        last = (
            pf.inference.Langevin(normal, float(eps))
            .run(torch.zeros(20_000, 1), int(4 / eps) + 5, pf.RowGenerator(1, 20_000))
            .x
        )
        variance = float(last.var())
        right.errorbar(
            eps, variance, yerr=2 * variance * (2 / 20_000) ** 0.5, fmt="o", color=MODEL, markersize=3.5, linewidth=1
        )
    fine = np.linspace(0, 0.65, 100)
    right.plot(fine, 1 / (1 - fine / 2), color=INK, linewidth=1, label="1 / (1 - ε/2)")
    right.axhline(1, color=REAL, linewidth=1, label="truth")
    legend(right, "upper left")
    return figure
