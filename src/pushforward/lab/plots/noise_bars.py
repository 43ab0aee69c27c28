"""The error of a diffusion model at each level of noise, with standard errors."""

from typing import Any

from matplotlib.figure import Figure

from .style import INK, MODEL, canvas, dress


def noise_bars(levels: Any) -> Figure:
    """A bar for each bin of t of a `pf.metrics.NoiseLevels`.

    >>> from types import SimpleNamespace
    >>> loss = SimpleNamespace(value=1.0, std_error=0.1)
    >>> noise_bars(SimpleNamespace(edges=(0.0, 0.5, 1.0), losses=(loss, loss))).axes[0].get_xlabel()
    't: data at the left, noise at the right'
    """
    figure = canvas(height=2.6)
    axes = dress(figure.add_subplot(), x="t: data at the left, noise at the right", y="mean squared error")
    widths = [high - low for low, high in zip(levels.edges, levels.edges[1:])]
    axes.bar(levels.edges[:-1], [loss.value for loss in levels.losses], [0.94 * width for width in widths], align="edge",
             color=MODEL, yerr=[loss.std_error for loss in levels.losses], error_kw={"ecolor": INK, "elinewidth": 1})  # fmt: skip
    axes.set_ylim(bottom=0)
    return figure
