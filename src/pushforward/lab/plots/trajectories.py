"""Where points go: paths from noise to data in the plane."""

from jaxtyping import Float
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from .density import frame
from .style import FAINT, MODEL, MUTED, REAL, below, canvas, dress


def trajectories(paths: Float[Tensor, "frames n 2"], *, real: Float[Tensor, "m 2"] | None = None,
                 names: tuple[str, str] = ("x1", "x2"), title: str = "") -> Figure:  # fmt: skip
    """Draw `n` paths of points, the first frame noise and the last data; `real` points lie beneath.

    >>> import torch
    >>> trajectories(torch.randn(20, 50, 2).cumsum(0)).axes[0].get_xlabel()
    'x1'
    """
    tracks = paths.detach().cpu()
    figure = canvas(5.4, 5.0)
    axes = dress(figure.add_subplot(), title=title, x=names[0], y=names[1])
    if real is not None:
        axes.scatter(*real.detach().cpu().mT.numpy(), s=4, alpha=0.35, linewidths=0, color=REAL, label="data")
    opacity = max(0.15, min(0.8, 20 / tracks.shape[1]))
    axes.add_collection(
        LineCollection(list(tracks.transpose(0, 1).numpy()), colors=MUTED, alpha=opacity, linewidths=0.7)
    )
    axes.scatter(
        *tracks[0].mT.numpy(), s=9, facecolors=FAINT, edgecolors=MUTED, linewidths=0.7, zorder=3, label="noise"
    )
    axes.scatter(*tracks[-1].mT.numpy(), s=9, color=MODEL, linewidths=0, zorder=4, label="samples")
    clouds = [tracks[0], tracks[-1], *([real.detach().cpu()] if real is not None else [])]
    left, right, bottom, top = frame(*clouds)
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    below(figure, *axes.get_legend_handles_labels())
    return figure
