"""The six toy distributions of `pf.data.toy`, 4,000 points each."""

from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress
from pushforward.lab.plots.style import REAL


def draw() -> Figure:
    """One panel a toy, on axes of one scale in both directions."""
    figure = canvas(height=4.9)
    for axes, name in zip(figure.subplots(2, 3).ravel(), pf.data.TOYS):
        x = pf.data.toy(name, 4000, seed=1)
        dress(axes, title=name, grid=False)
        axes.scatter(x[:, 0].numpy(), x[:, 1].numpy(), s=1.2, alpha=0.5, linewidths=0, color=REAL)
        axes.set_aspect("equal", adjustable="datalim")
    return figure
