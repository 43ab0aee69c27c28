"""Every flow on the same three toys: its density after the same short fit."""

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import bare, canvas
from pushforward.lab.plots.style import HEAT, INK, REAL

TOYS = ("two_moons", "eight_gaussians", "checkerboard")
STEPS, BATCH, SIDE = 250, 256, 90
FLOWS = {
    "NICE": lambda x: pf.flows.nice(x, layers=6, hidden=(64, 64)),
    "RealNVP": lambda x: pf.flows.realnvp(x, layers=8, hidden=(64, 64)),
    "planar": lambda x: pf.flows.planar(x, layers=16),
    "radial": lambda x: pf.flows.radial(x, layers=16),
    "Sylvester": lambda x: pf.flows.sylvester(x, layers=6),
    "residual": lambda x: pf.flows.residual(x, layers=5, hidden=(48, 48)),
    "MAF": lambda x: pf.flows.maf(x, layers=6, hidden=(64, 64)),
    "IAF": lambda x: pf.flows.iaf(x, layers=6, hidden=(64, 64)),
    "neural spline": lambda x: pf.flows.neural_spline(x, layers=4, hidden=(64, 64)),
    "autoregressive spline": lambda x: pf.flows.neural_spline(x, layers=3, hidden=(64, 64), kind="autoregressive"),
    "NAF": lambda x: pf.flows.neural_autoregressive(x, layers=3, hidden=(64, 64)),
    "UMNN": lambda x: pf.flows.umnn(x, layers=2, hidden=(64, 64)),
    "Bernstein": lambda x: pf.flows.bernstein(x, layers=3, hidden=(64, 64)),
    "sum of squares": lambda x: pf.flows.sum_of_squares(x, layers=3, hidden=(64, 64)),
    "FFJORD": lambda x: pf.flows.ffjord(x, hidden=(48, 48), tolerance=1e-3),
    "continuous planar": lambda x: pf.flows.planar_continuous(x, width=16, tolerance=1e-3),
    "transformer": lambda x: pf.flows.transformer_flow(x, layers=4, width=32, heads=2, blocks=1),
}


def fitted(build, x: torch.Tensor) -> "pf.Distribution":
    """A flow of `x` after a plain loop."""
    flow = build(x)
    optimiser = torch.optim.Adam(flow.parameters(), 4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=STEPS)
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    for _ in range(STEPS):
        loss = -flow.log_prob(x[torch.randint(len(x), (BATCH,), generator=generator)]).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(flow.parameters(), 5.0)
        optimiser.step()
        schedule.step()
    return flow.eval()


def draw() -> Figure:
    """A row for each flow, in three columns of rows; a column for each toy. The number is the score on 4,000 other draws."""
    data = {toy: (pf.data.toy(toy, 4000, seed=0), pf.data.toy(toy, 4000, seed=1)) for toy in TOYS}
    names = ["data", *FLOWS]
    down, across = -(-len(names) // 2), 2 * len(TOYS)
    figure = canvas(height=down * 1.32)
    panels = figure.subplots(down, across, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for number, name in enumerate(names):
        row, start = number % down, number // down * len(TOYS)
        for toy, axes in zip(TOYS, panels[row, start : start + len(TOYS)]):
            axes.set_axis_on()
            x, others = data[toy]
            reach = float(x.abs().max()) * 1.12
            if name == "data":
                bare(axes).plot(*x.T.numpy(), ".", markersize=0.6, alpha=0.5, color=REAL)
                axes.set(aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach))
            else:
                flow = fitted(FLOWS[name], x)
                side = torch.linspace(-reach, reach, SIDE)
                with torch.no_grad():
                    density = flow.log_prob(torch.cartesian_prod(side, side)).exp().reshape(SIDE, SIDE).T
                    score = float(flow.log_prob(others).mean())
                bare(axes).imshow(density.numpy(), origin="lower", cmap=HEAT, extent=(-reach, reach, -reach, reach))
                axes.set_xlabel(f"{score:.2f}", fontsize=6, color=INK, labelpad=1)
            if toy == TOYS[0]:
                axes.set_ylabel(name, fontsize=7, color=INK)
    return figure
