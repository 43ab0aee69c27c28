"""D5: a latent ODE on damped oscillations: one path, more and more of it seen; bands of two standard deviations."""

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress
from pushforward.lab.plots.style import INK, MODEL, MUTED, below
from pushforward.parts.data.series_toys import damped_oscillator

STEPS, SEEN = 300, (0, 2, 6, 15)
ROW = 976  # none of those that it is trained on


def draw() -> Figure:
    """Nothing seen gives the prior; fifteen points among the first thirty tell nearly all, and the forecast beyond them too."""
    data = damped_oscillator(frequency=1.0)
    model = _trained(data)
    one = data.take(torch.tensor([ROW]))
    grid = torch.linspace(0, 10, 200)[None, :, None]
    figure = canvas(height=2.5)
    panels = figure.subplots(1, len(SEEN), sharey=True)
    order = pf.RowGenerator(3, 1).uniform(15).argsort(1)[0]
    for axes, seen in zip(panels, SEEN):
        chosen = order[:seen] * 2  # among the first thirty instants, which are some 60 % of the time
        context = pf.Context(one.t[:, chosen, None], one.x[:, chosen], one.observed[:, chosen])
        with torch.no_grad():
            band = model.predict(context, grid)
        mean, deviation = band.mean[0, :, 0].numpy(), band.stddev[0, :, 0].numpy()
        times = grid[0, :, 0].numpy()
        dress(axes, title=f"{seen} points" if seen else "no point", x="t", y="position" if not seen else "")
        axes.fill_between(times, mean - 2 * deviation, mean + 2 * deviation, color=MODEL, alpha=0.2, linewidth=0)
        axes.plot(times, mean, color=MODEL, linewidth=1.4, label="mean and 2 standard deviations")
        axes.plot(one.t[0].numpy(), one.x[0, :, 0].numpy(), ".", color=MUTED, markersize=2.5, label="hidden")
        axes.plot(context.x[0, :, 0].numpy(), context.y[0, :, 0].numpy(), "o", color=INK, markersize=3.6, label="seen")
    below(figure, *panels[0].get_legend_handles_labels())
    return figure


def _trained(data: pf.data.Series) -> pf.dynamics.LatentODE:
    model = pf.dynamics.latent_ode(data, latent=4, encoder_width=40)
    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    rate = torch.optim.lr_scheduler.OneCycleLR(adam, 1e-2, STEPS)
    for step in range(STEPS):
        generator = pf.RowGenerator(step, 32)
        batch = data.take(generator.fork(0).integers(950))
        adam.zero_grad()
        model.objective(model, batch, generator.fork(1)).value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        rate.step()
    return model
