"""A2: four base densities, and histograms of what they draw."""

import numpy as np
import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import bare, canvas, dress, legend
from pushforward.lab.plots.style import HEAT, MODEL, REAL


def draw() -> Figure:
    """Curves and contours are exp(log_prob); bars and dots are samples."""
    generator = torch.Generator().manual_seed(0)
    gaussian = pf.distributions.Gaussian(torch.tensor([1.0]), torch.tensor([0.7]))
    box = pf.distributions.Uniform(torch.tensor([-2.0]), torch.tensor([1.0]))
    bumps = [
        pf.distributions.Gaussian(torch.tensor([m]), torch.tensor([s]))
        for m, s in ((-2.0, 0.3), (0.0, 0.6), (2.0, 0.2))
    ]
    mixture = pf.distributions.Mixture(torch.tensor([0.3, 0.5, 0.2]), bumps)
    full = pf.distributions.FullGaussian.of_covariance(torch.zeros(2), torch.tensor([[1.0, 0.8], [0.8, 1.0]]))
    figure = canvas(height=4.4)
    panels = figure.subplots(2, 2).ravel()
    grid = torch.linspace(-3.5, 3.5, 701)[:, None]
    for axes, model, title in zip(panels, (gaussian, box, mixture), ("Gaussian", "Uniform", "Mixture")):
        x = model.sample(20_000, generator=generator)
        dress(axes, title=title, x="x", y="density")
        axes.hist(
            x[:, 0].numpy(), bins=np.linspace(-3.5, 3.5, 71), density=True, color=REAL, alpha=0.35, label="samples"
        )
        axes.plot(
            grid[:, 0].numpy(), model.log_prob(grid).exp().numpy(), color=MODEL, linewidth=1.4, label="exp(log_prob)"
        )
    legend(panels[0], "upper left")
    plane = torch.cartesian_prod(grid[::10, 0], grid[::10, 0])
    density = full.log_prob(plane).exp().reshape(71, 71).T
    bare(panels[3], title="FullGaussian")
    panels[3].contour(grid[::10, 0].numpy(), grid[::10, 0].numpy(), density.numpy(), levels=6, cmap=HEAT, linewidths=1)
    panels[3].plot(*full.sample(800, generator=generator).T.numpy(), ".", markersize=2, alpha=0.4, color=REAL)
    panels[3].set(aspect="equal", xlim=(-3, 3), ylim=(-3, 3))
    return figure
