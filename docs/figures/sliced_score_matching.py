"""F1, F2: the losses of one score on the same rows: their mean is one, their spread is not."""

import torch
from _exact import five_bumps
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import COLOURS, INK


def draw() -> Figure:
    """Left: estimates of the loss from 200 rows against the exact one. Right: the loss of c times the true score."""
    exact, generator = five_bumps(pf.paths.VE()), torch.Generator().manual_seed(0)
    kinds = {
        "sliced": pf.diffusion.sliced_score_matching,
        "sliced, reduced variance": pf.diffusion.sliced_score_matching_vr,
    }
    k = torch.multinomial(exact.weights, 200, replacement=True, generator=generator)
    x = exact.means[k] + exact.stds[k, None] * torch.randn(200, 2, generator=generator)
    figure = canvas(height=2.9)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.1))
    dress(left, title="one direction a row", x="loss of the true score on 200 rows", y="draws of directions")
    dress(right, title="E[tr ∂s/∂x + ½|s|²], s = c · score", x="c", y="loss")
    for (name, loss), colour in zip(kinds.items(), COLOURS):
        means = [
            loss(exact.score, x, torch.randn(200, 2, generator=generator).sign()).mean().item() for _ in range(400)
        ]
        left.hist(means, bins=30, histtype="step", color=colour, linewidth=1.4, label=name)
    left.axvline(
        pf.diffusion.implicit_score_matching(exact.score, x).mean().item(), color=INK, linewidth=1, label="implicit"
    )
    legend(left, "upper left")
    c = torch.linspace(-0.4, 2.4, 29)
    for (name, loss), colour in zip(kinds.items(), COLOURS):
        v = torch.randn(200, 2, generator=generator)
        values = [loss(lambda y, w=w: w * exact.score(y), x, v).mean().item() for w in c]
        right.plot(c.numpy(), values, color=colour, linewidth=1.3, label=name)
    values = [pf.diffusion.implicit_score_matching(lambda y, w=w: w * exact.score(y), x).mean().item() for w in c]
    right.plot(c.numpy(), values, color=INK, linewidth=1, label="implicit")
    right.axvline(1, color=INK, linewidth=0.6, linestyle=":")
    legend(right, "upper center")
    return figure
