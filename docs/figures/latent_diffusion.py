"""G10: digits drawn in the latents of an autoencoder that was trained at the same time."""

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import bare, canvas

STEPS = 150


def draw() -> Figure:
    """Digits; what the autoencoder keeps of them; a channel of their latents; and draws of the ten classes."""
    digits = pf.data.load("digits")
    torch.manual_seed(0)
    model = pf.latent.latent_diffusion(digits, width=16)
    settings = pf.training.Settings(bar=False, batch_size=128, learning_rate=4e-3, warmup=20, ema_decay=0.98)
    pf.fit(model, digits, steps=STEPS, settings=settings)
    batch = digits.take(torch.tensor([int((digits.labels == k).nonzero()[0]) for k in range(10)]))
    with torch.no_grad():
        latents = model.standardise(model.autoencoder.encode(batch.x))
        kept = model.autoencoder.decode(model.autoencoder.encode(batch.x))
    generator = torch.Generator().manual_seed(1)
    drawn = model.sample((3,), condition=torch.arange(10), generator=generator)
    rows = {
        "digits": batch.x,
        "kept": kept,
        "latents": latents[:, :1],
        "drawn": drawn[0],
        " ": drawn[1],
        "  ": drawn[2],
    }
    figure = canvas(height=3.6)
    panels = figure.subplots(len(rows), 10)
    for row, (name, pictures) in enumerate(rows.items()):
        for column in range(10):
            axes = bare(panels[row, column])
            limits = (-2.5, 2.5) if name == "latents" else (0, 16)
            axes.imshow(pictures[column, 0].numpy(), cmap="gray_r", vmin=limits[0], vmax=limits[1])
        panels[row, 0].text(-0.25, 0.5, name, transform=panels[row, 0].transAxes, ha="right", va="center", fontsize=8)
    return figure
