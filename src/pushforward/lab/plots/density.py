"""The log density of a two-dimensional model, as a map, beside its samples and the data."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from .style import HEAT, MODEL, REAL, WIDTH, canvas, colour_bar, dress

Limits = tuple[float, float, float, float]


def density(log_prob: Callable[[Tensor], Tensor], *, generated: Float[Tensor, "n 2"] | None = None,
            real: Float[Tensor, "m 2"] | None = None, limits: Limits | None = None, resolution: int = 160,
            depth: float = 8.0, names: tuple[str, str] = ("x1", "x2"), title: str = "") -> Figure:  # fmt: skip
    """Map `log_prob`, `(n, 2)` -> `(n,)` in nats, on a grid; `generated` and `real` points in panels of their own.

    `limits` are (left, right, bottom, top), by default those of the points with a margin, or -4 .. 4. Colours span
    `depth` nats below the highest value: what is darker is at most exp(-depth) as dense.

    >>> figure = density(lambda x: -x.square().sum(1) / 2, generated=torch.randn(100, 2))
    >>> [axes.get_title(loc="left") for axes in figure.axes[:2]]
    ['log density', 'samples']
    """
    points = {name: p.detach().cpu() for name, p in (("samples", generated), ("data", real)) if p is not None}
    left, right, bottom, top = limits or frame(*points.values())
    x, y = torch.linspace(left, right, resolution), torch.linspace(bottom, top, resolution)
    like = next(iter(points.values()), x)
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).reshape(-1, 2).to(like.dtype)
    with torch.no_grad():
        values = log_prob(grid).reshape(resolution, resolution).float().cpu()

    panels = 1 + len(points)
    figure = canvas(
        WIDTH, 0.6 + (WIDTH - 0.9) / panels * min(max((top - bottom) / (right - left), 0.8), 1.4) if panels > 1 else 4.6
    )
    axes = figure.subplots(1, panels, squeeze=False)[0]
    highest = float(values[values.isfinite()].max())
    shown = values.clamp(min=highest - depth).numpy()
    image = axes[0].imshow(
        shown, extent=(left, right, bottom, top), origin="lower", cmap=HEAT, interpolation="bilinear", aspect="auto"
    )
    dress(axes[0], title=title or "log density", x=names[0], y=names[1], grid=False)
    colour_bar(figure, image, axes[0], "log p (nats)")
    for panel, (name, cloud) in zip(axes[1:], points.items(), strict=True):
        dress(panel, title=name, x=names[0])
        size, opacity = (3.0, 0.5) if len(cloud) <= 3000 else (1.5, 0.3)
        panel.scatter(*cloud.mT.numpy(), s=size, alpha=opacity, linewidths=0, color=REAL if name == "data" else MODEL)
        panel.set(xlim=(left, right), ylim=(bottom, top))
    return figure


def frame(*clouds: Tensor, margin: float = 0.12) -> Limits:
    """(left, right, bottom, top) that hold all but one in a thousand of the points, with a margin."""
    if not clouds:
        return -4.0, 4.0, -4.0, 4.0
    points = torch.cat([c[:, :2].double() for c in clouds])
    kept = points[points.isfinite().all(1)][:100_000]  # torch.quantile takes no more than 16 million numbers
    low, high = kept.quantile(torch.tensor([0.0005, 0.9995], dtype=torch.float64), dim=0)
    room = margin * (high - low).clamp(min=1e-6)
    (left, bottom), (right, top) = (low - room).tolist(), (high + room).tolist()
    return left, right, bottom, top
