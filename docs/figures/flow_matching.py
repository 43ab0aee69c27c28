"""G8: flow lines with independent pairs, with optimal pairs and after reflow; paths of a Schroedinger bridge."""

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.core.data import Batch
from pushforward.core.random import RowGenerator
from pushforward.lab.plots import bare, canvas
from pushforward.lab.plots.style import MODEL, MUTED

STEPS = 30


def draw() -> Figure:
    """Each panel: the ways of 60 rows, from noise (the last: from two moons) to eight Gaussians."""
    torch.manual_seed(0)
    ring, moons = pf.data.toy("eight_gaussians", 4000, seed=0), pf.data.toy("two_moons", 4000, seed=1)
    figure = canvas(height=2.2)
    panels = figure.subplots(1, 4)
    first = None
    for axes, coupling in zip(panels, ("independent", "optimal")):
        model = pf.diffusion.flow_matching(ring, width=48, coupling=coupling)
        _train(model, lambda rows: Batch(ring[rows]), 400)
        first = first or model
        _lines(axes, _flow(model), f"{coupling} pairs")
    student, pairs = pf.diffusion.reflow(first, pairs=4000, tolerance=1e-3, generator=torch.Generator().manual_seed(1))
    _train(student, pairs.take, 400)
    _lines(panels[2], _flow(student), "reflow of the first")
    both = pf.diffusion.bridge(ring / 5, source=moons * 0.6 - 0.2, sigma=0.3, width=48)
    _train(both, lambda rows: Batch(ring[rows] / 5), 300)
    at = [(moons[:60] * 0.6 - 0.2 - both.loc) / both.scale]
    noise = RowGenerator(3, 60)
    with torch.no_grad():
        for k in range(STEPS):
            at.append(both._noisy(at[-1], 1 - k / STEPS, 1 - (k + 1) / STEPS, False, noise))
    _lines(panels[3], torch.stack(at), "Schrödinger bridge")
    return figure


def _train(model, take, steps: int) -> None:
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 5e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.02, steps)
    for k in range(steps):
        batch = take(torch.randint(4000, (256,), generator=torch.Generator().manual_seed(k)))
        optimiser.zero_grad()
        model.objective(model, batch, RowGenerator(k, len(batch))).value.backward()
        optimiser.step()
        schedule.step()
    model.eval()


def _flow(model) -> torch.Tensor:
    seen = []
    sampler = pf.diffusion.samplers.DDIM(steps=STEPS, spacing="time")
    times = torch.linspace(model.path.t_max, model.path.t_min, STEPS + 1)

    def see(state, info) -> None:
        r = 1.0 if state.step == STEPS else float(torch.hypot(1 - times[state.step], times[state.step]))
        seen.append(model.to_user_units(state.x * r))

    model.sample(60, sampler=sampler, callback=see, generator=torch.Generator().manual_seed(2))
    return torch.stack(seen)


def _lines(axes, at: torch.Tensor, title: str) -> None:
    axes.plot(at[..., 0].numpy(), at[..., 1].numpy(), color=MUTED, linewidth=0.4, alpha=0.7)
    axes.plot(*at[0].T.numpy(), ".", color=MUTED, markersize=2)
    axes.plot(*at[-1].T.numpy(), ".", color=MODEL, markersize=3)
    bare(axes, title=title)
    axes.set_aspect("equal")
