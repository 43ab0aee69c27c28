"""Chains as they ran: values by step, and how their ranks among all draws spread over the chains."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from pushforward.core.errors import ShapeError

from .style import COLOURS, INK, WIDTH, canvas, dress


def trace(draws: Tensor, *, names: Sequence[str] | None = None, most: int = 6, chains: int = 4) -> Figure:
    """A row for each of the first `most` numbers of `draws` `(chains, n, *event)`: values of the first chains, and ranks of each.

    Ranks among the draws of all shown chains are uniform in every chain when the chains agree (Vehtari et al. 2021).
    Raises `ShapeError` for draws without chains.

    >>> import torch
    >>> len(trace(torch.randn(4, 100, 2)).axes)
    4
    """
    if draws.ndim < 2 or draws.shape[1] < 4:
        raise ShapeError(f"expected draws (chains, n, *event) with at least 4 a chain, got {tuple(draws.shape)}")
    shown = draws.detach().cpu()[:chains].reshape(min(chains, len(draws)), draws.shape[1], -1)[..., :most]
    rows = shown.shape[2]
    figure = canvas(WIDTH, 0.3 + 1.7 * rows)
    for i, (left, right) in enumerate(figure.subplots(rows, 2, squeeze=False)):
        label = names[i] if names is not None else f"x[{i}]"
        value = shown[..., i]
        rank = value.flatten().argsort().argsort().view_as(value).numpy()
        dress(left, y=label, x="step" if i == rows - 1 else "", title="" if i else "trace")
        dress(right, x="rank" if i == rows - 1 else "", y="draws", title="" if i else "ranks by chain")
        for chain in range(len(shown)):
            colour = COLOURS[chain % len(COLOURS)]
            left.plot(value[chain].numpy(), color=colour, linewidth=0.5, alpha=0.8)
            right.hist(rank[chain], bins=20, range=(0, rank.size), histtype="step", color=colour, linewidth=1)
        right.axhline(value.shape[1] / 20, color=INK, linewidth=0.8)
    return figure
