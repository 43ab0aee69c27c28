"""G9: where EDM spends its training, and how large the target of the network is with and without preconditioning."""

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas
from pushforward.lab.plots.style import MODEL, MUTED, REAL
from pushforward.models.diffusion.weighting import draw as draw_times

D = 0.5


def draw() -> Figure:
    """Density of log sigma in training, and standard deviations of what a network would have to predict."""
    figure = canvas(height=2.6)
    left, right = figure.subplots(1, 2)
    u = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    for weighting, path, colour in (("edm", pf.paths.EDM(), MODEL), ("simple", pf.paths.Cosine(), REAL)):
        t, _ = draw_times(weighting, path, "data", u, D)
        log_sigma = -path.log_snr(t)
        left.hist(
            log_sigma.numpy(),
            120,
            density=True,
            histtype="step",
            color=colour,
            label=f"{weighting}, {type(path).__name__}",
        )
    left.set(xlabel="log sigma", ylabel="density in training", yticks=[], xlim=(-7, 7))
    left.legend(fontsize=7, frameon=False)
    sigma = torch.logspace(-2.7, 1.9, 200)
    data = D * sigma / (sigma**2 + D**2).sqrt()  # what is left to say about the data, given c_skip x
    for name, size, colour in (
        ("data - c_skip x", data, REAL),
        ("noise", torch.ones_like(sigma), MUTED),
        ("F, preconditioned", data / (sigma * D / (sigma**2 + D**2).sqrt()), MODEL),
    ):
        right.loglog(sigma, size, color=colour, label=name, linestyle="--" if name == "noise" else "-")
    right.set(xlabel="sigma", ylabel="standard deviation of the target", ylim=(1e-3, 5))
    right.legend(fontsize=7, frameon=False)
    return figure
