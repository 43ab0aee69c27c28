"""Series and what a model says of them: known points, hidden ones, the mean, and the 50 and 90 % intervals."""

from collections.abc import Sequence

from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from pushforward.core.process import Context

from .style import INK, MODEL, MUTED, REAL, WIDTH, below, canvas, dress, legend


def forecast(t: Float[Tensor, "n points"], mean: Float[Tensor, "n points"], edges: Float[Tensor, "4 n points"], *,
             known: Context, hidden: Context | None = None, ends: Sequence[float] | None = None,
             titles: Sequence[str] | None = None, time: str = "t") -> Figure:  # fmt: skip
    """One panel a series (at most nine), each with an axis of its own.

    `edges` are the quantiles at 5, 25, 75 and 95 %; `ends` marks where each record ends and the forecast begins.

    >>> import torch
    >>> t = torch.linspace(0, 1, 50).expand(2, 50)
    >>> known = Context.of(torch.rand(2, 5, 1), torch.rand(2, 5, 1))
    >>> len(forecast(t, t, torch.stack([t - 2, t - 1, t + 1, t + 2]), known=known).axes)
    2
    """
    n = min(len(t), 9)
    columns = min(n, 3)
    rows = -(-n // columns)
    figure = canvas(WIDTH, 0.3 + rows * (3.4 if columns == 1 else 2.6 if columns == 2 else 2.1))
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[n:]:
        panel.set_visible(False)
    for i, axes in enumerate(panels[:n]):
        dress(axes, title="" if titles is None else titles[i], x=time if i >= n - columns else "")
        at, middle = t[i].detach().cpu().numpy(), mean[i].detach().cpu().numpy()
        low, lower, upper, high = (edge.numpy() for edge in edges[:, i].detach().cpu())
        axes.fill_between(at, low, high, color=MODEL, alpha=0.16, linewidth=0, label="90 %")
        axes.fill_between(at, lower, upper, color=MODEL, alpha=0.26, linewidth=0, label="50 %")
        axes.plot(at, middle, color=MODEL, linewidth=1.5, label="mean")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6 if columns == 1 else 4))
        if ends is not None:
            axes.axvline(ends[i], color=MUTED, linewidth=0.8, linestyle=(0, (4, 2)))
        for points, size, colour, label in ((hidden, 2.6, REAL, "hidden"), (known, 2.6, INK, "known")):
            if points is not None:
                real = points.mask[i].cpu()
                x, y = (v[i, :, 0].detach().cpu()[real] for v in (points.x, points.y))
                axes.plot(x, y, "o", markersize=size, color=colour, label=label, zorder=5, markeredgewidth=0)
    if n == 1:
        legend(panels[0])
    else:
        below(figure, *panels[0].get_legend_handles_labels())
    return figure
