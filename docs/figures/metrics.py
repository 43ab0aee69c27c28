"""What three distances say as a Gaussian moves away from another, and what they say of two samples of one."""

import torch
from matplotlib.figure import Figure
from torch.distributions import Normal

from pushforward.lab.metrics import c2st, mmd, wasserstein
from pushforward.lab.plots import canvas, dress
from pushforward.lab.plots.style import INK, MODEL, MUTED, below

ROWS, BANDWIDTH, SHIFTS = 400, 2.0, torch.linspace(0, 2, 11)


def draw() -> Figure:
    """Measured and exact values for N(0, I) against N(shift, I) in the plane."""
    generator = torch.Generator().manual_seed(0)
    measured: list[list[float]] = [[], [], []]
    for shift in SHIFTS.tolist():
        x, y = torch.randn(2, ROWS, 2, generator=generator)
        y[:, 0] += shift
        scores = c2st(x, y, classifier="logistic").value, mmd(x, y, bandwidth=BANDWIDTH).squared, wasserstein(x, y)
        for values, score in zip(measured, scores, strict=True):
            values.append(score)
    same = BANDWIDTH**2 / (BANDWIDTH**2 + 2)
    exact = (
        Normal(0.0, 1.0).cdf(SHIFTS / 2),
        2 * same * (1 - torch.exp(-SHIFTS.square() / (2 * (BANDWIDTH**2 + 2)))),
        SHIFTS,
    )
    figure = canvas(7.2, 2.7)
    titles = ("classifier accuracy", "MMD²", "W2")
    for axes, title, values, truth in zip(figure.subplots(1, 3), titles, measured, exact, strict=True):
        dress(axes, title=title, x="shift (standard deviations)")
        axes.plot(SHIFTS, truth, color=MUTED, linestyle=(0, (4, 2)), linewidth=1.2, label="of the distributions")
        axes.plot(SHIFTS, values, "o-", color=MODEL, markersize=3.5, linewidth=1.2, label=f"of {ROWS} rows each")
        axes.axhline(values[0], color=INK, linewidth=0.7, alpha=0.5, label="floor: two samples of one")
    below(figure, *figure.axes[0].get_legend_handles_labels())
    return figure
