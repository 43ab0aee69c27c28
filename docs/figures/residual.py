"""B7: two moons under a residual flow; its inverse, step by step, below the bound; estimates of one log det."""

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.core.random import RowGenerator
from pushforward.lab.plots import bare, canvas
from pushforward.lab.plots.style import HEAT, MODEL, REAL
from pushforward.parts.numerics import log_det_series, log_det_unbiased


def draw() -> Figure:
    """Density, errors of the fixed point, and truncated sums beside Russian roulette."""
    flow = fitted(pf.data.toy("two_moons", 4000, seed=0), steps=350)
    figure = canvas(height=2.3)
    density, inverse, series = figure.subplots(1, 3, width_ratios=[1, 1.1, 1.1])
    across, up = torch.linspace(-1.6, 2.6, 200), torch.linspace(-1.2, 1.7, 200)
    with torch.no_grad():
        heat = flow.log_prob(torch.cartesian_prod(across, up)).exp().reshape(200, 200).T
    bare(density, title="density")
    density.imshow(heat.numpy(), origin="lower", extent=(-1.6, 2.6, -1.2, 1.7), cmap=HEAT, aspect="auto")

    part = steepest(flow).double()
    rate, z = part.network.lipschitz_bound(), torch.randn(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))  # fmt: skip
    with torch.no_grad():
        g = part.network
        target, errors, steps = z + g(z), [], 150
        guess = target
        first = g(target).norm(dim=1).max().item()
        for _ in range(steps):
            errors.append((guess - z).norm(dim=1).max().item())
            guess = target - g(guess)
    inverse.semilogy(range(steps), [rate**k / (1 - rate) * first for k in range(steps)], color="0.5", linestyle="--", label="bound")  # fmt: skip
    inverse.semilogy(range(steps), errors, color=MODEL, label="largest error")
    inverse.set(title="inverse", xlabel="iterations", ylim=(1e-13, 1e3))
    inverse.legend(frameon=False)

    rows = 4000
    point = z[:1].expand(rows, 2)
    with torch.no_grad():
        exact = part.forward(z[:1])[1].item()
        generator = RowGenerator(1, rows)
        signs, uniform = generator.rademacher(1, 2, dtype=torch.float64).transpose(0, 1), generator.uniform(1, dtype=torch.float64).T  # fmt: skip
        terms = range(1, 9)
        cut = [log_det_series(g, point, signs, k)[1] for k in terms]
        roulette = [log_det_unbiased(g, point, signs, uniform, k)[1] for k in terms]
    series.axhline(exact, color="0.5", linestyle="--", label="exact")
    for values, name, color, shift in ((cut, "cut", REAL, -0.1), (roulette, "roulette", MODEL, 0.1)):
        means, spread = [v.mean().item() for v in values], [5 * v.std().item() / rows**0.5 for v in values]
        series.errorbar([k + shift for k in terms], means, spread, fmt="o", markersize=3, color=color, label=name)
    series.set(title="log det", xlabel="terms always there")
    series.legend(frameon=False)
    return figure


def fitted(x: torch.Tensor, steps: int) -> "pf.Distribution":
    """A flow after a plain loop, with larger steps than others like: bounded layers do not run away."""
    flow = pf.flows.residual(x, layers=8, hidden=(32, 32))
    optimiser = torch.optim.Adam(flow.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        loss = -flow.log_prob(x[torch.randint(len(x), (256,), generator=generator)]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return flow.eval()


def steepest(flow: "pf.Distribution") -> pf.bijections.Residual:
    """The layer whose network has the largest Jacobian at a few points."""
    points = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    parts = [part for part in flow.modules() if isinstance(part, pf.bijections.Residual)]
    with torch.no_grad():
        sizes = [torch.linalg.matrix_norm(part.network.prepare().jacobian(points)[1], 2).max() for part in parts]
    return parts[int(torch.stack(sizes).argmax())]
