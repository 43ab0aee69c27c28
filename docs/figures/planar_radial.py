"""B5: what one planar and one radial layer do to a lattice, and planar layers that bend a Gaussian into two bumps."""

import torch
from _potential import GRID, distance, energy, fitted, show
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import bare, canvas
from pushforward.lab.plots.style import MODEL, REAL


def lattice(axes: Axes, part: pf.Bijection, numbers: list[float], title: str) -> None:
    """A square lattice of lines after the map, its parameters set by hand."""
    with torch.no_grad():
        part.get_parameter("numbers.start").copy_(torch.tensor(numbers))
        fine, coarse = torch.linspace(-2, 2, 201), torch.linspace(-2, 2, 21)
        for place in coarse:
            for line, colour in ((torch.stack([fine, place.expand(201)], 1), REAL), (torch.stack([place.expand(201), fine], 1), MODEL)):  # fmt: skip
                axes.plot(*part.forward(line)[0].T.numpy(), color=colour, linewidth=0.7)
    bare(axes, title=title)
    axes.set(aspect="equal", xlim=(-3.1, 3.1), ylim=(-3.1, 3.1))


def draw() -> Figure:
    """Above one layer each; below the target and fits of 2 and of 12 planar layers."""
    figure = canvas(height=5.0)
    above, below = figure.subplots(2, 3)
    lattice(above[0], pf.bijections.Planar(2), [1.0, 1.0, 1.5, 0.5, 0.0], "planar: spread along one line")
    lattice(above[1], pf.bijections.Radial(2), [0.4, 0.4, 0.5, 1.6], "radial: pushed away, β > 0")
    lattice(above[2], pf.bijections.Radial(2), [0.5, 0.5, 1.0, -2.5], "radial: drawn in, β < 0")
    show(below[0], -energy(GRID), "target")
    for axes, layers in zip(below[1:], (2, 12)):
        flow = fitted(pf.flows.planar(features=2, layers=layers, fast="sampling"), 500)
        with torch.no_grad():
            show(axes, flow.log_prob(GRID), f"{layers} planar layers, KL {distance(flow):.2f}")
    return figure
