"""Every neural process on the same contexts of one function, after the same number of steps on the same draws."""

import torch
from _functions import show, trained
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress
from pushforward.lab.plots.style import INK, REAL

LENGTH, NOISE, STEPS = 0.5, 0.05, 400
GIVEN, SCORED = (1, 4, 10), 200
PROCESSES = {
    "conditional": lambda data: pf.processes.conditional_neural_process(data, hidden=64, representation=64),
    "latent": lambda data: pf.processes.neural_process(data, hidden=64, latents=32),
    "attentive": lambda data: pf.processes.attentive_neural_process(data, hidden=64),
    "attentive and latent": lambda data: pf.processes.neural_process(data, hidden=64, latents=32, path="attention"),
    "convolutional": lambda data: pf.processes.convolutional_neural_process(data, points_per_unit=16.0),
    "transformer": lambda data: pf.processes.transformer_neural_process(data, width=48, layers=3),
}


def draw() -> Figure:
    """A row for each process, a column for each size of context; in the corner the score of ten points given."""
    data = pf.data.gp_draws("rbf", 6000, points=24, length_scale=LENGTH, noise=NOISE)
    test = pf.data.gp_draws("rbf", SCORED, points=30, length_scale=LENGTH, noise=NOISE, seed=1)
    grid = torch.linspace(-2, 2, 160)[:, None]
    figure = canvas(height=1.35 * len(PROCESSES))
    panels = figure.subplots(len(PROCESSES), len(GIVEN), sharex=True, sharey=True)
    for row, (name, build) in enumerate(PROCESSES.items()):
        process = trained(build(data), data, STEPS)
        for column, given in enumerate(GIVEN):
            axes = panels[row, column]
            x, y = test.x[3:4, :given], test.y[3:4, :given]
            with torch.no_grad():
                prediction = process.predict(pf.Context.of(x, y), grid[None])
            dress(axes, title=f"{name}, {given} given")
            show(axes, grid[:, 0], prediction)
            axes.plot(test.x[3, 10:, 0].numpy(), test.y[3, 10:, 0].numpy(), ".", color=REAL, markersize=2.4)
            axes.plot(x[0, :, 0].numpy(), y[0, :, 0].numpy(), "o", color=INK, markersize=3.2)
        with torch.no_grad():
            ten = process.predict(pf.Context.of(test.x[:, :10], test.y[:, :10]), test.x[:, 10:])
        score = float(ten.log_prob(test.y[:, 10:]).mean()) / 20
        panels[row, 2].text(
            0.99, 0.03, f"{score:.2f}", transform=panels[row, 2].transAxes, ha="right", fontsize=8, color=INK
        )
    panels[0, 0].set_ylim(-3.2, 3.2)
    return figure
