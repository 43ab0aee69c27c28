"""E1: functions that are no draws of a Gaussian process, and one task of the papers that is."""

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress
from pushforward.lab.plots.style import COLOURS


def draw() -> Figure:
    """Three functions of each family; populations with both of their curves."""
    grid = torch.linspace(-2, 2, 400)[:, None]
    periodic = pf.data.gp_draws("rbf(0.5)*periodic(1, 0.25)", 3, x=grid, noise=0.0, seed=1)
    sets = {
        "rbf * periodic": periodic,
        "sawtooth": pf.data.sawtooth(2, points=600, low=-1, high=1),
        "oscillators": pf.data.oscillators(3, points=200, high=10, seed=2),
        "lotka_volterra": pf.data.lotka_volterra(2, points=300, seed=1),
        "predator_prey": pf.data.predator_prey(1, points=400, seed=3),
    }
    figure = canvas(height=3.8)
    panels = figure.subplots(2, 3).ravel()
    for axes, (name, data) in zip(panels, sets.items()):
        for x, y, colour in zip(data.x, data.y, COLOURS):
            order = x[:, 0].argsort()
            for column, style in zip(y.T, ("-", (0, (3, 1.5)))):
                axes.plot(x[order, 0].numpy(), column[order].numpy(), color=colour, linewidth=1, linestyle=style)
        dress(axes, title=name)
    turning = torch.nn.functional.pad(pf.data.rotating_digits(frames=8).y[7].reshape(2, 4, 8, 8), (2, 2, 2, 2))
    panels[5].imshow(torch.cat([torch.cat(list(row), 1) for row in turning]).numpy(), cmap="gray_r")
    panels[5].set_axis_off()
    panels[5].set_title("rotating_digits, 8 frames", fontsize=9)
    return figure
