"""G3: the error of deterministic samplers against the work they do."""

import torch
from _exact import two_bumps
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import COLOURS, MUTED

samplers = pf.diffusion.samplers

KINDS = {
    "DDIM": (lambda steps: samplers.DDIM(steps=steps), 1, 1),
    "probability flow, Euler": (lambda steps: samplers.ProbabilityFlow(steps=steps, solver=pf.diffeq.Euler()), 1, 1),
    "probability flow, Heun": (lambda steps: samplers.ProbabilityFlow(steps=steps), 2, 2),
    "probability flow, RK4": (lambda steps: samplers.ProbabilityFlow(steps=steps, solver=pf.diffeq.RK4()), 4, 4),
}


def draw() -> Figure:
    """Left: distance from the exact flow, each with a line of its declared order. Right: draws of two stochastic samplers."""
    exact = two_bumps(pf.paths.Cosine()).double()
    model, noise = exact.model(), torch.randn(200, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    truth = model.decode(noise, tolerance=1e-9)
    figure = canvas(height=3.3)
    left, right = figure.subplots(1, 2, width_ratios=(1.3, 1))
    dress(left, title="deterministic", x="network evaluations", y="distance from the exact flow")
    for (name, (build, order, calls)), colour in zip(KINDS.items(), COLOURS):
        steps = [8, 16, 32, 64, 128]
        errors = [
            float((build(k).on(model).run(noise, k, pf.RowGenerator(0, 200)).x - truth).abs().median()) for k in steps
        ]
        work = [k * calls for k in steps]
        left.loglog(work, errors, "o-", color=colour, markersize=3.5, linewidth=1.4, label=f"{name} (order {order})")
        left.loglog(work, [errors[-1] * (work[-1] / w) ** order for w in work], ":", color=MUTED, linewidth=0.9)
    left.set_ylim(1e-9, 2)
    legend(left, "best")
    dress(right, title="ancestral", x="x", y="density")
    x = torch.linspace(-2.4, 2.2, 300, dtype=torch.float64)[:, None]
    right.fill_between(
        x[:, 0].numpy(), exact.log_prob(x).exp().numpy(), color=MUTED, alpha=0.25, linewidth=0, label="exact"
    )
    for steps, colour in zip((4, 10, 100), COLOURS):
        draws = model.sample(6000, sampler=samplers.Ancestral(steps=steps), generator=torch.Generator().manual_seed(1))
        right.hist(
            draws[:, 0].numpy(),
            bins=70,
            range=(-2.4, 2.2),
            density=True,
            histtype="step",
            color=colour,
            linewidth=1.2,
            label=f"{steps} steps",
        )
    legend(right, "upper left")
    return figure
