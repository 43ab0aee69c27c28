"""What the figures of B2 and B10 share: fit a flow to two moons, draw its density beside the data."""

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import bare, canvas
from pushforward.lab.plots.style import HEAT, REAL


def fitted(build, steps: int) -> tuple[torch.Tensor, "pf.Distribution"]:
    """The data, and a flow of them after a plain loop."""
    x = pf.data.toy("two_moons", 4000, seed=0)
    flow = build(x, layers=8, hidden=(64, 64))
    optimiser = torch.optim.Adam(flow.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        loss = -flow.log_prob(x[torch.randint(len(x), (512,), generator=generator)]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return x, flow.eval()


def panels(build, steps: int) -> Figure:
    """Data, density and draws."""
    x, flow = fitted(build, steps)
    low, high = x.amin(0) - 0.4, x.amax(0) + 0.4
    across, up = (torch.linspace(float(low[i]), float(high[i]), 240) for i in (0, 1))
    with torch.no_grad():
        density = flow.log_prob(torch.cartesian_prod(across, up)).exp().reshape(240, 240).T
    drawn = flow.sample(4000, generator=torch.Generator().manual_seed(1))
    figure = canvas(height=2.2)
    extent = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
    for axes, title in zip(figure.subplots(1, 3), ("data", "density", "draws")):
        bare(axes, title=title)
        if title == "density":
            axes.imshow(density.numpy(), origin="lower", extent=extent, cmap=HEAT, aspect="equal")
        else:
            axes.plot(*(x if title == "data" else drawn).T.numpy(), ".", markersize=1, alpha=0.4, color=REAL)
        axes.set(aspect="equal", xlim=extent[:2], ylim=extent[2:])
    return figure
