"""F4: three pitfalls of Langevin dynamics on a learned score, and noise as their cure."""

import math

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

import pushforward as pf
from pushforward.lab.plots import canvas, dress
from pushforward.lab.plots.style import HEAT, INK, MODEL, REAL

WEIGHTS, CENTRES, STD = torch.tensor([0.2, 0.8]), torch.tensor([[-3.0, -3.0], [3.0, 3.0]]), 0.8


def mixture_score(x: Tensor, sigma: float = 0.0) -> Tensor:
    """grad log of two bumps, blurred."""
    variance = STD**2 + sigma**2
    gap = CENTRES - x[:, None]
    share = (WEIGHTS.log() - 0.5 * gap.square().sum(2) / variance).softmax(1)
    return (share[:, :, None] * gap).sum(1) / variance


def draws(n: int, generator: torch.Generator) -> Tensor:
    """Rows of the two bumps."""
    return CENTRES[torch.multinomial(WEIGHTS, n, replacement=True, generator=generator)] + STD * torch.randn(
        n, 2, generator=generator
    )


def losses_on(data: Tensor, sigma: float, seed: int = 0) -> tuple[list[float], nn.Module]:
    """Sliced score matching of data with noise sigma, 400 steps; the loss per step, and the network."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(2, 64), nn.Softplus(), nn.Linear(64, 64), nn.Softplus(), nn.Linear(64, 2))
    adam, found = torch.optim.Adam(net.parameters(), lr=3e-3), []
    for _ in range(400):
        x = data[torch.randint(len(data), (256,))]
        x = x + sigma * torch.randn_like(x)
        loss = pf.diffusion.sliced_score_matching_vr(net, x, torch.randn_like(x).sign()).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        found.append(loss.item())
    return found, net


def manifold(clean: Axes, cured: Axes) -> None:
    """A circle: the loss has no minimum on it, and one with noise."""
    angle = torch.rand(2000, generator=torch.Generator().manual_seed(0)) * 2 * math.pi
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    for panel, sigma, colour in ((clean, 0.0, MODEL), (cured, 0.3, REAL)):
        panel.plot(losses_on(circle, sigma)[0], color=colour, linewidth=0.9)
    dress(clean, title="on a manifold", y="loss, without noise")
    dress(cured, x="training step", y="loss, σ = 0.3")


def density(clean: Axes, cured: Axes) -> None:
    """The error of the learned score over the plane: large where there are no data; with noise, everywhere small."""
    line = torch.linspace(-6, 6, 40)
    grid = torch.cartesian_prod(line, line)
    data = draws(4000, torch.Generator().manual_seed(1))
    for panel, sigma in ((clean, 0.0), (cured, 3.0)):
        net = losses_on(data, sigma)[1]
        with torch.no_grad():
            error = (net(grid) - mixture_score(grid, sigma)).norm(dim=1).reshape(40, 40)
        panel.imshow(error.mT.numpy(), origin="lower", extent=(-6, 6, -6, 6), cmap=HEAT, vmin=0, vmax=3)
        panel.plot(*data[:150].mT.numpy(), ".", color="white", markersize=1.5)
    dress(clean, title="error at low density")
    dress(cured, x="σ = 3, the same colours")
    for panel in (clean, cured):
        panel.grid(visible=False)


def weights(plain: Axes, cured: Axes) -> None:
    """Weights 1/5 and 4/5: plain Langevin keeps those of its beginning, annealing finds them."""

    class Exact:
        path, predict, event_shape = pf.paths.NoiseLadder(0.05, 15.0, 50), "score", torch.Size((2,))

        def __call__(self, y: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
            sigma = float(self.path.sigma(t[0]))
            return mixture_score(y * math.sqrt(1 + sigma**2), sigma)

    n = 600
    start = torch.rand(n, 2, generator=torch.Generator().manual_seed(2)) * 12 - 6
    walks = {
        "plain": (plain, pf.diffusion.ScoreLangevin(mixture_score, 0.03).run(start, 400, pf.RowGenerator(0, n)).x),
    }
    sampler = pf.diffusion.samplers.AnnealedLangevin(each=10).on(Exact())  # type: ignore[arg-type]
    walks["annealed"] = cured, sampler.run(pf.RowGenerator(3, n).normal(2), sampler.steps, pf.RowGenerator(0, n)).x
    for name, (panel, x) in walks.items():
        share = (x.sum(1) > 0).float().mean().item()
        panel.plot(*x.mT.numpy(), ".", color=MODEL if name == "plain" else REAL, markersize=2)
        panel.text(0.03, 0.88, f"{name}: {share:.0%} (true 80%)", transform=panel.transAxes, color=INK, fontsize=8)
        panel.set(xlim=(-6, 6), ylim=(-6, 6))
    dress(plain, title="weights of modes")
    dress(cured)


def draw() -> Figure:
    """Above the pitfall, below its cure."""
    figure = canvas(height=4.6)
    panels = figure.subplots(2, 3)
    manifold(*panels[:, 0])
    density(*panels[:, 1])
    weights(*panels[:, 2])
    return figure
