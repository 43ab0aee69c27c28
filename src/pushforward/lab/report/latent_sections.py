"""What the report of a variational autoencoder says beside the others: its bounds, what it keeps, what each latent number does."""

from typing import Any

import torch
from torch import Tensor

from pushforward.core.registry import device_of
from pushforward.lab.metrics import Estimate
from pushforward.lab.plots import reconstructions, traversals

from .common import generator_for
from .page import Report

BOUNDS = """
The bound with one draw (ELBO) is what training raises; with more draws it rises towards log p(x), which it does not exceed on average. The
gap between the two is what the posterior costs. Neither is a likelihood, and both are of the data as the model sees them: grey images of a
Bernoulli model in black and white.
"""
DRAWS = 100


def is_autoencoder(model: Any) -> bool:
    """Whether a model has bounds by importance sampling and can reconstruct."""
    return hasattr(model, "iwae") and hasattr(model, "reconstruct")


def bound_values(page: Report, model: Any, x: Tensor, seed: int) -> None:
    """Cards: minus the bound of one draw, and of a hundred, in nats for each row of x."""
    x = x.to(device_of(model))
    elbo = Estimate.of(model.elbo(x, draws=4, generator=generator_for(model, seed)).value)
    tight = Estimate.of(model.iwae(x, draws=DRAWS, generator=generator_for(model, seed)).value)
    page.value(
        "held-out -ELBO", -elbo.value, elbo.std_error, note=f"nats, an upper bound of -log p(x); {len(x)} test rows"
    )
    page.value(f"held-out -IWAE({DRAWS})", -tight.value, tight.std_error, note="nats, a tighter one")


def bound_section(page: Report) -> None:
    """What the two bounds mean."""
    page.text(BOUNDS)


def latent_pictures(page: Report, model: Any, images: Any, shown: int = 12) -> None:
    """Reconstructions of test images, and traversals from the first of them."""
    x = images.take(torch.arange(min(shown, len(images)))).x
    with torch.no_grad():
        kept = model.reconstruct(x.to(device_of(model))).cpu()
        moved = model.traverse(x[0].to(device_of(model)), places=min(8, model.latents), steps=11).cpu()
    page.section("Latents")
    page.figure(
        reconstructions(x, kept, levels=images.levels), "Test images, and what the decoder makes of their latents."
    )
    page.figure(
        traversals(moved, levels=images.levels),
        "The first test image while one latent number moves from -2.5 to 2.5; those that the posterior knows most about come first.",
    )
