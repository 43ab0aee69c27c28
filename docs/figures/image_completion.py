"""E5: handwritten digits as functions of two coordinates, completed from some of their pixels."""

import torch
from _functions import trained
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import pushforward as pf
from pushforward.lab.plots import bare, canvas

SIDE, SHOWN, GIVEN = 8, 4, (5, 15, 32)


def draw() -> Figure:
    """Pixels that are given, the mean of each process and its standard deviation, for digits that were not trained on."""
    digits, place = _digits()
    training = pf.data.FunctionSet.of(place.expand(1500, -1, -1), digits[:1500])
    processes = {
        "conditional": pf.processes.conditional_neural_process(training, hidden=96, representation=96),
        "convolutional": pf.processes.convolutional_neural_process(training, points_per_unit=1.0, margin=2.0),
    }
    for name, process in processes.items():  # for about as long, not for as many steps
        trained(process, training, steps=200 if name == "convolutional" else 600, batch=16)
    rows = ["given", *(f"{name}{what}" for name in processes for what in (", mean", ", deviation")), "digit"]
    figure = canvas(height=4.6)
    panels = figure.subplots(len(rows), len(GIVEN) * SHOWN)
    order = torch.randperm(SIDE**2, generator=torch.Generator().manual_seed(0))
    for column in range(len(GIVEN) * SHOWN):
        count, image = GIVEN[column // SHOWN], digits[1500 + column % SHOWN]
        seen = order[:count]
        masked = torch.full_like(image, torch.nan)
        masked[seen] = image[seen]
        pictures = [masked]
        for process in processes.values():
            with torch.no_grad():
                found = process.predict(pf.Context.of(place[:, seen], image[None, seen]), place)
            pictures += [found.mean[0], found.stddev[0]]
        for axes, name, picture in zip(panels[:, column], rows, [*pictures, image]):
            most = 0.5 if name.endswith("deviation") else 1.0
            bare(axes, title=f"{count} of 64" if name == "given" and column % SHOWN == 0 else "")
            axes.imshow(picture.reshape(SIDE, SIDE).numpy(), cmap="magma" if most < 1 else "gray", vmin=0, vmax=most)
            if name == "given":
                axes.set_facecolor("#33689e")
            if column == 0:
                axes.set_ylabel(name.replace(", ", "\n"), fontsize=7, rotation=0, ha="right", va="center")
    return figure


def _digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Brightness `(n, 64, 1)` within 0 .. 1, and the place of each pixel, `(1, 64, 2)`."""
    images = torch.as_tensor(load_digits().images, dtype=torch.float32) / 16
    lines = torch.arange(SIDE, dtype=torch.float32)
    return images.reshape(-1, SIDE**2, 1), torch.cartesian_prod(lines, lines)[None]
