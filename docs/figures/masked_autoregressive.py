"""B9: the triangular Jacobian of one layer, and two moons by a masked and by an inverse autoregressive flow."""

import torch
from _moons import fitted
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import bare, canvas, dress
from pushforward.lab.plots.style import HEAT, REAL

ORDER = [3, 0, 5, 1, 4, 2]


def draw() -> Figure:
    """Jacobians in an order of the features, rows and columns sorted by it; densities after a short plain loop."""
    figure = canvas(height=2.3)
    left, *others = figure.subplots(1, 4)
    left.imshow(_jacobian().abs().log().numpy(), cmap=HEAT)
    dress(left, title="log |dx / dz|", grid=False)
    left.set_xticks(range(6), [f"$z_{i}$" for i in ORDER])
    left.set_yticks(range(6), [f"$x_{i}$" for i in ORDER])
    x, maf = fitted(pf.flows.maf, steps=200)
    _, iaf = fitted(pf.flows.iaf, steps=200)
    low, high = x.amin(0) - 0.4, x.amax(0) + 0.4
    extent = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
    grid = [torch.linspace(float(low[i]), float(high[i]), 160) for i in (0, 1)]
    bare(others[0], title="data").plot(*x.T.numpy(), ".", markersize=1, alpha=0.4, color=REAL)
    for axes, model, title in ((others[1], maf, "masked"), (others[2], iaf, "inverse")):
        with torch.no_grad():
            density = model.log_prob(torch.cartesian_prod(*grid)).exp().reshape(160, 160).T
        bare(axes, title=title).imshow(density.numpy(), origin="lower", extent=extent, cmap=HEAT)
    for axes in others:
        axes.set(aspect="equal", xlim=extent[:2], ylim=extent[2:])
    return figure


def _jacobian() -> torch.Tensor:
    network = pf.nn.MaskedMLP(6, 2, hidden=(64,), order=ORDER, activation="tanh")
    part = pf.bijections.MaskedAutoregressive(pf.bijections.AffineTransformer(), network)
    jacobian = torch.autograd.functional.jacobian(lambda z: part.forward(z)[0], torch.linspace(-1, 1, 6))
    return jacobian[ORDER][:, ORDER]
