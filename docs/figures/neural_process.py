"""E4: a latent neural process has many functions for a context, a conditional one has a mean and a band."""

import torch
from _functions import show, trained
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress
from pushforward.lab.plots.style import INK

GIVEN = (0, 1, 4)


def draw() -> Figure:
    """From no point, one and four: bands of two deviations, and six functions, each that of one latent vector."""
    data = pf.data.gp_draws("rbf", 6000, points=24, length_scale=0.8, noise=0.05)
    one = pf.data.gp_draws("rbf", 1, points=4, length_scale=0.8, noise=0.05, seed=5)
    processes = {
        "latent, bound": pf.processes.neural_process(data, hidden=64, latents=32),
        "latent, npml": pf.processes.neural_process(data, hidden=64, latents=32, objective="npml"),
        "conditional": pf.processes.conditional_neural_process(data, hidden=64, representation=64),
    }
    grid = torch.linspace(-2, 2, 120)
    figure = canvas(height=5.0)
    panels = figure.subplots(len(processes), len(GIVEN), sharex=True, sharey=True)
    for row, (name, process) in enumerate(processes.items()):
        trained(process, data, steps=400)
        for axes, given in zip(panels[row], GIVEN):
            x, y = one.x[:, :given], one.y[:, :given]
            with torch.no_grad():
                prediction = process.predict(pf.Context.of(x, y), grid[None, :, None])
            dress(axes, title=f"{name}, {given} given")
            show(axes, grid, prediction)
            axes.plot(x[0, :, 0].numpy(), y[0, :, 0].numpy(), "o", color=INK, markersize=3.6, zorder=3)
    panels[0, 0].set_ylim(-3.2, 3.2)
    return figure
