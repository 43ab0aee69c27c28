"""B6: four planar layers against four Sylvester layers of each kind, fitted to the same energy."""

import torch
from _potential import GRID, distance, energy, fitted, show
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas

KINDS = ("orthogonal", "householder", "triangular")


def draw() -> Figure:
    """The target, and densities after the same short fit."""
    figure = canvas(height=1.75)
    panels = figure.subplots(1, 5)
    show(panels[0], -energy(GRID), "target")
    flows = {"planar": pf.flows.planar(features=2, layers=4, fast="sampling")}
    flows |= {kind: pf.flows.sylvester(features=2, layers=4, kind=kind, fast="sampling") for kind in KINDS}
    for axes, (name, flow) in zip(panels[1:], flows.items()):
        fitted(flow, 400)
        with torch.no_grad():
            show(axes, flow.log_prob(GRID), f"{name}\nKL {distance(flow):.2f}")
    return figure
