"""Drawing images of 28 x 28 pixels from a PixelCNN: what a new pixel changes, against the whole network for every pixel.

The default model, black and white, one image and 16. Checked first: both draw exactly the same images from one seed, in
float64, and their parameters agree in float32.
"""

import time
from functools import partial

import torch

import pushforward as pf
from pushforward.parts.nn import PixelWalk

from .harness import OURS, Agreement, Report, compare

SIDE, SMALL = 28, 7
SIDES = {1: 28, 16: 14}  # of the images that both draw, by how many are drawn at once
PIXELS = 3  # that the loop is timed on for the figures, beyond the tables
LOOP = "the whole network for each pixel"
NOTES = (
    "float32, 32 channels, 5 blocks of kernel 5, one number a pixel: black or white. Both draw whole images with the same uniform numbers.",
    f"For 16 images of {SIDE} x {SIDE}, the last figure, the loop is timed on {PIXELS} pixels, and a whole image is that time times {SIDE * SIDE} over {PIXELS}, "
    "since every pixel costs it the same.",
)  # fmt: skip


def run(rounds: int = 4) -> Report:
    """One image and 16 at once."""
    report = Report("pixel_cnn", "PixelCNN, drawing", notes=list(NOTES))
    checks = [_same_draws(), _same_parameters(_model())]
    for images, side in SIDES.items():
        model = _model(side)

        def draw(cached: bool, images: int = images, model: pf.autoregressive.PixelCNN = model) -> None:
            model.sample(images, generator=_seed(), cached=cached)

        comparison = compare(f"{images} of {side} x {side} at once", partial(draw, True), {LOOP: partial(draw, False)},
                             check=lambda: checks, repeats=rounds, warmup=1, profiled=False)  # fmt: skip
        report.comparisons.append(comparison)
        for who in (OURS, LOOP):
            each = 1e3 * comparison.median(who) / side**2
            report.figures.append((f"{images} of {side} x {side} at once: milliseconds a pixel, {who}", f"{each:.3f}"))
    report.figures += _many()
    return report


def _many() -> list[tuple[str, str]]:
    """16 images of the full size."""
    model, mask = _model(), torch.ones(1, SIDE, SIDE, dtype=torch.bool)
    mask[:, -1, -PIXELS:] = False
    start = time.perf_counter()
    model.sample(16, generator=_seed())
    ours = time.perf_counter() - start
    start = time.perf_counter()
    model.sample(16, generator=_seed(), given=(torch.zeros(1, SIDE, SIDE), mask), cached=False)
    theirs = (time.perf_counter() - start) * SIDE**2 / PIXELS
    name = f"16 of {SIDE} x {SIDE} at once"
    return [(f"{name}: seconds, {OURS}", f"{ours:.2f}"), (f"{name}: times as fast", f"{theirs / ours:.0f}")]


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
