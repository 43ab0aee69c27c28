"""G7: fifty steps of an exact teacher, and one and two evaluations of a model that was distilled from it."""

import torch
from _exact import five_bumps
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.core.data import Batch
from pushforward.core.random import RowGenerator
from pushforward.lab.plots import bare, canvas
from pushforward.lab.plots.style import MODEL, REAL


def draw() -> Figure:
    """Five bumps: the data, a teacher that knows them exactly, and its student."""
    torch.manual_seed(0)
    exact = five_bumps(pf.paths.Cosine())
    k = torch.multinomial(exact.weights, 4000, replacement=True)
    x = exact.means[k] + exact.stds[k, None] * torch.randn(4000, 2)
    teacher = exact.model()
    # Without data, so that model units are those of the teacher.
    model = pf.diffusion.consistency(event_shape=2, teacher=teacher, width=64, noise_levels=(10, 40), steps=350)
    _train(model, x, 500)
    generators = [torch.Generator().manual_seed(1) for _ in range(3)]
    drawn = {
        "data": x,
        "teacher, 50 steps": teacher.sample(2000, generator=generators[0]),
        "one evaluation": model.sample(2000, generator=generators[1]),
        "two evaluations": model.sample(2000, sigmas=[80.0, 0.8], generator=generators[2]),
    }
    figure = canvas(height=1.8)
    for axes, (title, points) in zip(figure.subplots(1, 4), drawn.items()):
        axes.plot(*points[:2000].T.numpy(), ".", markersize=1, alpha=0.5, color=REAL if title == "data" else MODEL)
        bare(axes, title=title)
        axes.set(aspect="equal", xlim=(-2.3, 2.3), ylim=(-2.3, 2.3))
    return figure


def _train(model, x: torch.Tensor, steps: int) -> None:
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 4e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.02, steps)
    model.train()
    for k in range(steps):
        rows = torch.randint(len(x), (128,), generator=torch.Generator().manual_seed(k))
        optimiser.zero_grad()
        model.objective(model, Batch(x[rows]), RowGenerator(k, 128)).value.backward()
        optimiser.step()
        schedule.step()
    model.eval()
