"""A vector field in the plane: velocity, score, drift."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from .density import Limits, frame
from .style import HEAT, REAL, canvas, colour_bar, dress


def fields(field: Callable[[Tensor], Tensor], *, points: Float[Tensor, "n 2"] | None = None,
           limits: Limits | None = None, resolution: int = 22, label: str = "length",
           names: tuple[str, str] = ("x1", "x2"), title: str = "") -> Figure:  # fmt: skip
    """Arrows of `field`, `(n, 2)` -> `(n, 2)`, on a grid: all of one length, their true length in the colour.

    `limits` are (left, right, bottom, top), by default those of `points`, or -4 .. 4. `label` names the length and
    its unit.

    >>> fields(lambda x: -x, label="score (1 / unit)").axes[0].get_ylabel()
    'x2'
    """
    cloud = None if points is None else points.detach().cpu()
    left, right, bottom, top = limits or frame(*([] if cloud is None else [cloud]))
    x, y = torch.linspace(left, right, resolution), torch.linspace(bottom, top, resolution)
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).reshape(-1, 2)
    with torch.no_grad():
        arrows = field(grid if cloud is None else grid.to(cloud.dtype)).float().cpu()
    length = arrows.norm(dim=1)
    unit = arrows / length.clamp(min=1e-12)[:, None]

    figure = canvas(5.8, 4.9)
    axes = dress(figure.add_subplot(), title=title, x=names[0], y=names[1], grid=False)
    if cloud is not None:
        axes.scatter(*cloud.mT.numpy(), s=4, alpha=0.3, linewidths=0, color=REAL)
    quiver = axes.quiver(
        *grid.mT.numpy(), *unit.mT.numpy(), length.numpy(), cmap=HEAT, pivot="mid", scale=1.15 * resolution, width=0.004
    )
    axes.set(xlim=(left, right), ylim=(bottom, top))
    colour_bar(figure, quiver, axes, label)
    return figure
