"""Predictions of functions or series: mean, bands, the points that were seen, and the truth."""

from collections.abc import Sequence

from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from pushforward.core.process import Context

from .style import INK, MODEL, REAL, WIDTH, below, canvas, dress, legend


def bands(x: Float[Tensor, "n points"], mean: Float[Tensor, "n points"], std: Float[Tensor, "n points"], *,
          context: Context | None = None, truth: Float[Tensor, "n points"] | None = None,
          draws: Float[Tensor, "s n points"] | None = None, unseen: Context | None = None,
          titles: Sequence[str] | None = None,
          names: tuple[str, str] = ("x", "y")) -> Figure:  # fmt: skip
    """One panel a function (at most nine): the mean, bands of one and two standard deviations, and the context points.

    `truth` is the function itself, `unseen` are points of it that the model was not shown, and `draws` are samples
    from the model, thin. Points need not be sorted.

    >>> import torch
    >>> x = torch.linspace(0, 1, 50).expand(2, 50)
    >>> len(bands(x, x.sin(), 0.1 + x).axes)
    2
    """
    n = min(len(x), 9)
    columns = min(n, 3)
    rows = -(-n // columns)
    figure = canvas(WIDTH, 0.3 + rows * (3.4 if columns == 1 else 2.6 if columns == 2 else 2.1))
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for panel in panels[n:]:
        panel.set_visible(False)
    for i, axes in enumerate(panels[:n]):
        order = x[i].detach().cpu().argsort()
        ours = [v.detach().cpu()[i, order] for v in (x, mean, std)]
        others = [None if v is None else v.detach().cpu()[..., i, order] for v in (truth, draws)]
        dress(axes, title="" if titles is None else titles[i], x=names[0] if i >= n - columns else "",
              y=names[1] if i % columns == 0 else "")  # fmt: skip
        _one(axes, *ours, *others)
        for points, size, colour, label in ((unseen, 2.2, REAL, "unseen"), (context, 3.8, INK, "context")):
            if points is not None:
                real = points.mask[i].cpu()
                at, value = (v[i, :, 0].detach().cpu()[real] for v in (points.x, points.y))
                axes.plot(at, value, "o", markersize=size, color=colour, label=label, zorder=5, markeredgewidth=0)
    if n == 1:
        legend(panels[0])
    else:
        below(figure, *panels[0].get_legend_handles_labels())
    return figure


def _one(axes: Axes, x: Tensor, mean: Tensor, std: Tensor, truth: Tensor | None, draws: Tensor | None) -> None:
    for width, opacity, label in ((2, 0.16, "2 std"), (1, 0.26, "1 std")):
        low, high = mean - width * std, mean + width * std
        axes.fill_between(x.numpy(), low.numpy(), high.numpy(), color=MODEL, alpha=opacity, linewidth=0, label=label)
    if draws is not None:
        axes.plot(x.numpy(), draws.mT.numpy(), color=MODEL, linewidth=0.6, alpha=0.5)
    axes.plot(x.numpy(), mean.numpy(), color=MODEL, linewidth=1.5, label="mean")
    if truth is not None:
        axes.plot(x.numpy(), truth.numpy(), color=REAL, linewidth=1.2, linestyle=(0, (4, 2)), label="truth")
