"""Real and generated rows of a table, two columns at a time."""

from collections.abc import Sequence

import torch
from jaxtyping import Num
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from .style import MODEL, MUTED, REAL, WIDTH, below, canvas, dress


def samples(real: Num[Tensor, "n d"], generated: Num[Tensor, "m d"], *, names: Sequence[str] | None = None,
            columns: Sequence[int] | None = None, most_points: int = 800) -> Figure:  # fmt: skip
    """Pair plot of up to six columns: real rows below the diagonal, generated rows above, both in the histograms on it.

    `columns` picks which, by number; the first six otherwise. Rows with a missing value are left out of the panels
    that need it. The frames hold all but one in a thousand of the real values on each side, with a margin.

    >>> len(samples(torch.randn(100, 3), torch.randn(100, 3)).axes)
    9
    """
    chosen = list(range(min(real.shape[1], 6)) if columns is None else columns)[:6]
    a, b = (s.detach().double().cpu()[:, chosen] for s in (real, generated))
    titles = [f"x{i + 1}" if names is None else shorten(str(names[i])) for i in chosen]
    limits = [_limits(a[:, i]) for i in range(len(chosen))]
    d = len(chosen)
    figure = canvas(WIDTH, 3.2 if d == 1 else WIDTH * 0.96)
    grid = figure.subplots(d, d, squeeze=False)
    for row in range(d):
        for column in range(d):
            axes = dress(grid[row, column], grid=False)
            if row == column:
                _histograms(axes, a[:, row], b[:, row], limits[row])
            else:
                cloud, colour = (a, REAL) if row > column else (b, MODEL)
                points = cloud[cloud.isfinite()[:, [row, column]].all(1)][:most_points]
                axes.scatter(points[:, column], points[:, row], s=3, alpha=0.45, linewidths=0, color=colour)
                axes.set_ylim(limits[row])
            axes.set_xlim(limits[column])
            _label(axes, row, column, titles)
    places = ("real", "generated") if d == 1 else ("real (below the diagonal)", "generated (above)")
    below(figure, grid[0, 0].patches[:2], places)
    return figure


def shorten(name: str, length: int = 14) -> str:
    """A name that fits beside a small panel."""
    return name if len(name) <= length else name[: length - 1] + "…"


def _histograms(axes: Axes, real: Tensor, generated: Tensor, limits: tuple[float, float]) -> None:
    values = real[real.isfinite()]
    distinct = values.unique()
    if len(distinct) <= 20:  # a column of whole numbers or codes: one bar each
        edges = torch.cat([distinct[:1] - 0.5, (distinct[1:] + distinct[:-1]) / 2, distinct[-1:] + 0.5]).tolist()
    else:
        bins = min(max(round(len(values) ** 0.5), 8), 30)
        edges = torch.linspace(*limits, bins + 1, dtype=torch.float64).tolist()
    for cloud, colour in ((values, REAL), (generated[generated.isfinite()], MODEL)):
        count, _ = torch.histogram(cloud, torch.tensor(edges, dtype=torch.float64))
        share = (count / max(len(cloud), 1)).tolist()
        axes.stairs(share, edges, fill=True, facecolor=(colour, 0.25), edgecolor=colour, linewidth=1)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _label(axes: Axes, row: int, column: int, titles: Sequence[str]) -> None:
    last = len(titles) - 1
    axes.tick_params(labelsize=6.5, length=2)
    axes.locator_params(nbins=3, axis="x")
    if row == last:
        axes.set_xlabel(titles[column], fontsize=8, color=MUTED)
    else:
        axes.set_xticklabels([])
    if column == 0:
        axes.set_ylabel(titles[row], fontsize=8, color=MUTED)
    if column > 0 and row != column:
        axes.set_yticklabels([])


def _limits(values: Tensor) -> tuple[float, float]:
    kept = values[values.isfinite()]
    low, high = (float(q) for q in kept[:1_000_000].quantile(torch.tensor([0.001, 0.999], dtype=torch.float64)))
    room = 0.1 * (high - low) or 0.5
    return low - room, high + room
