"""Draws of a posterior by the names of its parameters, two numbers at a time, beside reference draws."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from pushforward.core.errors import UserError

from .samples import _label, _limits, shorten
from .style import MODEL, REAL, WIDTH, below, canvas, dress


def pairs(draws: Mapping[str, Tensor] | Float[Tensor, "n d"], *, reference: Mapping[str, Tensor] | Float[Tensor, "m d"] | None = None,
                    names: Sequence[str] | None = None, most_points: int = 1500, labels: tuple[str, str] = ("draws", "reference")) -> Figure:  # fmt: skip
    """Pair plot of up to six numbers: clouds below the diagonal, histograms on it, and `reference` draws above and as outlines.

    `draws` is what `Target.constrain` gives, tensors `(n, *shape)` by name, or one tensor `(n, d)`; a name with a shape is
    shown number by number. `names` picks which, and in which order. Raises `UserError` for names that are not there.

    >>> len(pairs({"mu": torch.randn(100), "theta": torch.randn(100, 2)}).axes)
    9
    """
    cloud = _columns(draws)
    other = None if reference is None else _columns(reference)
    if other is not None and isinstance(reference, Tensor):
        other = dict(zip(cloud, other.values()))  # a tensor has no names: column by column
    chosen = (list(cloud) if names is None else list(names))[:6]
    for held in (cloud, other):
        if held is not None and (missing := [name for name in chosen if name not in held]):
            raise UserError(f"expected names among {', '.join(held)}, got {', '.join(missing)}; draws and reference have the same columns")  # fmt: skip
    d = len(chosen)
    figure = canvas(WIDTH, 3.2 if d == 1 else WIDTH * 0.96)
    grid = figure.subplots(d, d, squeeze=False)
    limits, titles = [_limits(cloud[name]) for name in chosen], [shorten(name) for name in chosen]
    for row, down in enumerate(chosen):
        for column, across in enumerate(chosen):
            axes = dress(grid[row, column], grid=False)
            axes.set_xlim(limits[column])
            source, colour = (cloud, MODEL) if row > column else (other, REAL)
            if row == column:
                for values, shade in ((cloud, MODEL), (other, REAL)):
                    if values is not None:
                        _histogram(axes, values[across], limits[row], shade)
            elif source is not None:
                axes.scatter(source[across][:most_points], source[down][:most_points], s=3, alpha=0.35, linewidths=0, color=colour)  # fmt: skip
                axes.set_ylim(limits[row])
            else:
                axes.set_visible(False)
            _label(axes, row, column, titles)
    if other is not None:
        places = labels if d == 1 else (f"{labels[0]} (below the diagonal)", f"{labels[1]} (above)")
        below(figure, grid[0, 0].patches[:2], places)
    return figure


def _columns(draws: Mapping[str, Tensor] | Tensor) -> dict[str, Tensor]:
    """One column `(n,)` for each number, by its name."""
    columns = {}
    for name, values in ({"z": draws} if isinstance(draws, Tensor) else dict(draws)).items():
        flat = values.detach().double().cpu().reshape(len(values), -1)
        for i in range(flat.shape[1]):
            columns[name if values.ndim == 1 else f"{name}[{i}]"] = flat[:, i]
    return columns


def _histogram(axes: Axes, values: Tensor, limits: tuple[float, float], colour: str) -> None:
    edges = torch.linspace(*limits, 31, dtype=torch.float64)
    count, _ = torch.histogram(values, edges)
    share = (count / max(len(values), 1)).tolist()
    axes.stairs(share, edges.tolist(), fill=True, facecolor=(colour, 0.25), edgecolor=colour, linewidth=1)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
