"""E6: a neural ODE process on waves, given one, three and eight points, and a digit that turns, given four of sixteen frames."""

from typing import Any

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress
from pushforward.lab.plots.style import INK, MODEL, REAL, below


def draw() -> Figure:
    """Draws without noise beside the truth; below, frames of a digit that was not trained on."""
    figure = canvas(height=4.2)
    grid = figure.add_gridspec(2, 1, height_ratios=(2.4, 1.3))
    waves(figure, grid[0].subgridspec(1, 3))
    digits(figure, grid[1].subgridspec(2, 8))
    return figure


def waves(figure: Figure, cells) -> None:
    """Three predictions of one wave."""
    process = trained(
        pf.data.sines(500, points=30), 520, 1e-2, latent=4, control=2, hidden=32, representation=48, layers=1, steps=6
    )
    one = pf.data.sines(1, points=8, seed=11)
    t = torch.linspace(-torch.pi, torch.pi, 120)[None, :, None]
    # The same wave on the grid: its height and shift solve two linear equations in its points.
    design = torch.cat([one.x[0].sin(), one.x[0].cos()], 1)
    truth = torch.cat([t[0].sin(), t[0].cos()], 1) @ torch.linalg.lstsq(design, one.y[0]).solution
    axes: Any = None
    for i, points in enumerate((1, 3, 8)):
        axes = figure.add_subplot(cells[i], sharey=axes)
        with torch.no_grad():
            prediction = process.predict(pf.Context.of(one.x[:, :points], one.y[:, :points]), t)
        paths = prediction.component_distribution.mean[0, :, :, 0]
        dress(axes, title=f"{points} point{'s' * (points > 1)}", x="t", y="y" if i == 0 else "")
        axes.plot(
            t[0, :, 0], paths.T, color=MODEL, linewidth=0.6, alpha=0.5, label=["draws"] + ["_"] * (len(paths) - 1)
        )
        axes.plot(t[0, :, 0], truth, color=REAL, linewidth=1.4, linestyle=(0, (4, 2)), label="truth")
        axes.plot(one.x[0, :points, 0], one.y[0, :points, 0], "o", color=INK, markersize=3.6, label="context")
    below(figure, *axes.get_legend_handles_labels())


def digits(figure: Figure, cells) -> None:
    """Every other frame of a three, above the truth and below the mean given frames 0, 2, 4 and 6."""
    data = pf.data.rotating_digits()
    process = trained(pf.data.FunctionSet(data.x[:150], data.y[:150], data.mask[:150]), 230, 6e-3, latent=8, control=8, hidden=64,
                      representation=64, layers=1, steps=6)  # fmt: skip
    x, y = data.x[170:171], data.y[170:171]
    with torch.no_grad():
        mean = process.predict(pf.Context.of(x[:, 0:8:2], y[:, 0:8:2]), x).mean
    for i, frame in enumerate(range(0, 16, 2)):
        for row, pixels in enumerate((y, mean)):
            axes = figure.add_subplot(cells[row, i])
            axes.imshow(pixels[0, frame].reshape(8, 8), cmap="gray", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
            if row == 0:
                axes.set_title("given" if frame < 8 else "hidden", fontsize=7)
            if i == 0:
                axes.set_ylabel(("truth", "mean")[row], fontsize=7)


def trained(data: pf.data.FunctionSet, count: int, rate: float, **sizes: Any) -> pf.processes.NeuralODEProcess:
    """A few seconds of Adam."""
    process = pf.processes.neural_ode_process(data, **sizes)
    adam = torch.optim.Adam(process.parameters(), lr=rate)
    decay = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.1, count)
    for step in range(count):
        generator = pf.RowGenerator(step, 24)
        batch = data.take(generator.fork(0).integers(len(data)))
        adam.zero_grad()
        process.objective(process, batch, generator.fork(1)).value.backward()
        adam.step()
        decay.step()
    return process
