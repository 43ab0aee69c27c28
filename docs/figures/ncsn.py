"""F5: five bumps reached along a ladder of noise."""

import torch
from _exact import five_bumps
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.core.kernel import Info, State
from pushforward.lab.plots import canvas, dress
from pushforward.lab.plots.style import MODEL, REAL

SHOWN = (0, 40, 70, 90, 155)


def draw() -> Figure:
    """Where 800 chains are, from the most noise to the data."""
    path = pf.paths.NoiseLadder(0.01, 8.0, 31)
    exact, seen = five_bumps(path), dict[int, torch.Tensor]()
    sampler = pf.diffusion.samplers.AnnealedLangevin(each=5)
    attached = sampler.on(exact.model())

    def keep(state: State, info: Info) -> None:
        if state.step - 1 in SHOWN:
            t = float(info.values["time"])
            seen[state.step - 1] = state.x * float(torch.hypot(torch.ones(()), path.sigma(torch.tensor(t))))

    attached.run(pf.RowGenerator(0, 800).normal(2), attached.steps, pf.RowGenerator(1, 800), keep)
    sigmas = path.sigmas()
    figure = canvas(height=1.9)
    for panel, step in zip(figure.subplots(1, len(SHOWN)), SHOWN):
        last = step == SHOWN[-1]
        dress(panel, title="denoised" if last else f"σ = {sigmas[step // 5]:.2g}")
        panel.plot(*seen[step].mT.numpy(), ".", color=MODEL, markersize=1.5)
        panel.plot(*exact.means.mT.numpy(), "+", color=REAL, markersize=6)
        reach = max(2.5, 3 * float(sigmas[min(step // 5, 30)]))
        panel.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[])
    return figure
