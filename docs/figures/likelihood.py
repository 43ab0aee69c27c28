"""G5: the likelihood of the probability flow against the truth, with error bars; and what few steps do to it."""

import torch
from _exact import five_bumps
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import COLOURS, INK, MODEL, MUTED


def draw() -> Figure:
    """Left: estimates with sixteen probes against the exact log density. Right: error and reported error by steps."""
    exact = five_bumps(pf.paths.Cosine()).double()
    model = exact.model()
    x = torch.rand(60, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 4 - 2
    truth = exact.log_prob(x)
    figure = canvas(height=3.2)
    left, right = figure.subplots(1, 2)
    found = model.log_prob_estimate(
        x, exact=False, probes=16, max_solver_error=1.0, generator=torch.Generator().manual_seed(1)
    )
    dress(left, title="sixteen probes each", x="exact log p (nats)", y="estimate")
    ends = [float(truth.min()), float(truth.max())]
    left.plot(ends, ends, color=MUTED, linewidth=0.9)
    left.errorbar(
        truth.numpy(),
        found.value.numpy(),
        yerr=found.std_error.numpy(),
        fmt="o",
        markersize=2.8,
        linewidth=0.9,
        color=MODEL,
    )
    dress(right, title="exact trace, even steps", x="steps", y="median error (nats)")
    steps = [2, 3, 4, 6, 8, 12, 16, 24]
    results = [model.log_prob_estimate(x, steps=k, max_solver_error=1e9) for k in steps]
    right.loglog(
        steps,
        [float((r.value - truth).abs().median()) for r in results],
        "o-",
        color=MODEL,
        markersize=3.5,
        label="true error",
    )
    right.loglog(
        steps,
        [float(r.solver_error.median()) for r in results],
        "s--",
        color=COLOURS[2],
        markersize=3.5,
        label="solver_error",
    )
    right.set_xticks(steps, labels=[str(k) for k in steps])
    right.minorticks_off()
    right.axhline(0.07, color=INK, linewidth=0.8)
    right.text(steps[-1], 0.085, "refused above", fontsize=8, color=INK, ha="right")
    legend(right, "upper right")
    return figure
