"""D4: noise becomes two moons: the density at five times, and paths of points through it."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

import pushforward as pf
from pushforward.core.data import Batch
from pushforward.core.random import RowGenerator
from pushforward.lab.plots import bare, canvas
from pushforward.lab.plots.style import HEAT, MODEL, REAL

TIMES, STEPS, BATCH, SIDE = (0.0, 0.25, 0.5, 0.75, 1.0), 260, 200, 100


def draw() -> Figure:
    """Five densities, each by its own solve back to the noise; then forty paths from noise to data."""
    x = pf.data.toy("two_moons", 4000, seed=0)
    x = (x - x.mean(0)) / x.std(0)
    field = fitted(x)
    figure = canvas(height=1.4)
    panels = figure.subplots(1, len(TIMES) + 1)
    side = torch.linspace(-2.6, 2.6, SIDE)
    grid = torch.cartesian_prod(side, side)
    for panel, t in zip(panels, TIMES):
        with torch.no_grad():
            heat = log_density(field, grid, t).exp().reshape(SIDE, SIDE).T
        bare(panel, title=f"t = {t:g}")
        panel.imshow(heat.numpy(), origin="lower", extent=(-2.6, 2.6, -2.6, 2.6), cmap=HEAT)
    z = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        paths = pf.diffeq.solve(field, z, torch.linspace(0, 1, 60)).y
    bare(panels[-1], title="paths")
    panels[-1].plot(*paths.permute(2, 0, 1).numpy(), color="0.5", linewidth=0.5)
    panels[-1].scatter(*paths[0].T.numpy(), s=3, color=REAL, zorder=3)
    panels[-1].scatter(*paths[-1].T.numpy(), s=3, color=MODEL, zorder=3)
    panels[-1].set(xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), aspect="equal")
    return figure


def log_density(field: pf.nn.VelocityMLP, x: Tensor, t: float) -> Tensor:
    """log p of z(t) at the points x: that of the noise they come from, and minus the trace along the way."""
    state = torch.cat([x, torch.zeros(len(x), 1)], 1)

    def rate(t: Tensor, state: Tensor) -> Tensor:
        f, trace = field.value_and_trace(t, state[:, :2])
        return torch.cat([f, trace[:, None]], 1)

    z, change = pf.diffeq.solve(rate, state, [t, 0.0], atol=1e-5).last_y.split([2, 1], 1)
    return pf.distributions.Gaussian.standard(2).log_prob(z) + change[:, 0]


def fitted(x: Tensor) -> pf.nn.VelocityMLP:
    """The field of a flow after a plain loop; the energy of its paths counts a little, so that they are straight."""
    flow = pf.flows.ffjord(features=2, hidden=(32, 32), kinetic=0.02, tolerance=1e-4)
    optimiser = torch.optim.Adam(flow.parameters(), 2e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-2, total_steps=STEPS)
    generator = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        batch = Batch(x[torch.randint(len(x), (BATCH,), generator=generator)])
        loss = flow.objective(flow, batch, RowGenerator(0, BATCH)).value
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return flow.flow.bijection.parts[0].field
