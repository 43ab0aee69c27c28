"""G1: data become noise, and noise becomes data, in the plane."""

import torch
from _exact import five_bumps
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import bare, canvas
from pushforward.lab.plots.style import MODEL, MUTED, REAL

STEPS = 200
SHOWN = (1.0, 0.55, 0.3, 0.12, 0.0)  # times, from noise to data


def draw() -> Figure:
    """Above, x_t from the data; below, what ancestral sampling made at the same times."""
    exact = five_bumps(pf.paths.VP())
    n, generator = 1500, pf.RowGenerator(0, 1500)
    bump = torch.multinomial(exact.weights, n, replacement=True, generator=torch.Generator().manual_seed(0))
    data = exact.means[bump] + exact.stds[bump, None] * generator.normal(2)
    noise = generator.normal(2)
    seen = {1.0: noise}

    def watch(state, info) -> None:
        for t in SHOWN[1:]:
            if t not in seen and info.values["time"] <= t + 1e-4:
                seen[t] = state.x

    sampler = pf.diffusion.samplers.Ancestral(steps=STEPS, spacing="time")
    sampler.on(exact.model()).run(noise, STEPS, generator, watch)
    figure = canvas(height=3.3)
    panels = figure.subplots(2, len(SHOWN))
    for column, t in enumerate(reversed(SHOWN)):
        noised = exact.path.sample(data, noise, torch.tensor(max(t, exact.path.t_min)))
        for row, (x, colour) in enumerate(((noised, REAL), (seen[t], MODEL))):
            axes = bare(panels[row, column], title=f"t = {t:g}" if row == 0 else "")
            axes.plot(*x.T.numpy(), ".", markersize=1.6, alpha=0.6, color=colour)
            axes.set(aspect="equal", xlim=(-3.2, 3.2), ylim=(-3.2, 3.2))
    for row, text in enumerate(("q: noise is added →", "p: noise is taken away ←")):
        panels[row, 0].text(0, -0.06, text, transform=panels[row, 0].transAxes, fontsize=8, color=MUTED)
    return figure
