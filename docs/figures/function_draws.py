"""E1: five functions from each of six processes."""

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress
from pushforward.lab.plots.style import COLOURS


def draw() -> Figure:
    """Noiseless draws on one grid."""
    grid = torch.linspace(0, 4, 300)[:, None]
    scales = {"rbf": 0.6, "matern52": 0.6, "matern12": 0.6, "periodic": 0.8, "rbf+periodic": 0.8, "brownian": 1.0}
    figure = canvas(height=3.6)
    for axes, (name, scale) in zip(figure.subplots(2, 3, sharex=True, sharey=True).ravel(), scales.items()):
        data = pf.data.gp_draws(name, 5, x=grid, length_scale=scale, period=1.0, noise=0.0, seed=4)
        dress(axes, title=name)
        for y, colour in zip(data.y[..., 0], COLOURS):
            axes.plot(grid[:, 0].numpy(), y.numpy(), color=colour, linewidth=1)
    return figure
