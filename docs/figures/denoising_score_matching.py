"""F3: five data points, blurred; the score of the blur, learned from noise alone."""

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

import pushforward as pf
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import INK, MODEL, REAL

DATA = torch.tensor([-1.5, -0.9, 0.2, 0.6, 1.9])


def learned(sigma: float) -> nn.Module:
    """A small network after 1,000 steps of denoising score matching."""
    net = nn.Sequential(nn.Linear(1, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1))
    with torch.no_grad():
        net[0].weight.mul_(8)  # the score turns within a fraction of a unit
    adam = torch.optim.Adam(net.parameters(), lr=5e-3)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 1000)
    for step in range(1000):
        generator = pf.RowGenerator(step, 512)
        x = DATA[generator.integers(len(DATA))][:, None]
        loss = pf.diffusion.denoising_score_matching(net, x, generator.normal(1), sigma).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        rate.step()
    return net


def blurred(x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Density of the data plus noise, and its score."""
    gap = DATA - x[:, None]
    bumps = (-0.5 * (gap / sigma) ** 2).exp()
    return bumps.mean(1) / (sigma * (2 * torch.pi) ** 0.5), (bumps * gap).sum(1) / bumps.sum(1) / sigma**2


def draw() -> Figure:
    """Above the density of the blur, below its score: exact and as learned."""
    figure = canvas(height=4.2)
    panels = figure.subplots(2, 2, sharex=True, height_ratios=(1, 1.6))
    x = torch.linspace(-2.9, 3.3, 400)
    for column, sigma in enumerate((0.5, 0.2)):
        density, score = blurred(x, sigma)
        top, low = panels[:, column]
        dress(top, title=f"σ = {sigma}", y="density" if column == 0 else "")
        top.fill_between(x.numpy(), density.numpy(), color=REAL, alpha=0.25, linewidth=0)
        top.plot(DATA.numpy(), torch.zeros(len(DATA)).numpy(), "|", color=INK, markersize=12, label="data")
        dress(low, x="x", y="score" if column == 0 else "")
        low.plot(x.numpy(), score.numpy(), color=REAL, linewidth=1.6, label="exact")
        found = learned(sigma)(x[:, None])[:, 0].detach()
        low.plot(x.numpy(), found.numpy(), "--", color=MODEL, linewidth=1.6, label="learned")
    legend(panels[0, 0], "upper right")
    legend(panels[1, 0], "upper right")
    return figure
