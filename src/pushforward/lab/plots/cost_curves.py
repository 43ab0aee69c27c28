"""Distances of samples to real rows against the evaluations of the network that they cost, with the floor."""

from typing import Any

from matplotlib.figure import Figure

from .style import INK, MODEL, REAL, canvas, dress, legend


def cost_curves(curve: Any) -> Figure:
    """W2 and MMD^2 of a `pf.metrics.SamplingCurve`, side by side; the dashed line is two sets of real rows.

    >>> from types import SimpleNamespace
    >>> made = SimpleNamespace(evaluations=(1, 5), wasserstein=(2.0, 1.0), mmd=(0.5, 0.1), wasserstein_floor=0.9, mmd_floor=0.0)
    >>> [axes.get_ylabel() for axes in cost_curves(made).axes]
    ['W2', 'MMD²']
    """
    figure = canvas(height=2.9)
    left, right = figure.subplots(1, 2)
    for axes, name, values, floor in (
        (left, "W2", curve.wasserstein, curve.wasserstein_floor),
        (right, "MMD²", curve.mmd, curve.mmd_floor),
    ):
        dress(axes, x="network evaluations a sample", y=name)
        axes.plot(curve.evaluations, values, color=MODEL, linewidth=1.6, marker="o", markersize=3.5, label="samples")
        axes.axhline(floor, color=REAL, linewidth=1.2, linestyle="--", label="floor: real rows")
        axes.set_xscale("log")
        axes.set_xticks(curve.evaluations, [str(n) for n in curve.evaluations], color=INK)
        axes.minorticks_off()
        legend(axes, "upper right")
    return figure
