"""B11: four elementwise maps after a few hundred steps on three bumps, with the slopes that make the density."""

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas
from pushforward.lab.plots.style import REAL

BUMPS, WIDTHS = torch.tensor([-2.0, 0.3, 2.0]), torch.tensor([0.25, 0.5, 0.3])


SETTINGS = {
    "neural_autoregressive": {},
    "umnn": {"units": 8, "bound": 4.0},
    "bernstein": {"degree": 40, "bound": 4.0},
    "sum_of_squares": {"degree": 8, "bound": 3.0},
}


def fitted(name: str) -> "pf.Distribution":
    """One layer of one feature, its parameters learned constants, after a plain loop."""
    generator = torch.Generator().manual_seed(0)
    which = torch.randint(3, (4000,), generator=generator)
    x = (BUMPS[which] + WIDTHS[which] * torch.randn(4000, generator=generator))[:, None]
    flow = getattr(pf.flows, name)(features=1, layers=1, kind="coupling", **SETTINGS[name])
    optimiser = torch.optim.Adam(flow.parameters(), 6e-2)
    for step in range(200):
        loss = -flow.log_prob(x[(step * 160) % 4000 :][:160]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return flow.eval()


def draw() -> Figure:
    """The maps from data to noise, and below them the densities."""
    line = torch.linspace(-4, 4, 801)[:, None]
    truth = torch.exp(-(((line - BUMPS) / WIDTHS) ** 2) / 2) / (WIDTHS * (2 * torch.pi) ** 0.5)
    figure = canvas(height=3.2)
    axes = figure.subplots(2, 4, sharex=True, sharey="row")
    for column, name in enumerate(SETTINGS):
        flow = fitted(name)
        with torch.no_grad():
            z = flow.bijection.inverse(line)[0]
            density = flow.log_prob(line).exp()
        axes[0, column].plot(line[:, 0], z[:, 0])
        axes[0, column].set(title=name.replace("_", "\n", 1).replace("_", " "), ylim=(-4, 4))
        axes[1, column].fill_between(line[:, 0], truth.mean(1), color=REAL, alpha=0.3, linewidth=0)
        axes[1, column].plot(line[:, 0], density)
        axes[1, column].set(xlabel="data x")
    axes[0, 0].set_ylabel("noise z")
    axes[1, 0].set_ylabel("density")
    return figure
