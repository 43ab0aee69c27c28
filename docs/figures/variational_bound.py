"""G1: the terms of the variational bound along the chain, for three variances of the steps, with the exact prediction."""

import torch
from matplotlib.figure import Figure
from torch import nn

import pushforward as pf
from pushforward.lab.plots import canvas
from pushforward.lab.plots.style import MODEL, MUTED, REAL

STD, STEPS = 0.3, 200


class Exact(nn.Module):
    """The noise expected in x_t when the data are N(0, STD^2)."""

    def __init__(self, path: pf.Path):
        super().__init__()
        self.path, self.marker = path, nn.Parameter(torch.zeros(()))

    def forward(self, y: torch.Tensor, t: torch.Tensor, condition: None) -> torch.Tensor:
        """sigma y / (alpha^2 STD^2 + sigma^2)."""
        alpha, sigma = self.path.alpha(t), self.path.sigma(t)
        return (sigma / (alpha**2 * STD**2 + sigma**2))[:, None] * y


def draw() -> Figure:
    """Every term in nats, and the bound they add up to beside the entropy."""
    figure = canvas(height=2.8)
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    path = pf.paths.DiscreteVP("linear", STEPS)
    model = pf.diffusion.Diffusion(Exact(path), path, 1, "noise")
    x = STD * torch.randn(4000, 1, generator=torch.Generator().manual_seed(0))
    truth = float(torch.distributions.Normal(0, STD).log_prob(x).mean())
    totals = {}
    for variance, colour in (("posterior", REAL), ("beta", MODEL)):
        bound = pf.diffusion.variational_bound(model, x, variance=variance, generator=torch.Generator().manual_seed(1))
        left.semilogy(
            range(STEPS, 1, -1),
            bound.terms.clamp(min=1e-6),
            color=colour,
            label=f"variance of the {variance}" if variance == "posterior" else "variance beta",
        )
        totals[variance] = float(bound.value.mean())
    left.set(xlabel="step", ylabel="KL of a step, nats")
    left.legend(fontsize=7, frameon=False)
    values = [truth, totals["beta"], totals["posterior"]]
    right.bar(["log p", "bound,\nbeta", "bound,\nposterior"], values, color=[MUTED, MODEL, REAL])
    right.set(ylabel="nats, mean over the data", ylim=(min(values) - 0.3 * abs(min(values)), max(values) + 0.1))
    return figure
