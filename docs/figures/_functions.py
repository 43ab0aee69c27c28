"""What the figures of neural processes share: a plain training loop, and a prediction along a line."""

import torch
from torch.distributions import MixtureSameFamily

import pushforward as pf
from pushforward.lab.plots.style import MODEL


def trained(process: "pf.Process", data, steps: int, batch: int = 24, rate: float = 3e-3) -> "pf.Process":
    """The process after a plain loop."""
    adam = torch.optim.Adam(process.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, rate, steps)
    for step in range(steps):
        generator = pf.RowGenerator(step, batch)
        rows = data.take(generator.fork(0).integers(len(data)))
        adam.zero_grad()
        process.objective(process, rows, generator.fork(1)).value.backward()
        torch.nn.utils.clip_grad_norm_(process.parameters(), 5.0)
        adam.step()
        schedule.step()
    return process.eval()


def show(axes, grid: torch.Tensor, prediction) -> None:
    """Mean and two standard deviations; of a joint prediction six of its functions too."""
    at, mean, band = grid.numpy(), prediction.mean[0, :, 0].numpy(), 2 * prediction.stddev[0, :, 0].numpy()
    axes.fill_between(at, mean - band, mean + band, color=MODEL, alpha=0.2, linewidth=0)
    axes.plot(at, mean, color=MODEL, linewidth=1.2)
    if isinstance(prediction, MixtureSameFamily):
        for function in prediction.component_distribution.mean[0, :6, :, 0]:
            axes.plot(at, function.numpy(), color=MODEL, linewidth=0.5, alpha=0.7)
