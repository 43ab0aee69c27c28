"""B16: a small transformer flow of handwritten digits, its draws by class, and the Jacobian of one of its layers."""

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import bare, canvas, mosaic
from pushforward.lab.plots.style import HEAT

STEPS = 320
EACH = 6  # draws of a class


def fitted() -> tuple[pf.data.Images, pf.Distribution]:
    """The digits, and a transformer flow of them after a short plain loop."""
    digits = pf.data.load("digits")
    model = pf.flows.transformer_flow(digits, patch=2, layers=4, width=32, blocks=1)
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=STEPS, pct_start=0.1)
    order = torch.Generator().manual_seed(0)
    for step in range(STEPS):
        batch = digits.take(torch.randint(len(digits), (96,), generator=order))
        loss = model.objective(model, batch, pf.RowGenerator(step, 96)).value
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 50.0)
        optimiser.step()
        schedule.step()
    return digits, model.eval()


def jacobian(digits: pf.data.Images, model: pf.Distribution) -> torch.Tensor:
    """Logarithm of |dz / dx| for the layer nearest to the data, numbers in the order of the tokens; zeros are NaN."""
    layer = next(
        part for part in reversed(list(model.modules())) if isinstance(part, pf.bijections.TokenAutoregressive)
    )
    image, label = digits.pixels[7:8].float() + 0.5, digits.labels[7:8]
    tokens = pf.bijections.Patches(digits.shape, 2).inverse(image / 8 - 1)[0]
    matrix = torch.autograd.functional.jacobian(lambda x: layer.inverse(x, label.float())[0].flatten(), tokens).reshape(
        64, 64
    )
    return torch.where(matrix == 0, torch.nan, matrix.abs()).log10()


def draw() -> Figure:
    """Digits, draws of each class at two temperatures, a row a class; and what each number of the noise depends on."""
    digits, model = fitted()
    labels = torch.arange(10).repeat_interleave(EACH)
    boards = {"data": torch.cat([digits.pixels[digits.labels == k][:EACH] for k in range(10)]).float()}
    for temperature in (0.7, 1.0):
        cool = pf.flows.tempered(model, temperature)
        boards[f"draws, T = {temperature:g}"] = cool.sample((), labels, generator=torch.Generator().manual_seed(1))
    figure = canvas(height=3.0)
    panels = figure.subplots(1, 4, width_ratios=[1, 1, 1, 1.65])
    for axes, (title, images) in zip(panels, boards.items()):
        bare(axes, title=title)
        axes.imshow(mosaic(images.reshape(10, EACH, 1, 8, 8), 0, 16).numpy(), interpolation="nearest")
    bare(panels[3], title="one layer: |dz / dx|, by token")
    panels[3].imshow(jacobian(digits, model).numpy(), cmap=HEAT, vmin=-3, vmax=1, interpolation="nearest")
    return figure
