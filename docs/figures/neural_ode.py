"""D3: paths of an ODE never cross. Without room a disc cannot leave the ring around it; one more number is room enough."""

import math

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress
from pushforward.lab.plots.style import MODEL, MUTED, REAL, below

STEPS = 250


def disc_and_ring(n: int, seed: int) -> pf.Batch:
    """Half of the points within a radius of 0.5, the other half between 1 and 1.5."""
    generator = pf.RowGenerator(seed, n)
    ring = (torch.arange(n) % 2).long()
    u, angle = generator.uniform(2).unbind(-1)
    radius = torch.where(ring == 1, 1 + 0.5 * u, 0.5 * u.sqrt())
    angle = 2 * math.pi * angle
    return pf.Batch(torch.stack([radius * angle.cos(), radius * angle.sin()], -1), ring)


def draw() -> Figure:
    """The paths of 60 points with no extra number, and with one: from above, and from the side."""
    plain, augmented = _trained(0), _trained(1)
    batch, times = disc_and_ring(60, seed=7), torch.linspace(0, 1, 40)
    figure = canvas(height=3.1)
    panels = figure.subplots(1, 3)
    with torch.no_grad():
        crowded, free = plain.trajectory(batch.x, times), augmented.trajectory(batch.x, times)
    _paths(panels[0], crowded, batch, 0, 1)
    _paths(panels[1], free, batch, 0, 1)
    _paths(panels[2], free, batch, 0, 2)
    test = disc_and_ring(2000, seed=8)
    for axes, model, title, y in ((panels[0], plain, "no extra number", "second"),
                                  (panels[1], augmented, "one extra number", "second"),
                                  (panels[2], augmented, "the same, from the side", "extra")):  # fmt: skip
        right = (model(test.x).argmax(1) == test.condition).double().mean()
        label = f"{title}: {100 * float(right):.1f} %" if y == "second" else title
        dress(
            axes,
            title=label,
            x="first number of the state",
            y=f"{y} number" if y == "extra" or axes is panels[0] else "",
        )
    below(figure, *panels[0].get_legend_handles_labels())
    return figure


def _paths(axes: Axes, path: torch.Tensor, batch: pf.Batch, i: int, j: int) -> None:
    for label, colour, name in ((0, REAL, "disc"), (1, MODEL, "ring")):
        own = path[:, batch.condition == label].numpy()
        axes.plot(own[..., i], own[..., j], color=colour, linewidth=0.6, alpha=0.7)
        axes.plot(own[0, :, i], own[0, :, j], "o", color=MUTED, markersize=1.6, label="start" if label == 0 else None)
        axes.plot(own[-1, :, i], own[-1, :, j], "o", color=colour, markersize=3.2, label=f"end, {name}")


def _trained(augment: int) -> pf.dynamics.NeuralODE:
    model = pf.dynamics.neural_ode(features=2, outputs=2, hidden=(24,), augment=augment, solver="Heun", step_size=0.1)
    adam = torch.optim.Adam(model.parameters(), lr=2e-2)
    rate = torch.optim.lr_scheduler.OneCycleLR(adam, 2e-2, STEPS)
    for step in range(STEPS):
        adam.zero_grad()
        batch = disc_and_ring(128, seed=step)
        model.objective(model, batch, pf.RowGenerator(step, 128)).value.backward()
        adam.step()
        rate.step()
    return model
