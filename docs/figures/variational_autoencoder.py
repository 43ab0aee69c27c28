"""A9: what a variational autoencoder keeps of digits, what its latents do, and how its bounds close on log p."""

import math

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy import stats

import pushforward as pf
from pushforward.lab.plots import bare, canvas, dress, legend, mosaic
from pushforward.lab.plots.style import INK, MODEL, REAL

STEPS = 500


def draw() -> Figure:
    """Left: digits, reconstructions, draws, a walk between two. Middle: traversals. Right: bounds by the number of draws."""
    digits = pf.data.load("digits")
    model = pf.latent.vae(digits, latents=8, hidden=[128, 128])
    settings = pf.training.Settings(bar=False, batch_size=128, learning_rate=3e-3, ema_decay=0.98, warmup=20)
    pf.fit(model, digits, steps=STEPS, settings=settings)
    batch = digits.take(torch.tensor([int((digits.labels == k).nonzero()[0]) for k in range(10)]))
    with torch.no_grad():
        kept = model.reconstruct(batch.x)
        drawn = model.decode(torch.randn(10, 8, generator=torch.Generator().manual_seed(1)))
        walk = model.interpolate(batch.x[3], batch.x[7], steps=10)
        moved = model.traverse(batch.x[3], places=8, steps=7)
    figure = canvas(height=2.7)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.15, 0.85, 1))
    for axes, title in ((left, "digits, kept, drawn, 3 to 7"), (middle, "one latent number at a time")):
        bare(axes, title=title)
    left.imshow(mosaic(torch.stack([batch.x, kept, drawn, walk]), 0, 16).numpy(), interpolation="nearest")
    middle.imshow(mosaic(moved, 0, 16).numpy(), interpolation="nearest")
    _bounds(right)
    return figure


def _bounds(axes) -> None:
    """A linear model in the plane, q too wide: log p is known."""
    x = torch.randn(500, 1, generator=torch.Generator().manual_seed(0)) * 1.5
    model = pf.latent.vae(x, latents=1, hidden=[8]).double()
    with torch.no_grad():
        model.likelihood.units.loc.zero_()
        model.likelihood.units.scale.fill_(1.0)
        model.likelihood.log_std.fill_(math.log(0.5))
        model.posterior.head.weight.zero_()
        model.posterior.head.bias.copy_(torch.tensor([0.0, 0.0]))
    model.decoder = _Line()
    truth = stats.norm(0, math.sqrt(1 + 0.25)).logpdf(x.numpy()).mean()
    draws = [2, 4, 8, 16, 32, 64, 128]
    tight = [model.iwae(x.double(), draws=k, generator=torch.Generator().manual_seed(2)).value.mean() for k in draws]
    loose = model.elbo(x.double(), draws=100, generator=torch.Generator().manual_seed(2)).value.mean()
    dress(axes, title="bounds of a known density", x="draws", y="nats")
    axes.axhline(truth, color=REAL, linewidth=1, label="log p(x)")
    axes.plot(draws, np.array(tight), "o-", color=MODEL, markersize=3, linewidth=1, label="k draws")
    axes.axhline(float(loose), color=INK, linewidth=1, linestyle=":", label="ELBO")
    axes.set_xscale("log", base=2)
    legend(axes, "lower right")


class _Line(torch.nn.Module):
    """The mean of x is z."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """`(n, 1)` to `(n, 1, 1)`."""
        return z[:, None]
