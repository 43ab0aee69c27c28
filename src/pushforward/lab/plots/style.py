"""One restrained look for every figure: few inks, colours that the colour-blind tell apart, no pyplot.

`at_night` exchanges the inks of any figure for those of a dark page.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.colors import to_rgb, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

INK, MUTED, FAINT, PAPER = "#1f2430", "#5b6472", "#e4e7eb", "#ffffff"
REAL, MODEL = "#33689e", "#d9603b"  # data are blue and what the model makes is orange, in every figure
COLOURS = (REAL, MODEL, "#3c8d6e", "#a3568f", "#c9a227", "#6aa9cf")
HEAT = "viridis"
WIDTH = 7.2  # inches: the column of a report

NIGHT = {INK: "#e6e8ec", MUTED: "#a3abb8", FAINT: "#343a46", PAPER: "#181b21", REAL: "#6ba3dd", MODEL: "#ef8560"}
_EXCHANGE = {to_rgb(day): to_rgb(night) for day, night in NIGHT.items()}
_EXCHANGE[to_rgb("black")] = to_rgb(NIGHT[INK])  # figures that were made elsewhere are black on white


def canvas(width: float = WIDTH, height: float = 4.0) -> Figure:
    """An empty figure, in inches."""
    return Figure(figsize=(width, height), layout="constrained", facecolor=PAPER)


def dress(axes: Axes, *, title: str = "", x: str = "", y: str = "", grid: bool = True) -> Axes:
    """Set title and labels, and leave only the two spines that carry numbers."""
    axes.set_facecolor("none")
    if title:
        axes.set_title(title, fontsize=10, color=INK, loc="left", pad=8)
    axes.set_xlabel(x, fontsize=9, color=MUTED)
    axes.set_ylabel(y, fontsize=9, color=MUTED)
    axes.tick_params(labelsize=8, colors=MUTED, width=0.7, length=3, which="both")
    axes.spines[["top", "right"]].set_visible(False)
    for spine in axes.spines.values():
        spine.set(color=MUTED, linewidth=0.7)
    if grid:
        axes.grid(True, color=FAINT, linewidth=0.6)
        axes.set_axisbelow(True)
    return axes


def bare(axes: Axes, *, title: str = "") -> Axes:
    """For pictures: no spines, no ticks."""
    dress(axes, title=title, grid=False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    return axes


def legend(axes: Axes, location: Literal["best", "upper right", "upper left", "lower right"] = "best") -> None:
    """A legend without a box."""
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, handlelength=1.6, loc=location)


def below(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """One legend for all panels, in a line under them."""
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=8, labelcolor=INK
    )


def colour_bar(figure: Figure, mappable: Any, axes: Any, label: str) -> None:
    """A thin colour bar without an outline."""
    bar = figure.colorbar(mappable, ax=axes, fraction=0.05, pad=0.02, aspect=30)
    bar.set_label(label, fontsize=9, color=MUTED)
    bar.ax.tick_params(labelsize=8, colors=MUTED, width=0.7, length=3)
    bar.outline.set_visible(False)  # type: ignore[operator]


@contextmanager
def at_night(figure: Figure) -> Iterator[Figure]:
    """The same figure with its inks exchanged for light ones on dark paper, until the block ends.

    Draw it by day first, so that every tick exists. Colour maps and pictures stay as they are.
    """
    changed: list[tuple[Artist, str, Any]] = []
    for artist in figure.findobj(include_self=True):
        for name in _inks(artist):
            before = getattr(artist, f"get_{name}")()
            colours = to_rgba_array(before)
            after = [(*_EXCHANGE.get(tuple(c[:3]), tuple(c[:3])), c[3]) for c in colours.tolist()]
            if len(colours) and not np.allclose(colours, after):
                changed.append((artist, name, before))
                artist.set(**{name: after if isinstance(artist, Collection) else after[0]})
    try:
        yield figure
    finally:
        for artist, name, before in changed:
            artist.set(**{name: before})


def _inks(artist: Artist) -> tuple[str, ...]:
    if isinstance(artist, Text):
        return ("color",)
    if isinstance(artist, Line2D):
        return ("color", "markerfacecolor", "markeredgecolor")
    if isinstance(artist, Patch):
        return ("facecolor", "edgecolor")
    if isinstance(artist, Collection) and artist.get_array() is None:
        return ("facecolor", "edgecolor")
    return ()
