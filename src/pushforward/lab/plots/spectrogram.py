"""Clips of sound as pictures: how loud each frequency is at each moment, on the mel scale of hearing."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from pushforward.core.errors import ShapeError
from pushforward.lab.metrics.log_mel import log_mel

from .style import HEAT, WIDTH, canvas, dress


def spectrogram(clips: Tensor, *, rate: int, titles: Sequence[str] = (), columns: int = 4) -> Figure:
    """A picture for each clip of `(n, samples)` at `rate` samples a second: log power, low frequencies below; see `log_mel`.

    NaN, after the end of a clip, is silence. Raises `ShapeError` for anything but a batch of clips.

    >>> import torch
    >>> len(spectrogram(torch.randn(3, 2000), rate=8000).axes)
    3
    """
    if clips.ndim != 2 or not clips.numel():
        raise ShapeError(
            f"expected clips of shape (n, samples), got {tuple(clips.shape)}; add a first dimension to one clip"
        )
    n = len(clips)
    columns = min(columns, n)
    rows = -(-n // columns)
    pictures = log_mel(clips.detach().cpu().float(), rate).numpy()
    figure = canvas(WIDTH, 0.5 + 1.5 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    seconds = clips.shape[1] / rate
    for i, (axes, picture) in enumerate(zip(panels, pictures)):
        axes.imshow(
            picture, origin="lower", aspect="auto", cmap=HEAT, vmin=0, vmax=1, extent=(0, seconds, 0, len(picture))
        )
        dress(axes, title=titles[i] if i < len(titles) else "", x="seconds" if i >= n - columns else "",
              y="mel band" if i % columns == 0 else "", grid=False)  # fmt: skip
    for axes in panels[n:]:
        axes.remove()
    return figure
