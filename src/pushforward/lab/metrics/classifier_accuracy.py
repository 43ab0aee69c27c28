"""Are class-conditional samples recognised? A judge is trained on real images, then asked about the samples.

The accuracy on samples says nothing without the accuracy on held-out real images beside it, and neither sees
variety: a model that draws one perfect image per class scores 100 %. Ravuri and Vinyals 2019,
https://arxiv.org/abs/1905.10887, discuss the measure and its limits.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor, nn
from torch.nn import functional as F

from pushforward.core.errors import UserError
from pushforward.core.random import mix
from pushforward.parts.nn.convnet import ConvClassifier

from .estimate import Estimate


@dataclass(frozen=True)
class Judge:
    """A classifier of pixel values 0 .. levels - 1."""

    network: nn.Module
    levels: int

    @torch.no_grad()
    def logits(self, pixels: Num[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Class scores, in batches."""
        device = next(self.network.parameters()).device
        self.network.eval()
        return torch.cat([self.network(_scaled(part.to(device), self.levels)).cpu() for part in pixels.split(512)])

    def classify(self, pixels: Num[Tensor, "n c h w"]) -> Int[Tensor, " n"]:
        """The most likely class of every image."""
        return self.logits(pixels).argmax(1)


def train_judge(pixels: Num[Tensor, "n c h w"], labels: Int[Tensor, " n"], *, levels: int = 256, epochs: int = 15,
                max_steps: int = 600, seed: int = 0) -> Judge:  # fmt: skip
    """Train a small convolutional network on real images; the same seed gives the same judge.

    Seconds for 8 x 8 digits; `max_steps` of 64 images bound the time for large sets. Every batch is turned, scaled and
    shifted a little, so that the judge reads shapes and not pixels. Raises `UserError` when images and labels do not
    pair up.

    >>> bright = torch.arange(64) % 2
    >>> judge = train_judge(255 * bright.view(-1, 1, 1, 1).expand(64, 1, 8, 8), bright)
    >>> classifier_accuracy(judge, torch.full((4, 1, 8, 8), 255), torch.ones(4, dtype=torch.long)).value
    1.0
    """
    if len(pixels) != len(labels) or len(labels) == 0 or int(labels.min()) < 0:
        raise UserError(
            f"expected a label 0, 1, ... for each image, got {len(labels)} for {len(pixels)} images; pair them up"
        )
    truth = labels.long().to(pixels.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(seed, 1))  # a network draws its first weights from the global generator
        network = ConvClassifier(pixels.shape[1], pixels.shape[2:], classes=int(truth.max()) + 1).to(pixels.device)
    generator = torch.Generator().manual_seed(mix(seed, 2))
    batch = min(64, len(pixels))
    steps = min(epochs * (len(pixels) // batch), max_steps)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    order = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if len(order) < batch:
            order = torch.randperm(len(pixels), generator=generator)
        index, order = order[:batch].to(pixels.device), order[batch:]
        loss = F.cross_entropy(network(_moved(_scaled(pixels[index], levels), generator)), truth[index])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
    return Judge(network.eval(), levels)


def classifier_accuracy(judge: Judge, pixels: Num[Tensor, "n c h w"], labels: Int[Tensor, " n"]) -> Estimate:
    """Share of images that the judge puts in their class: on held-out images its quality, on samples the model's."""
    return Estimate.of((judge.classify(pixels) == labels.cpu()).double())


def _scaled(pixels: Tensor, levels: int) -> Tensor:
    return pixels.float() * (2 / (levels - 1)) - 1


def _moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Every image turned by up to 10 degrees, scaled by up to 10 % and shifted by up to half a pixel."""
    n, _, height, width = images.shape
    angle, scale, down, right = (2 * torch.rand(4, n, generator=generator) - 1).to(images.device)
    angle, scale = angle * math.radians(10), 1 + 0.1 * scale
    rows = [[scale * angle.cos(), -scale * angle.sin(), right / width],
            [scale * angle.sin(), scale * angle.cos(), down / height]]  # fmt: skip
    grid = F.affine_grid(torch.stack([torch.stack(row, 1) for row in rows], 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
