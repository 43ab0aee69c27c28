"""A10: eight bumps, drawn by two adversarial networks, a flow and a diffusion; and losses that say nothing."""

import math

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import COLOURS, INK, MODEL, REAL

STEPS = 600


def draw() -> Figure:
    """Draws of four models after as many steps with the modes they cover, and above the losses of the two networks of a game."""
    data = pf.data.toy("eight_gaussians", 4000)
    angle = torch.arange(8) * (math.pi / 4)
    centres = 5 * torch.stack([angle.cos(), angle.sin()], 1)
    models = {
        "R1 network": pf.latent.gan(data, latents=2, hidden=[64, 64], penalty=0.003),
        "WGAN-GP": pf.latent.gan(data, latents=2, hidden=[64, 64], loss="wasserstein"),
        "flow": pf.flows.neural_spline(data, layers=2, hidden=[32, 32]),
        "diffusion": pf.diffusion.v_diffusion(event_shape=2, width=64),
    }
    figure = canvas(height=5.0)
    grid = figure.add_gridspec(2, 4, height_ratios=(0.7, 1))
    losses = figure.add_subplot(grid[0, :2])
    distances = figure.add_subplot(grid[0, 2:])
    dress(losses, title="losses of the R1 network", x="step", y="nats")
    dress(distances, title="energy distance to held-out rows", x="step", y="")
    settings = pf.training.Settings(
        bar=False,
        batch_size=128,
        learning_rate=3e-3,
        ema_decay=0.98,
        warmup=20,
        patience=0,
        evaluate_every=25,
        clip=10.0,
    )
    for place, (name, model) in enumerate(models.items()):
        rows = pf.data.Table.of(data)
        watched: list[dict] = []
        game = isinstance(model, pf.latent.GenerativeAdversarial)

        def objective(model, batch, generator, watched=watched):
            loss = model.objective(model, batch, generator)
            watched.append({key: float(value) for key, value in loss.metrics.items()})
            return loss

        history = pf.fit(model, rows, steps=STEPS, objective=objective if game else None, settings=settings)
        if game:
            seen = [(r["step"], r["held_out_loss"]) for r in history.records if "held_out_loss" in r]
            distances.plot(*zip(*seen), color=COLOURS[place], linewidth=1, label=name)
        if place == 0:
            trained = [each for each in watched if each]
            for key, colour in (("critic", MODEL), ("generator", REAL)):
                losses.plot([each[key] for each in trained], color=colour, linewidth=0.6, label=key)
            losses.axhline(2 * math.log(2), color=INK, linewidth=0.6, linestyle=":")
        drawn = model.sample(2000, generator=torch.Generator().manual_seed(1))
        coverage = pf.metrics.mode_coverage(drawn, centres, math.sqrt(0.1))
        axes = figure.add_subplot(grid[1, place])
        dress(axes, title=f"{name}\n{8 * coverage.covered:.0f} of 8, {100 * coverage.good:.0f} % good")
        axes.scatter(drawn[:, 0], drawn[:, 1], s=1, color=MODEL, linewidths=0)
        axes.scatter(centres[:, 0], centres[:, 1], s=14, marker="+", color=INK, linewidths=0.8)
        axes.set_xlim(-7.5, 7.5)
        axes.set_ylim(-7.5, 7.5)
        axes.set_aspect("equal")
    legend(losses, "upper right")
    legend(distances, "upper right")
    return figure
