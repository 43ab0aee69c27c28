"""B13: the bound against the truth, by the number of draws of the noise, uniform and learned."""

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy import stats

import pushforward as pf
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import COLOURS, MODEL, REAL


def fitted(base: pf.Distribution, rows: torch.Tensor) -> pf.distributions.VariationalDequantised:
    """Noise that knows the row, after a few steps; the density stays as it is."""
    net = pf.nn.MLP(0, 2, (16,), condition=2, zero_last=True)
    noise = pf.bijections.Coupling([False], pf.bijections.AffineTransformer(), net)
    model = pf.distributions.VariationalDequantised(base, noise, torch.tensor([1.0, 0.0]))
    optimiser = torch.optim.Adam(noise.parameters(), 2e-2)
    for step in range(300):
        batch = pf.Batch(rows[(step * 256) % len(rows) :][:256])
        loss = model.objective(model, batch, pf.RowGenerator(step, len(batch))).value
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model


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
    learned, bounds = fitted(base, rows), {"uniform noise": [], "learned noise": []}
    for count in counts:
        uniform = pf.distributions.Dequantised(base, torch.tensor([1.0, 0.0]), count)
        learned.samples = count
        for name, model in zip(bounds, (uniform, learned)):
            with torch.no_grad():
                bounds[name].append(float(model.log_prob(rows).mean() - stats.norm.logpdf(other.numpy()).mean()))
    dress(right, title="the bound closes", x="draws a row", y="nats a row")
    right.axhline(exact, color=REAL, linewidth=1.2, label="truth")
    for (name, values), ink in zip(bounds.items(), (MODEL, COLOURS[2])):
        right.plot(counts, values, "o-", color=ink, markersize=3, linewidth=1.2, label=name)
    right.set_xscale("log", base=2)
    legend(right, "lower right")
    return figure
