"""C1: the density of two columns by mixtures, what each output of a network may see, and what several orders gain."""

import numpy as np
import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import COLOURS, MODEL, REAL


def draw() -> Figure:
    """Left: density of two moons, learned. Middle: what each output sees, in two orders. Right: bits held back, by orders."""
    figure = canvas(height=2.7)
    moons, sight, bits = figure.subplots(1, 3)
    settings = pf.training.Settings(bar=False, learning_rate=5e-3, warmup=20, ema_decay=0.97)
    torch.manual_seed(0)
    table = pf.data.load("two_moons")
    model = pf.autoregressive.made(table, hidden=[64, 64], components=10)
    pf.fit(model, table, steps=250, settings=settings)
    dress(moons, title="density of two moons", x="first column", y="second column")
    a, b = torch.linspace(-1.6, 2.6, 120), torch.linspace(-1.1, 1.6, 120)
    with torch.no_grad():
        density = model.log_prob(torch.cartesian_prod(a, b)).exp().reshape(120, 120)
    moons.imshow(density.T.numpy(), origin="lower", extent=(-1.6, 2.6, -1.1, 1.6), aspect="auto", cmap="Blues")
    moons.grid(False)
    moons.set_xlim(-1.6, 2.6)
    moons.set_ylim(-1.1, 1.6)
    _sight(sight)
    _orders(bits, settings)
    return figure


def _sight(axes) -> None:
    dress(axes, title="who sees whom", x="input column", y="output column")
    torch.manual_seed(0)
    orders = [list(range(8)), [5, 2, 7, 0, 3, 6, 1, 4]]
    network = pf.nn.MaskedColumns([1] * 8, [1] * 8, [32, 32], "tanh", orders=orders)
    seen = [torch.autograd.functional.jacobian(lambda x, k=k: network(x[None], order=k)[0], torch.randn(8)) != 0
            for k in range(2)]  # fmt: skip
    for colour, mark, matrix in ((MODEL, "s", seen[0]), (COLOURS[2], "o", seen[1])):
        row, column = np.nonzero(matrix.numpy())
        axes.plot(column, row, mark, color=colour, markersize=7 if mark == "s" else 4)
    axes.plot(range(8), range(8), "x", color=REAL, markersize=4)
    axes.set_ylim(7.7, -0.7)
    axes.set_xlim(-0.7, 7.7)


def _orders(axes, settings) -> None:
    dress(axes, title="20 bits, held back", x="orders", y="log-likelihood, nats")
    teacher = pf.energy.boltzmann_machine(features=20)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        teacher.coupling.copy_(0.3 * torch.randn(teacher.coupling.shape, generator=generator))
    rows = teacher.sample(2800, generator=generator)
    train, test, counts = pf.data.Table.of(rows[:800]), rows[800:], [1, 2, 4]
    mixed, single = [], []
    for count in counts:
        model = pf.autoregressive.made(train, orders=count, hidden=[64, 64], dropout=0.2)
        pf.fit(model, train, steps=250 * count, settings=settings)  # each order sees as many rows
        with torch.no_grad():
            mixed.append(model.eval().log_prob(test).mean().item())
            single.append(np.mean([model.log_prob_of_order(test, order=k).mean().item() for k in range(count)]))
    axes.plot(counts, mixed, "o-", color=MODEL, markersize=4, label="their mixture")
    axes.plot(counts, single, "s--", color=COLOURS[2], markersize=4, label="one of them")
    axes.axhline(teacher.log_prob(test).mean().item(), color=REAL, linewidth=1, label="the truth")
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(k) for k in counts])
    axes.set_ylim(-9.2, -7.8)
    legend(axes, "lower left")
