"""C2: what a pixel sees, stack by stack, and digits that a small PixelCNN draws by class and completes from their top halves."""

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress
from pushforward.lab.training import Settings

SHOWN = 10


def draw() -> Figure:
    """Left: the gradient of a pixel in both stacks. Middle: draws by class. Right: digits held back, their tops, completions."""
    figure = canvas(height=2.2)
    sight, drawn, completed = figure.subplots(1, 3, width_ratios=[1, 1.4, 1.4])
    _sight(sight)
    images = pf.data.load("digits")
    train, test = images.split((0.9, 0.1), seed=0)
    model = pf.autoregressive.pixel_cnn(train, width=24, blocks=2, kernel=3, dropout=0.1)
    pf.fit(
        model,
        train,
        steps=220,
        settings=Settings(bar=False, learning_rate=4e-3, warmup=20, ema_decay=0.97, batch_size=64),
    )
    generator = torch.Generator().manual_seed(0)
    samples = model.sample(4, torch.arange(SHOWN), generator=generator, temperature=0.9)
    _sheet(drawn, samples, "drawn, by class")
    held = [int((test.labels == k).nonzero()[0]) for k in range(SHOWN)]
    batch = test.take(torch.tensor(held))
    top = torch.zeros(1, 8, 8, dtype=torch.bool)
    top[:, :4] = True
    whole = model.sample(2, batch.condition, given=(batch.x, top), generator=generator)
    blank = torch.where(top, batch.x, torch.full_like(batch.x, 8.0))
    _sheet(completed, torch.stack([batch.x, blank, *whole]), "held back, top given, two draws")
    return figure


def _sheet(axes, rows: torch.Tensor, title: str) -> None:
    """Images `(rows, columns, 1, 8, 8)` side by side, with lines between them."""
    dress(axes, title=title, grid=False)
    framed = torch.nn.functional.pad(rows[:, :, 0], (0, 1, 0, 1), value=4.0)
    axes.imshow(framed.movedim(1, 2).flatten(0, 1).flatten(1).numpy(), cmap="gray", vmin=0, vmax=16)
    axes.set_xticks([])
    axes.set_yticks([])


def _sight(axes) -> None:
    dress(axes, title="what the pixel + sees", x="column", y="row", grid=False)
    model = pf.autoregressive.pixel_cnn(event_shape=(1, 11, 15), levels=4, width=16, blocks=3, kernel=3).eval()
    x = torch.rand(1, 1, 11, 15, requires_grad=True)
    gradient = torch.autograd.grad(model.predictions(x)[0, 8, 7].sum(), x)[0][0, 0]
    seen = torch.full((11, 15), 0.0)
    seen[gradient != 0] = 1.0
    seen[8, :7] *= 2.0  # the row itself, which the horizontal stack reads
    axes.imshow(seen.numpy(), cmap="Blues", vmin=0, vmax=3)
    axes.plot(7, 8, "+", color="black", markersize=9)
    axes.set_xticks([0, 7, 14])
    axes.set_yticks([0, 8])
