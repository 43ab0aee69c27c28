"""Inpaint and colour photographs: `python examples/inpaint_faces.py RUN [picture.png]`, after `pushforward fit` of a diffusion model.

RUN is a run of a diffusion model of images, such as faces or small colour photographs (which need PUSHFORWARD_DATA). Test images lose
their middle, their colours (if they have any) or three quarters of their pixels; the picture shows what was seen, draws of three methods
and the truth. Printed is how far each draw is from the measurement and from the truth. A few minutes on two CPU cores.
"""

import sys

import torch

import pushforward as pf
from pushforward.lab.runs import open_run

IMAGES, STEPS, METHODS = 6, 60, ("pigdm", "dps", "projection")
inverse = pf.diffusion.inverse


def main(folder: str, picture: str = "inpainted.png") -> None:
    """Print the misfits and the errors, in pixel values, and draw the picture."""
    run = open_run(folder)
    model, test = run.model, run.parts()[2]
    batch = test.take(torch.arange(IMAGES))
    x = batch.x.to(torch.float32)
    condition = batch.condition if model.condition_shape is not None else None
    rows = []
    for name, operator in problems(model.event_shape).items():
        seen = operator.apply(x)
        rows.append(shown(seen, x))
        for method in METHODS:
            generator = torch.Generator().manual_seed(0)
            draws = inverse.solve(
                model, seen, operator, method=method, condition=condition, steps=STEPS, generator=generator
            )
            misfit = (operator.apply(draws) - seen).square().mean().sqrt()
            error = (draws - x).square().mean().sqrt()
            print(f"{name:15} {method:11} misfit {float(misfit):6.2f}   error {float(error):6.2f}")
            rows.append(draws)
        rows.append(x)
    figure = pf.plots.image_grid(torch.cat(rows), columns=IMAGES, levels=model.levels)
    figure.savefig(picture, dpi=120, bbox_inches="tight")
    print(f"{picture}: for each problem what was seen, {', '.join(METHODS)}, and the truth")


def problems(shape: torch.Size) -> dict[str, inverse.Operator]:
    """The middle hidden, the colours gone, and a small image, as far as images of this shape have them."""
    channels, height, width = shape
    mask = torch.ones(height, width, dtype=torch.bool)
    mask[height // 4 : -(height // 4), width // 4 : -(width // 4)] = False
    found: dict[str, inverse.Operator] = {"inpainting": inverse.Inpaint(mask)}
    if channels == 3:
        found["colorisation"] = inverse.Colorise((0.299, 0.587, 0.114))
    if height % 2 == width % 2 == 0:
        found["super-resolution"] = inverse.SuperResolve(2)
    return found


def shown(seen: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """A measurement as a picture of the size of x."""
    wide = torch.nn.functional.interpolate(seen, size=x.shape[2:], mode="nearest")
    return wide.expand_as(x)


if __name__ == "__main__":
    main(*sys.argv[1:])
