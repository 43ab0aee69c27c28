"""G4: the probability flow carries noise to data along smooth curves; without its 1/2 it goes astray."""

import numpy as np
import torch
from _exact import two_bumps
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import INK, MODEL, MUTED, REAL


def draw() -> Figure:
    """Left: curves of the flow on the exact densities. Right: what comes out at t = 0 with the 1/2 and without it."""
    exact = two_bumps(pf.paths.VP())
    path = exact.path
    noise = torch.randn(5000, 1, generator=torch.Generator().manual_seed(0))
    t = torch.linspace(path.t_max, path.t_min, 120)
    outcome, curves = {}, torch.empty(0)
    for kind, label in (("ode", "f x - ½ g² score"), ("sde", "f x - g² score, no noise")):
        terms = pf.paths.reverse_terms(path, exact.score, kind)  # "sde" is the drift alone: the 1/2 is gone
        solution = pf.diffeq.solve(terms, noise, t, rtol=1e-4, atol=1e-4)
        outcome[label] = solution.y[-1, :, 0]
        curves = solution.y[..., 0] if kind == "ode" else curves
    figure = canvas(height=3.1)
    left, right = figure.subplots(1, 2, width_ratios=(1.4, 1))
    x = torch.linspace(-3, 3, 240)
    grid = torch.cartesian_prod(x, t.flip(0))
    density = exact.log_prob(grid[:, :1], grid[:, 1]).exp().reshape(len(x), len(t))
    dress(left, title="the flow", x="t", y="x", grid=False)
    left.imshow(
        (density / density.amax(0)).sqrt().numpy(),
        origin="lower",
        aspect="auto",
        cmap="Blues",
        extent=(0, 1, -3, 3),
        vmax=1.3,
    )
    starts = torch.linspace(-2.2, 2.2, 23)
    chosen = (noise[:, 0] - starts[:, None]).abs().argmin(1)
    left.plot(t.numpy(), curves[:, chosen].numpy(), color=MODEL, linewidth=0.8)
    dress(right, title="at t = 0", x="x", y="density")
    bins = np.linspace(-2.5, 2.5, 71)
    for (label, values), colour in zip(outcome.items(), (MODEL, MUTED)):
        right.hist(
            values.clamp(-2.5, 2.5).numpy(),
            bins=bins,
            density=True,
            histtype="step",
            color=colour,
            linewidth=1.3,
            label=label,
        )
    right.fill_between(
        x.numpy(), exact.log_prob(x[:, None]).exp().numpy(), color=REAL, alpha=0.25, linewidth=0, label="data"
    )
    right.set(xlim=(-2.5, 2.5), ylim=(0, 2.4))
    right.tick_params(colors=INK)
    legend(right, "upper left")
    return figure
