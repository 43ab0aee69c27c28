"""A training step of an image diffusion at 1 x 28 x 28, batch 128: our U-Net beside diffusers' of the same width.

`make bench BENCHES=unet_step`

Two levels of 32 and 64 channels, attention in the middle. Their way up has one block a level more than their way down, and their middle
has two where ours has one: with three blocks a level for us and two for them both have twelve or thirteen residual blocks, equally many
parameters, and equally much to convolve, which is what is checked.
"""

from collections.abc import Callable

import torch
from diffusers.utils import import_utils
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import pushforward as pf
from pushforward.core.data import Batch
from pushforward.core.random import RowGenerator
from pushforward.models.diffusion import Diffusion
from pushforward.parts.paths import DiscreteVP

from .harness import OURS, Agreement, Report, compare

import_utils._torchvision_available = (
    False  # a torchvision of another torch cannot be imported, and the U-Net needs none
)
from diffusers import DDPMScheduler, UNet2DModel  # noqa: E402

BATCH, SIDE, WIDTHS = 128, 28, (32, 64)
NOTES = (
    "The same in both: resolution, channels at each level, attention over the 14 x 14 pixels of the middle, scale and shift by time, noise "
    "prediction under the linear schedule of 1,000 steps, mean squared error, Adam (fused), float32. The weights differ.",
    "Work is counted by torch.utils.flop_counter, in the convolutions of a forward pass; ours does slightly less, and has slightly more parameters. "
    "Their down-sampling and up-sampling each have a convolution, ours enlarges without one and has one residual block more.",
    "Ours includes what its objective does besides: whole pixels are checked and dequantised, and each row's noise comes from a stream of its own.",
)


def run(rounds: int = 6) -> Report:
    """Count parameters and work, then time whole steps."""
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (BATCH, 1, SIDE, SIDE), generator=torch.Generator().manual_seed(0))
    ours, theirs = _our_network(), _their_network()
    report = Report("unet_step", "U-Net: training step", packages=("diffusers",), notes=NOTES)
    networks = {OURS: ours, "diffusers": theirs}
    report.figures = [(f"parameters of {who}", f"{_size(net):,}") for who, net in networks.items()]
    report.figures += [
        (f"convolutions of {who}, MFLOP an image", f"{_work(net) / 1e6:.0f}") for who, net in networks.items()
    ]
    checks = [
        Agreement("diffusers", "relative difference in parameters", _size(ours) / _size(theirs) - 1, 0.03),
        Agreement("diffusers", "relative difference in what is convolved", _work(ours) / _work(theirs) - 1, 0.05),
    ]
    report.comparisons.append(
        compare(
            f"training step, batch {BATCH}",
            _our_step(ours, pixels),
            {"diffusers": _their_step(theirs, pixels)},
            check=lambda: checks,
            repeats=rounds,
            warmup=1,
        )
    )
    return report


def _our_network() -> nn.Module:
    return pf.nn.UNet(1, (SIDE, SIDE), width=WIDTHS[0], multipliers=[w // WIDTHS[0] for w in WIDTHS], blocks=3)


def _their_network() -> nn.Module:
    return UNet2DModel(
        sample_size=SIDE, in_channels=1, out_channels=1, layers_per_block=2, block_out_channels=WIDTHS, norm_num_groups=8,
        down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
        resnet_time_scale_shift="scale_shift", attention_head_dim=32,
    )  # fmt: skip


def _our_step(network: nn.Module, pixels: Tensor) -> Callable[[], object]:
    model = Diffusion(network, DiscreteVP(), (1, SIDE, SIDE), "noise", levels=256).train()
    objective, optimiser = model.objective, torch.optim.Adam(model.parameters(), 1e-4, fused=True)
    number = iter(range(1 << 30))

    def step() -> None:
        optimiser.zero_grad()
        objective(model, Batch(pixels), RowGenerator(next(number), BATCH)).value.backward()
        optimiser.step()

    return step


def _their_step(network: nn.Module, pixels: Tensor) -> Callable[[], object]:
    scheduler, optimiser = DDPMScheduler(1000), torch.optim.Adam(network.train().parameters(), 1e-4, fused=True)

    def step() -> None:
        optimiser.zero_grad()
        x = (pixels.float() + 0.5) / 128 - 1
        noise, t = torch.randn_like(x), torch.randint(1000, (BATCH,))
        predicted = network(scheduler.add_noise(x, noise, t), t, return_dict=False)[0]
        nn.functional.mse_loss(predicted, noise).backward()
        optimiser.step()

    return step


def _size(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def _work(network: nn.Module) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 1, SIDE, SIDE), torch.zeros(1))
    return counter.get_flop_counts()["Global"][torch.ops.aten.convolution]
