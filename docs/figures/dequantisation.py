"""B13: the bound against the truth, by the number of draws of the noise."""

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy import stats

import pushforward as pf
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import MODEL, REAL


def draw() -> Figure:
    """Left, a density and the probabilities of whole numbers; right, how the bound closes."""
    mean, width, values = 0.7, 0.6, np.arange(-2, 4)
    truth = np.diff(stats.norm(mean, width).cdf(np.append(values, values[-1] + 1)))
    base = pf.distributions.Gaussian(torch.tensor([mean, 0.0]), torch.tensor([width, 1.0]))
    figure = canvas(height=2.6)
    left, right = figure.subplots(1, 2)
    dress(left, title="the cells of a density", x="x", y="density, probability")
    left.bar(values, truth, width=1, align="edge", color=REAL, alpha=0.35, label="P(k), on [k, k + 1)")
    line = np.linspace(-2, 4, 601)
    left.plot(line, stats.norm(mean, width).pdf(line), color=MODEL, linewidth=1.4, label="p(x)")
    legend(left, "upper right")
    # A second, continuous column gives every row noise of its own.
    other = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    drawn = torch.from_numpy(np.random.default_rng(0).choice(values, 20_000, p=truth / truth.sum())).float()
    rows, counts = torch.stack([drawn, other], 1), [1, 2, 4, 8, 16, 32]
    exact = float(np.log(truth[drawn.long().numpy() + 2]).mean())
    bounds = []
    for count in counts:
        scores = pf.distributions.Dequantised(base, torch.tensor([1.0, 0.0]), count).log_prob(rows)
        bounds.append(float(scores.mean() - stats.norm.logpdf(other.numpy()).mean()))
    dress(right, title="the bound closes", x="draws a row", y="nats a row")
    right.axhline(exact, color=REAL, linewidth=1.2, label="truth")
    right.plot(counts, bounds, "o-", color=MODEL, markersize=3, linewidth=1.2, label="log_prob")
    right.set_xscale("log", base=2)
    legend(right, "lower right")
    return figure
