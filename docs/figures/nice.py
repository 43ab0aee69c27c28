"""B1: a NICE of two moons, its density and its draws."""

from _moons import panels
from matplotlib.figure import Figure

import pushforward as pf


def draw() -> Figure:
    """Data, density and draws after a short plain loop."""
    return panels(pf.flows.nice, steps=250)
