"""A7: a Boltzmann machine fitted by chains reproduces the moments of pairs, and log Z of a restricted one lies between its two sides."""

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import COLOURS, INK, MODEL, REAL


def draw() -> Figure:
    """Left: moments E y_i y_j of data and of the model, exact and by persistent chains. Right: log Z by the number of temperatures."""
    figure = canvas(height=3.2)
    left, right = figure.subplots(1, 2)
    torch.manual_seed(0)
    teacher = pf.energy.boltzmann_machine(features=10)
    with torch.no_grad():
        teacher.coupling.normal_(std=0.5)
        teacher.field.normal_(std=0.3)
    x = teacher.sample(4000, generator=torch.Generator().manual_seed(0))
    pairs = torch.triu_indices(10, 10, 1)
    dress(left, title="moments of pairs", x="data", y="fitted machine")
    for kind, colour, mark in (("exact", MODEL, "o"), ("pcd", COLOURS[2], "x")):
        machine = pf.energy.boltzmann_machine(x, training=kind)
        settings = pf.training.Settings(bar=False, learning_rate=0.03, ema_decay=0.97, warmup=10)
        pf.fit(machine, x, steps=250, settings=settings)
        y = machine.sample(20_000, generator=torch.Generator().manual_seed(1))
        of_data, of_model = ((rows.T @ rows / len(rows))[pairs[0], pairs[1]].numpy() for rows in (x, y))
        label = {"exact": "all 1,024 states", "pcd": "persistent chains"}[kind]
        left.plot(of_data, of_model, mark, color=colour, markersize=3.5, label=label)
    left.plot([-1, 1], [-1, 1], color=INK, linewidth=1)
    legend(left, "upper left")

    hidden = pf.energy.rbm(features=14, hidden=20)
    with torch.no_grad():
        for parameter in hidden.parameters():
            parameter.normal_(std=0.8)
    numbers = [10, 30, 100, 300, 1000]
    found = [
        hidden.estimate_log_z(chains=200, temperatures=k, generator=torch.Generator().manual_seed(k)) for k in numbers
    ]
    dress(right, title="log Z of a restricted machine", x="temperatures", y="nats")
    right.axhline(hidden.exact_log_z().item(), color=REAL, linewidth=1, label="exact")
    right.fill_between(
        numbers, [f.lower for f in found], [f.upper for f in found], color=MODEL, alpha=0.2, linewidth=0, label="between the two sides"
    )  # fmt: skip
    right.errorbar(
        numbers, [f.value for f in found], yerr=[2 * f.std_error for f in found], fmt="o", color=MODEL, markersize=3.5, label="estimate, 2 std errors"
    )  # fmt: skip
    right.set_xscale("log")
    legend(right, "upper right")
    return figure
