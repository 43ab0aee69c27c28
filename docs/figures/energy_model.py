"""A8: the energy of a network fitted to two moons, the chains that it makes, and log Z from both sides."""

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import HEAT, MODEL, REAL, colour_bar


def draw() -> Figure:
    """Log density, chains of the fitted model, and log Z by the number of temperatures."""
    moons = pf.data.load("two_moons")
    model = pf.energy.energy_model(moons, training="denoising", width=64, blur=0.15, step_size=0.01)
    settings = pf.training.Settings(bar=False, learning_rate=5e-3, ema_decay=0.98, warmup=20, evaluate_every=400)
    pf.fit(model, moons, steps=800, settings=settings)
    found = model.estimate_log_z(chains=200, temperatures=100, generator=torch.Generator().manual_seed(0))

    figure = canvas(height=2.7)
    first, second, third = figure.subplots(1, 3)
    left, right, bottom, top = -1.6, 2.6, -1.1, 1.6
    x, y = torch.linspace(left, right, 120), torch.linspace(bottom, top, 120)
    points = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).reshape(-1, 2)
    with torch.no_grad():
        log_p = model.log_prob(points).reshape(120, 120)
    shown = log_p.clamp(min=float(log_p.max()) - 8).numpy()
    image = first.imshow(shown, extent=(left, right, bottom, top), origin="lower", cmap=HEAT, aspect="auto")
    dress(first, title="log p", grid=False)
    colour_bar(figure, image, first, "nats")
    drawn = model.sample(1500, generator=torch.Generator().manual_seed(1))
    second.scatter(*moons.values[:1500].mT.numpy(), s=2, color=REAL, linewidths=0, alpha=0.5, label="data")
    second.scatter(*drawn.mT.numpy(), s=2, color=MODEL, linewidths=0, alpha=0.5, label="chains")
    second.set(xlim=(left, right), ylim=(bottom, top))
    dress(second, title="chains from noise")
    legend(second, "lower left")

    numbers = [10, 20, 50]
    others = [model.estimate_log_z(chains=200, temperatures=k, generator=torch.Generator().manual_seed(k)) for k in numbers]  # fmt: skip
    numbers, every = [*numbers, 100], [*others, found]
    dress(third, title="log Z", x="temperatures")
    third.fill_between(numbers, [f.lower for f in every], [f.upper for f in every], color=MODEL, alpha=0.2, linewidth=0, label="two sides")  # fmt: skip
    third.errorbar(numbers, [f.value for f in every], yerr=[2 * f.std_error for f in every], fmt="o", color=MODEL, markersize=3.5, label="estimate")  # fmt: skip
    third.set_xscale("log")
    legend(third, "lower right")
    return figure
