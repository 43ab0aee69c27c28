"""Training and held-out loss over the steps."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .style import INK, MODEL, REAL, canvas, dress, legend


def curves(history: Sequence[Mapping[str, Any]], *, log_x: bool = False, log_y: bool = False,
           unit: str = "nats", title: str = "") -> Figure:  # fmt: skip
    """Loss against step, from records with the keys `step`, `loss` and, where it was measured, `held_out_loss`.

    The training loss is drawn faintly with its running mean over it; the lowest held-out loss is marked. A few wild
    values at the start do not set the scale.

    >>> curves([{"step": i, "loss": 1 / (1 + i)} for i in range(50)]).axes[0].get_xlabel()
    'step'
    """
    figure = canvas(height=3.2)
    axes = dress(figure.add_subplot(), title=title, x="step", y=f"loss ({unit})")
    steps, loss = _column(history, "loss")
    held_steps, held = _column(history, "held_out_loss")
    if len(loss):
        axes.plot(steps, loss, color=MODEL, alpha=0.3, linewidth=0.8)
        axes.plot(steps, _running_mean(loss), color=MODEL, linewidth=1.6, label="training")
    if len(held):
        axes.plot(held_steps, held, color=REAL, linewidth=1.6, marker="o", markersize=2.5, label="held out")
        best = int(held.argmin())
        axes.plot(held_steps[best], held[best], "o", markersize=6, markerfacecolor="none", markeredgecolor=INK)
        left = held_steps[best] > 0.8 * held_steps[-1]
        axes.annotate(
            f"{held[best]:.4g}",
            (held_steps[best], held[best]),
            xytext=(-6 if left else 6, 8),
            textcoords="offset points",
            ha="right" if left else "left",
            fontsize=8,
            color=INK,
        )
    everything = np.concatenate([loss, held])
    if len(everything) > 20 and not log_y:
        low, high = everything.min(), np.quantile(everything, 0.97)
        axes.set_ylim(low - 0.08 * (high - low), high + 0.08 * (high - low) or None)
    if log_x:
        axes.set_xscale("log")
    if log_y:
        axes.set_yscale("log")
    if len(everything):
        legend(axes, "upper right")
    return figure


def _column(history: Sequence[Mapping[str, Any]], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and finite values of the records that have this key."""
    found = [(r["step"], r[key]) for r in history if r.get(key) is not None and math.isfinite(r[key])]
    return np.array([s for s, _ in found], dtype=float), np.array([v for _, v in found], dtype=float)


def _running_mean(values: np.ndarray) -> np.ndarray:
    """Mean over a window of a twentieth of the record, shorter at the ends."""
    half = len(values) // 40
    total = np.concatenate([[0.0], np.cumsum(values)])
    first = np.maximum(np.arange(len(values)) - half, 0)
    last = np.minimum(np.arange(len(values)) + half + 1, len(values))
    return (total[last] - total[first]) / (last - first)
