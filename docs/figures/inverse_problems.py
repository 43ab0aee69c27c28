"""G6: one small model of digits, steered by labels, and asked what was measured."""

from functools import partial

import torch
from matplotlib.figure import Figure
from torch import Tensor

import pushforward as pf
from pushforward.lab.plots import bare, canvas, dress, legend
from pushforward.lab.plots.style import COLOURS, MUTED

inverse, guidance = pf.diffusion.inverse, pf.diffusion.guidance
ROWS, STEPS = 5, 25


def trained() -> tuple[pf.diffusion.Diffusion, Tensor]:
    """A model of digits given labels, fitted for some seconds; test digits."""
    train, test = pf.data.load("digits").split((0.8, 0.2), seed=0)
    model = pf.diffusion.v_diffusion(train, width=20)
    optimiser, generator = torch.optim.Adam(model.parameters(), 4e-3), torch.Generator().manual_seed(0)
    for step in range(200):
        for group in optimiser.param_groups:
            group["lr"] = 4e-3 * (1 - step / 200)
        batch = train.take(torch.randint(len(train), (64,), generator=generator))
        loss = model.objective(model, batch, pf.RowGenerator(step, 64)).value
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval(), test.take(torch.arange(ROWS)).x


def draw() -> Figure:
    """Measurements of digits and what may have been measured; digits by label; a Gaussian whose posterior is known."""
    model, x = trained()
    figure = canvas(height=5.4)
    above, below = figure.subfigures(2, 1, height_ratios=(1.35, 1))
    measured(above, model, x)
    left, right = below.subfigures(1, 2, width_ratios=(1, 1.1))
    by_label(left, model)
    known(right)
    return figure


def measured(figure, model: pf.diffusion.Diffusion, x: Tensor) -> None:
    """Each digit with its right half hidden, and as a 4 x 4 image: what was seen, the methods' draws, the truth."""
    half = torch.ones(8, 8, dtype=torch.bool)
    half[:, 4:] = False
    problems = (("half is seen", inverse.Inpaint(half)), ("4 x 4 pixels are seen", inverse.SuperResolve(2)))
    grid = figure.subplots(2 * 3, 2 * ROWS + 1, gridspec_kw={"wspace": 0.08, "hspace": 0.08})
    for axes in grid.flat:
        bare(axes)
        axes.set_visible(False)
    methods = ["pigdm", "dps", "projection", "repaint"]
    for place, (title, operator) in enumerate(problems):
        seen = operator.apply(x)
        rows = {"seen": torch.where(half, x, torch.nan) if place == 0 else seen}
        for method in methods:
            generator = torch.Generator().manual_seed(2)
            rows[method] = inverse.solve(model, seen, operator, method=method, steps=STEPS, generator=generator)
        rows["truth"] = x
        for line, (name, pictures) in enumerate(rows.items()):
            for column, picture in enumerate(pictures):
                axes = grid[line, column + place * (ROWS + 1)]
                axes.set_visible(True)
                axes.imshow(picture[0].numpy(), cmap="gray_r", vmin=0, vmax=16)
                axes.set_facecolor("#e8d9c5")
                if column == 0 and place == 0:
                    axes.text(-0.25, 0.5, name, transform=axes.transAxes, ha="right", va="center", fontsize=8)
                if line == 0 and column == ROWS // 2:
                    axes.set_title(title, fontsize=9)


def by_label(figure, model: pf.diffusion.Diffusion) -> None:
    """Draws of ten classes, without labels, with them, and with more of them."""
    labels, weights = torch.arange(10), (0.0, 1.0, 3.0)
    axes = bare(figure.subplots(), title="classifier-free guidance")
    sheet = torch.zeros(9 * len(weights), 90)
    for line, weight in enumerate(weights):
        guide = partial(guidance.ClassifierFree, weight=weight)
        x = model.sample(condition=labels, guide=guide, generator=torch.Generator().manual_seed(3))
        sheet[9 * line : 9 * line + 8] = torch.nn.functional.pad(x[:, 0], (0, 1)).permute(1, 0, 2).reshape(8, 90)
        axes.text(-2, 9 * line + 4, f"weight {weight:g}", ha="right", va="center", fontsize=8)
    axes.imshow(sheet.numpy(), cmap="gray_r", vmin=0, vmax=16)


class Correlated(torch.nn.Module):
    """E[noise | x_t] for two standard normal numbers of correlation 0.9, along their sum and their difference."""

    def forward(self, y: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        theta = t[:, None] * (torch.pi / 2)
        axes = torch.tensor([[1.0, 1.0], [1.0, -1.0]]) / 2**0.5
        variance = theta.cos() ** 2 * torch.tensor([1.9, 0.1]) + theta.sin() ** 2
        return theta.sin() * (y @ axes / variance) @ axes


def known(figure) -> None:
    """What is hidden, given that the other number was seen to be 1.5: the exact posterior and the methods' draws."""
    model = pf.diffusion.Diffusion(Correlated(), pf.paths.Cosine(), 2, "noise")
    axes = dress(
        figure.subplots(), title="a Gaussian, correlation 0.9, the other number is 1.5", x="hidden number", y="density"
    )
    seen, m = inverse.Inpaint(torch.tensor([True, False])), torch.tensor([1.5, 0.0])
    grid = torch.linspace(-2, 3.2, 300)
    exact = torch.distributions.Normal(0.9 * 1.5, (1 - 0.81) ** 0.5).log_prob(grid).exp()
    axes.fill_between(grid.numpy(), exact.numpy(), color=MUTED, alpha=0.25, linewidth=0, label="exact")
    methods = ["pigdm", "dps", "projection", "repaint"]
    for method, colour in zip(methods, COLOURS):
        x = inverse.solve(
            model, m, seen, method=method, draws=2000, steps=60, generator=torch.Generator().manual_seed(4)
        )
        axes.hist(x[:, 1].numpy(), 60, (-2, 3.2), density=True, histtype="step", color=colour, label=method)
    legend(axes, "upper left")
