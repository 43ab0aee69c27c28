"""Clips of sound as curves: amplitude over seconds."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from pushforward.core.errors import ShapeError

from .style import MODEL, WIDTH, canvas, dress


def waveform(clips: Tensor, *, rate: int, titles: Sequence[str] = (), columns: int = 2, colour: str = MODEL) -> Figure:
    """A panel for each clip of `(n, samples)`, amplitudes from -1 to 1 at `rate` samples a second; NaN ends a clip.

    Raises `ShapeError` for anything but a batch of clips.

    >>> import torch
    >>> len(waveform(torch.zeros(3, 100), rate=8000).axes)
    3
    """
    if clips.ndim != 2 or not clips.numel():
        raise ShapeError(
            f"expected clips of shape (n, samples), got {tuple(clips.shape)}; add a first dimension to one clip"
        )
    n = len(clips)
    rows = -(-n // columns)
    figure = canvas(WIDTH, 0.4 + 1.1 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for i, (axes, clip) in enumerate(zip(panels, clips.detach().cpu())):
        values = clip[~clip.isnan()].numpy()
        axes.plot([t / rate for t in range(len(values))], values, color=colour, linewidth=0.5)
        dress(axes, title=titles[i] if i < len(titles) else "", x="seconds" if i >= n - columns else "")
    for axes in panels[n:]:
        axes.remove()
    return figure
