"""B3: a small Glow of handwritten digits, its draws by class at three temperatures."""

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import bare, canvas, mosaic

STEPS = 240
EACH = 6  # draws of a class


def fitted() -> tuple[pf.data.Images, pf.Distribution]:
    """The digits, and a Glow of them after a short plain loop."""
    digits = pf.data.load("digits")
    model = pf.flows.glow(digits, steps=4, width=48)
    pf.bijections.start_from_data(model, digits.take(torch.arange(256)), pf.RowGenerator(0, 256))
    optimiser = torch.optim.Adam(model.parameters(), 4e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    order = torch.Generator().manual_seed(0)
    for step in range(STEPS):
        batch = digits.take(torch.randint(len(digits), (128,), generator=order))
        loss = model.objective(model, batch, pf.RowGenerator(step, 128)).value
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 100.0)
        optimiser.step()
        schedule.step()
    return digits, model.eval()


def draw() -> Figure:
    """Digits, and draws of each class, a row a class."""
    digits, model = fitted()
    labels = torch.arange(10).repeat_interleave(EACH)
    real = torch.cat([digits.pixels[digits.labels == k][:EACH] for k in range(10)]).float()
    boards = {"data": real}
    for temperature in (0.5, 0.7, 1.0):
        cool = pf.flows.tempered(model, temperature)
        boards[f"T = {temperature:g}"] = cool.sample((), labels, generator=torch.Generator().manual_seed(1))
    figure = canvas(height=3.2)
    for axes, (title, images) in zip(figure.subplots(1, len(boards)), boards.items()):
        bare(axes, title=title)
        axes.imshow(mosaic(images.reshape(10, EACH, 1, 8, 8), 0, 16).numpy(), interpolation="nearest")
    return figure
