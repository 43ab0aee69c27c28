"""B10: two angles with a mode across the seam, the density of a circular spline flow on the torus, its draws."""

import math

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress
from pushforward.lab.plots.style import HEAT, REAL

TICKS = [-math.pi, 0, math.pi]


def draw() -> Figure:
    """The square is the torus cut open: left and right edge are the same line, bottom and top too."""
    x = _angles(3000)
    flow = pf.flows.neural_spline(x, layers=4, hidden=(64, 64), kind="circular")
    optimiser = torch.optim.Adam(flow.parameters(), 5e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(250):
        loss = -flow.log_prob(x[torch.randint(len(x), (512,), generator=generator)]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    flow.eval()
    side = torch.linspace(-math.pi, math.pi, 240)
    with torch.no_grad():
        density = flow.log_prob(torch.cartesian_prod(side, side)).exp().reshape(240, 240).T
    drawn = flow.sample(3000, generator=torch.Generator().manual_seed(1))
    figure = canvas(height=2.5)
    for axes, title in zip(figure.subplots(1, 3), ("data", "density", "draws")):
        dress(axes, title=title, grid=False)
        if title == "density":
            axes.imshow(density.numpy(), origin="lower", extent=(-math.pi, math.pi, -math.pi, math.pi), cmap=HEAT)
        else:
            axes.plot(*(x if title == "data" else drawn).T.numpy(), ".", markersize=1, alpha=0.5, color=REAL)
        axes.set(aspect="equal", xlim=(-math.pi, math.pi), ylim=(-math.pi, math.pi))
        axes.set_xticks(TICKS, ["$-\\pi$", "0", "$\\pi$"])
        axes.set_yticks(TICKS, ["$-\\pi$", "0", "$\\pi$"])
    return figure


def _angles(n: int) -> torch.Tensor:
    """A band that winds once around both circles, and a spot whose middle is a corner of the square."""
    generator = torch.Generator().manual_seed(0)
    along = 2 * math.pi * torch.rand(n, generator=generator)
    band = torch.stack([along, along + 1.5 + 0.15 * torch.randn(n, generator=generator)], 1)
    spot = math.pi + 0.3 * torch.randn(n, 2, generator=generator)
    x = torch.where(torch.rand(n, 1, generator=generator) < 0.6, band, spot)
    return torch.remainder(x + math.pi, 2 * math.pi) - math.pi
