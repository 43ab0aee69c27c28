"""D8: a diffusion in two wells learned from noisy points, its drift beside the truth, and a latent SDE that goes on by itself."""

import math

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

import pushforward as pf
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import INK, MODEL, MUTED

GAP, NOISE, SIGMA = 0.4, 0.15, 0.6


def force(x: Tensor) -> Tensor:
    """Two wells, at -1 and at 1."""
    return 2 * (x - x**3)


def wells(rows: int, points: int) -> tuple[Tensor, Tensor, Tensor]:
    """Times `(points,)`, states and noisy observations `(rows, points)`, by fine Euler-Maruyama steps."""
    random, fine = pf.RowGenerator(1, rows), 20
    h, x, kept = GAP / fine, 1.5 * pf.RowGenerator(2, rows).normal(), []
    for step in range(points * fine):
        if step % fine == 0:
            kept.append(x)
        x = x + force(x) * h + SIGMA * math.sqrt(h) * random.normal()
    states = torch.stack(kept, 1)
    return GAP * torch.arange(points), states, states + NOISE * random.normal(points)


def train(model: nn.Module, data: pf.data.Series, steps: int, rate: float) -> None:
    """Adam with a rate that falls to nothing."""
    adam = torch.optim.Adam(model.parameters(), rate)
    plan = torch.optim.lr_scheduler.OneCycleLR(adam, rate, steps)
    for step in range(steps):
        generator = pf.RowGenerator(step, min(48, len(data)))
        batch = data.take(generator.fork(0).integers(len(data)))
        adam.zero_grad()
        model.objective(model, batch, generator.fork(1)).value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        plan.step()


def bands(axes, model: pf.Process, context: pf.Context, times: Tensor) -> None:
    """Mean and two standard deviations."""
    with torch.no_grad():
        found = model.predict(context, times[None, :, None])
    mean, deviation = found.mean[0, :, 0], found.stddev[0, :, 0]
    axes.fill_between(times, mean - 2 * deviation, mean + 2 * deviation, color=MODEL, alpha=0.2, linewidth=0)
    axes.plot(times, mean, color=MODEL, linewidth=1.4, label="mean and 2 standard deviations")
    axes.plot(context.x[0, :, 0], context.y[0, :, 0], "o", color=INK, markersize=3, label="observed")


def draw() -> Figure:
    """Bands widen in gaps; normal ones stay in a well where paths of the same model change wells. The latent SDE keeps its rhythm."""
    figure = canvas(height=2.8)
    smooth, drifts, latent = figure.subplots(1, 3, width_ratios=[1.3, 0.8, 1.3])
    t, states, seen = wells(200, 30)
    data = pf.data.Series.of(t, seen)
    sde = pf.dynamics.neural_sde(data, hidden=(16,), substeps=1)
    train(sde, data, 60, 0.03)
    row = int(states.sign().diff().abs().sum(1).argmax())  # one that changes wells
    one = torch.tensor([*range(9), 16, 17, *range(21, 24)])
    dress(smooth, title="neural SDE", x="t", y="x")
    smooth.plot(t, states[row], color=MUTED, linewidth=1, label="truth")
    context, ahead = (
        pf.Context.of(t[None, one, None], seen[None, row, one, None]),
        torch.linspace(float(t[one[-1]]), 16, 80),
    )
    bands(smooth, sde, context, torch.linspace(0, 16, 200))
    with torch.no_grad():
        paths = sde.sample_paths(context, ahead, n=8, generator=torch.Generator().manual_seed(0))[:, 0, :, 0]
    smooth.plot(ahead, paths.T, color=MODEL, linewidth=0.5, alpha=0.7)
    smooth.set_ylim(-2.4, 4)
    legend(smooth, "upper left")

    x = torch.linspace(-1.7, 1.7, 100)
    units = sde.units
    with torch.no_grad():
        drift = sde.drift(((x - units.loc) / units.scale)[:, None])[0][:, 0] * units.scale / units.unit
        level = sde.diffusion_factor(torch.zeros(1, 1)).item() * units.scale.item() / units.unit.item() ** 0.5
    dress(drifts, title="its drift", x="x", y="f(x)")
    drifts.plot(x, force(x), color=MUTED, linewidth=1.5, label="truth")
    drifts.plot(x, drift, color=MODEL, label="learned")
    drifts.text(-1.6, -3.6, f"diffusion {level:.2f}\n(truth {SIGMA})", fontsize=8)
    drifts.set_ylim(-4.2, 4.2)
    legend(drifts, "upper right")

    times, phase = torch.linspace(0, 8, 33), 2 * torch.pi * pf.RowGenerator(5, 200).uniform(1)
    waves = torch.sin(2 * times + phase)[..., None] + 0.1 * pf.RowGenerator(6, 200).normal(33, 1)
    series = pf.data.Series.of(times, waves)
    hidden = pf.dynamics.latent_sde(series, latent=3, context_size=24, hidden=(32,), steps=50)
    train(hidden, series, 130, 0.02)
    half = slice(0, 17)
    dress(latent, title="latent SDE", x="t", y="x")
    latent.plot(times, waves[0, :, 0], ".", color=MUTED, markersize=4, label="hidden")
    bands(latent, hidden, pf.Context.of(times[None, half, None], waves[:1, half]), torch.linspace(0, 8, 200))
    return figure
