"""B12: one matrix, reached step by step through its factors: P L U above, Q R below."""

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

import pushforward as pf
from pushforward.lab.plots import bare, canvas
from pushforward.lab.plots.style import FAINT, MODEL, REAL

LETTER = (
    torch.tensor([[0, 0], [0, 5], [3, 5], [3, 4], [1, 4], [1, 3], [2, 3], [2, 2], [1, 2], [1, 0], [0, 0]]) / 2.5 - 0.5
)
MATRIX = torch.tensor([[0.4, -1.1], [1.0, 0.5]])


def panel(axes: Axes, matrix: Tensor, title: str) -> None:
    """The lattice and a letter on it after a matrix, the volume factor below."""
    with torch.no_grad():
        side = torch.linspace(-2, 2, 9)
        for place in side:
            for ends in ([[place, -2.0], [place, 2.0]], [[-2.0, place], [2.0, place]]):
                axes.plot(*(torch.tensor(ends) @ matrix.T).T.numpy(), color=FAINT, linewidth=0.8)
        axes.fill(*(LETTER @ matrix.T).T.numpy(), facecolor=REAL, edgecolor=MODEL, linewidth=1.2, zorder=3)
        bare(axes, title=f"{title}\n|det| = {torch.linalg.det(matrix).abs():.2f}")
    axes.set(aspect="equal", xlim=(-3.2, 3.2), ylim=(-3.2, 3.2))


def draw() -> Figure:
    """From left to right one factor after the other."""
    lu = pf.bijections.LULinear.of(MATRIX)
    qr = pf.bijections.QRLinear(2, reflections=2)
    q, r = torch.linalg.qr(MATRIX)
    sign = r.diagonal().sign()
    q, r = q * sign, sign[:, None] * r
    with torch.no_grad():
        # A turn by t is a reflection across one line after a reflection across another, t / 2 from it.
        turn = torch.atan2(q[1, 0], q[0, 0])
        qr.vectors.copy_(torch.stack([torch.stack([(turn / 2).cos(), (turn / 2).sin()]), torch.tensor([1.0, 0.0])]))
        qr.upper.copy_(r.triu(1))
        qr.log_diagonal.copy_(r.diagonal().log())
        lower, upper = lu._factors()
        (whole, _), (other, _) = lu(torch.eye(2)), qr(torch.eye(2))
    figure = canvas(height=4.0)
    above, below = figure.subplots(2, 4)
    for axes, matrix, title in zip(
        above, (torch.eye(2), upper, lower @ upper, whole.T), ("z", "U z", "L U z", "P L U z")
    ):
        panel(axes, matrix, title)
    for axes, matrix, title in zip(below[1:], (torch.eye(2), r, other.T), ("z", "R z", "Q R z")):
        panel(axes, matrix, title)
    below[0].remove()
    return figure
