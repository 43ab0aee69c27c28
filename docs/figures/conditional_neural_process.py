"""E3: a conditional neural process beside the exact posterior of the process that drew its data."""

import torch
from matplotlib.figure import Figure
from sklearn.gaussian_process import GaussianProcessRegressor, kernels

import pushforward as pf
from pushforward.lab.plots import canvas, dress
from pushforward.lab.plots.style import INK, MODEL, REAL, below

LENGTH, NOISE, STEPS = 0.8, 0.1, 1500


def draw() -> Figure:
    """Bands of two standard deviations with 1, 4 and 10 points of one function that was not trained on."""
    process = _trained()
    one = pf.data.gp_draws("rbf", 1, points=10, length_scale=LENGTH, noise=NOISE, seed=1)
    grid = torch.linspace(-2, 2, 200)[:, None]
    figure = canvas(height=2.6)
    panels = figure.subplots(1, 3, sharey=True)
    for axes, points in zip(panels, (1, 4, 10)):
        x, y = one.x[:, :points], one.y[:, :points]
        with torch.no_grad():
            prediction = process.predict(pf.Context.of(x, y), grid[None])
        exact = GaussianProcessRegressor(kernels.RBF(LENGTH) + kernels.WhiteKernel(NOISE**2), optimizer=None)
        mean, deviation = exact.fit(x[0], y[0, :, 0]).predict(grid, return_std=True)
        dress(axes, title=f"{points} point{'s' * (points > 1)}", x="x", y="y" if points == 1 else "")
        for name, colour, m, s in (("exact posterior", REAL, mean, deviation),
                                   ("neural process", MODEL, prediction.mean[0, :, 0], prediction.stddev[0, :, 0])):  # fmt: skip
            axes.fill_between(grid[:, 0].numpy(), m - 2 * s, m + 2 * s, color=colour, alpha=0.2, linewidth=0)
            axes.plot(grid[:, 0].numpy(), m, color=colour, linewidth=1.4, label=name)
        axes.plot(x[0, :, 0].numpy(), y[0, :, 0].numpy(), "o", color=INK, markersize=3.6, label="context")
    below(figure, *panels[0].get_legend_handles_labels())
    return figure


def _trained() -> pf.processes.ConditionalNeuralProcess:
    functions = pf.data.gp_draws("rbf", 10_000, points=20, length_scale=LENGTH, noise=NOISE)
    process = pf.processes.conditional_neural_process(functions, hidden=64, representation=64, layers=3)
    adam = torch.optim.Adam(process.parameters(), lr=4e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(adam, 4e-3, STEPS)
    for step in range(STEPS):
        generator = pf.RowGenerator(step, 48)
        batch = functions.take(generator.fork(0).integers(len(functions)))
        adam.zero_grad()
        process.objective(process, batch, generator.fork(1)).value.backward()
        adam.step()
        rate.step()
    return process
