"""A6: traces of three kernels, the bias of a Langevin step that MALA takes away, and the neck of a funnel."""

import numpy as np
import torch
from _exact import two_bumps
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.core.kernel import Info, State
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import COLOURS, INK, MODEL, REAL


def draw() -> Figure:
    """Four panels: a chain each of three kernels; chains on a mixture; variances by step size; draws and divergences in a funnel."""
    figure = canvas(height=5.6)
    traces, mixture, bias, neck = figure.subplots(2, 2).ravel()
    _traces(traces)
    _mixture(mixture)
    _bias(bias)
    _funnel(neck)
    return figure


def _traces(axes) -> None:
    dress(axes, title="one chain of each, 20 dimensions", x="step", y="first coordinate")
    normal = pf.distributions.Gaussian.standard(20)
    kernels = {
        "Langevin": pf.inference.Langevin(normal, 0.05),
        "MALA": pf.inference.MALA(normal, 0.3),
        "HMC": pf.inference.HMC(normal, 0.3, 5),
    }
    for shift, (colour, (name, kernel)) in zip((6, 0, -6), zip(COLOURS, kernels.items())):
        seen: list[float] = []
        kernel.run(
            torch.zeros(1, 20), 150, pf.RowGenerator(0, 1), lambda state, _, s=seen: s.append(float(state.x[0, 0]))
        )
        axes.plot(np.array(seen) + shift, color=colour, linewidth=0.8, label=name)
    axes.set_yticks([])
    axes.set_ylim(-10, 13)
    axes.legend(loc="upper right", ncols=3, frameon=False, fontsize=7)


def _mixture(axes) -> None:
    exact = two_bumps(pf.paths.VP())
    x = torch.linspace(-2.6, 2.4, 300)[:, None]
    dress(axes, title="Langevin on a mixture, ε = 0.01", x="x", y="density")
    axes.fill_between(
        x[:, 0].numpy(), exact.log_prob(x).exp().numpy(), color=REAL, alpha=0.25, linewidth=0, label="exact"
    )
    kernel, generator = pf.inference.Langevin(exact.log_prob, step_size=0.01), pf.RowGenerator(0, 2000)
    state = kernel.init(torch.zeros(2000, 1))
    for colour, until in zip((COLOURS[4], COLOURS[2], MODEL), (10, 40, 600)):
        while state.step < until:
            state, _ = kernel.step(state, generator)
        axes.hist(state.x[:, 0].numpy(), bins=np.linspace(-2.6, 2.4, 66), density=True, histtype="step", color=colour,
                  linewidth=1.2, label=f"{until} steps")  # fmt: skip
    axes.set_ylim(0, 1.9)
    legend(axes, "upper left")


def _bias(axes) -> None:
    dress(axes, title="N(0, 1): bias of O(ε), and none", x="step size ε", y="variance")
    normal, n = pf.distributions.Gaussian.standard(1), 20_000
    for kernel, colour, mark in ((pf.inference.Langevin, MODEL, "o"), (pf.inference.MALA, COLOURS[2], "s")):
        for eps in (0.05, 0.1, 0.2, 0.3, 0.45, 0.6):
            x = kernel(normal, eps).run(torch.zeros(n, 1), int(4 / eps) + 5, pf.RowGenerator(1, n)).x
            v = float(x.var())
            label = kernel.__name__ if eps == 0.6 else None
            axes.errorbar(
                eps, v, yerr=2 * v * (2 / n) ** 0.5, fmt=mark, color=colour, markersize=3.5, linewidth=1, label=label
            )
    fine = np.linspace(0, 0.65, 100)
    axes.plot(fine, 1 / (1 - fine / 2), color=INK, linewidth=1, label="1 / (1 - ε/2)")
    axes.axhline(1, color=REAL, linewidth=1, label="truth")
    legend(axes, "upper left")


def _funnel(axes) -> None:
    def funnel(x: torch.Tensor) -> torch.Tensor:
        return -x[:, 0].square() / 18 - x[:, 0] / 2 - x[:, 1].square() * (-x[:, 0]).exp() / 2

    dress(axes, title="HMC in a funnel", x="x", y="log variance of x")
    rows = pf.RowGenerator(2, 1500)
    v = 3 * rows.normal(dtype=torch.float64)
    start = torch.stack([v, (v / 2).exp() * rows.normal(dtype=torch.float64)], 1)
    kernel = pf.inference.HMC(funnel, 0.6, steps=10)
    lost: list[torch.Tensor] = []
    last = [start]

    def watch(state: State, info: Info) -> None:
        lost.append(last[0][info.values["divergent"]])
        last[0] = state.x

    x = kernel.run(start, 10, rows, watch).x
    axes.plot(x[:, 1].numpy(), x[:, 0].numpy(), ".", color=REAL, markersize=2, alpha=0.5, label="draws")
    where = torch.cat(lost)[:400]
    axes.plot(where[:, 1].numpy(), where[:, 0].numpy(), ".", color=MODEL, markersize=3, label="start of a divergence")
    axes.set_xlim(-15, 15)
    axes.set_ylim(-11, 10)
    legend(axes, "lower right")
