"""B4: threes on their way to eights, along the difference of two means in the noise of a Glow."""

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import edits_grid

ALPHAS = (-1.0, -0.5, 0.0, 0.5, 1.0)
HELD_OUT = 4


def draw() -> Figure:
    """A short fit on the threes and eights of scikit-learn's digits; the edited ones were not in it."""
    digits = pf.data.load("digits")
    three, eight = (digits.take(torch.nonzero(digits.labels == k).flatten()).x for k in (3, 8))
    images = pf.data.Images.of(torch.cat([three[HELD_OUT:], eight]).byte(), levels=17)
    flow = pf.flows.glow(images, steps=2, width=24)
    settings = pf.training.Settings(bar=False, batch_size=64, learning_rate=2e-3)
    pf.fit(flow, images, steps=80, settings=settings)
    towards = pf.flows.direction(flow, eight, three[HELD_OUT:])
    with torch.no_grad():
        edited = pf.flows.edit(flow, three[:HELD_OUT, None], towards, torch.tensor(ALPHAS))
    return edits_grid(edited.clamp(0, 16), ALPHAS, "(eight - three)", levels=17)
