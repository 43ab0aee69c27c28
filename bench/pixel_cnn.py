"""Drawing images of 28 x 28 pixels from a PixelCNN: what a new pixel changes, against the whole network for every pixel.

The default model, black and white, one image and 16. Checked first: both draw exactly the same images from one seed, in
float64, and their parameters agree in float32.
"""

import torch
from torch import Tensor

import pushforward as pf
from pushforward.parts.nn import PixelWalk

from .harness import OURS, Agreement, Report, compare

SIDE, SMALL = 28, 7
PIXELS = {1: 16, 16: 3}  # that the loop is timed on, by how many images are drawn at once
LOOP = "the whole network for each pixel"
NOTES = (
    "float32, 32 channels, 5 blocks of kernel 5. Both draw with the same uniform numbers.",
    f"Ours draws whole images of {SIDE} x {SIDE}; the loop is timed on the last {PIXELS[1]} pixels ({PIXELS[16]} for 16 images), "
    f"and every pixel costs it the same: its whole image is that time times {SIDE * SIDE} over their number. The figures below compare whole images.",
)  # fmt: skip


def run(rounds: int = 5) -> Report:
    """One image and 16 at once."""
    report = Report("pixel_cnn", "PixelCNN, drawing", notes=list(NOTES))
    model = _model()
    checks = [_same_draws(), _same_parameters(model)]
    for images, pixels in PIXELS.items():
        mask = torch.ones(1, SIDE * SIDE, dtype=torch.bool)
        mask[:, -pixels:] = False
        known = torch.zeros(1, SIDE, SIDE), mask.reshape(1, SIDE, SIDE)

        def whole(images: int = images) -> None:
            model.sample(images, generator=_seed())

        def few(images: int = images, known: tuple[Tensor, Tensor] = known) -> None:
            model.sample(images, given=known, generator=_seed(), cached=False)

        name = f"{images} at once: whole images, {pixels} pixels by the loop"
        comparison = compare(name, whole, {LOOP: few}, check=lambda: checks, repeats=rounds, warmup=1)
        report.comparisons.append(comparison)
        ours, theirs = comparison.median(OURS), comparison.median(LOOP) * SIDE * SIDE / pixels
        report.figures += [(f"{images} at once: milliseconds a pixel, ours", f"{1e3 * ours / SIDE**2:.3f}"),
                           (f"{images} at once: milliseconds a pixel, the loop", f"{1e3 * theirs / SIDE**2:.2f}"),
                           (f"{images} at once: times as fast, whole images", f"{theirs / ours:.0f}")]  # fmt: skip
    return report


def _model(side: int = SIDE) -> pf.autoregressive.PixelCNN:
    model = pf.autoregressive.pixel_cnn(event_shape=(1, side, side), levels=2).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)  # draws of first weights hardly depend on the pixels before
    return model


def _seed() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _same_draws() -> Agreement:
    model = _model(SMALL).double()
    ours, theirs = (model.sample(4, generator=_seed(), cached=own) for own in (True, False))
    return Agreement(
        LOOP, f"4 images of {SMALL} x {SMALL} from one seed, float64", float((ours - theirs).abs().max()), 0.0
    )


def _same_parameters(model: pf.autoregressive.PixelCNN) -> Agreement:
    x = 2 * model.sample(2, generator=_seed()) - 1
    walk, gap = PixelWalk(model.network, 2, (SIDE, SIDE)), 0.0
    with torch.no_grad():
        theirs = model.network(x)
    for r in range(SIDE):
        walk.begin_row(r)
        for c in range(SIDE):
            walk.put(r, c, x[:, :, r, c])
            gap = max(gap, float((walk.parameters(c) - theirs[:, :, r, c]).abs().max()))
    return Agreement(LOOP, f"logits of every pixel of {SIDE} x {SIDE}, float32", gap, 1e-5 * float(theirs.abs().max()))
