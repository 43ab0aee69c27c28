"""What the figures of B5 and B6 share: a ring with two bumps, and flows fitted to it by its energy alone, without data."""

import math

import torch
from matplotlib.axes import Axes
from torch import Tensor

import pushforward as pf
from pushforward.lab.plots import bare
from pushforward.lab.plots.style import HEAT

SIDE = torch.linspace(-4, 4, 161)
GRID = torch.cartesian_prod(SIDE, SIDE)
CELL = float(SIDE[1] - SIDE[0]) ** 2


def energy(x: Tensor) -> Tensor:
    """The first potential of Rezende and Mohamed (2015, table 1), `(n,)`."""
    ring = 0.5 * ((x.norm(dim=1) - 2) / 0.4) ** 2
    bumps = torch.stack([-0.5 * ((x[:, 0] - side * 2) / 0.6) ** 2 for side in (-1, 1)])
    return ring - bumps.logsumexp(0)


def fitted(flow: "pf.Flow", steps: int) -> "pf.Flow":
    """Minimise KL(flow || exp(-energy)) by gradients through draws, the edges of the bumps sharpened bit by bit."""
    optimiser = torch.optim.Adam(flow.parameters(), 2e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    generator = torch.Generator().manual_seed(0)
    for step in range(steps):
        x, log_prob = flow.rsample_and_log_prob(256, generator=generator)
        loss = (log_prob + min(1.0, 0.2 + 1.6 * step / steps) * energy(x)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return flow.eval()


def distance(flow: "pf.Flow") -> float:
    """KL(flow || target) in nats from 4000 draws; the target's constant is a sum over the grid."""
    with torch.no_grad():
        x, log_prob = flow.rsample_and_log_prob(4000, generator=torch.Generator().manual_seed(1))
        constant = ((-energy(GRID)).logsumexp(0) + math.log(CELL)).item()
        return (log_prob + energy(x)).mean().item() + constant


def show(axes: Axes, log_density: Tensor, title: str) -> None:
    """A density on the grid as a picture."""
    bare(axes, title=title)
    picture = log_density.detach().exp().reshape(len(SIDE), len(SIDE)).T.numpy()
    axes.imshow(picture, origin="lower", extent=(-4, 4, -4, 4), cmap=HEAT, aspect="equal")
