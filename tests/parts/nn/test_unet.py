"""The U-Net: any image size, patches, a modest number of parameters."""

import pytest
import torch
from torch import nn

from pushforward.core.errors import ConfigError
from pushforward.parts.nn.unet import UNet


def spoken(net: UNet) -> UNet:
    for parameter in net.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.2)
    return net


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("size", "patch", "multipliers"), [
    ((8, 8), 1, (1, 2)), ((28, 28), 2, (1, 2, 2)), ((28, 20), 2, (1, 2)), ((7, 9), 1, (1, 2)), ((7, 9), 4, (1, 1, 1)),
    ((2, 2), 1, (1,)), ((2, 31), 1, (1, 2)), ((5, 5), 3, (2, 1)),
])  # fmt: skip
def test_every_image_size_keeps_its_shape_and_reaches_every_pixel(channels, size, patch, multipliers):
    net = spoken(UNet(channels, size, width=8, multipliers=multipliers, patch=patch))
    x = torch.randn(2, channels, *size, requires_grad=True)
    out = net(x, torch.rand(2))
    assert out.shape == x.shape
    (gradient,) = torch.autograd.grad(out.square().sum(), x)
    assert torch.isfinite(gradient).all()
    assert (gradient != 0).all()


@pytest.mark.parametrize(
    ("size", "patch", "multipliers"), [((5, 7), 1, (1, 2, 2)), ((28, 28), 3, (1, 1)), ((3, 2), 4, (1,))]
)
def test_cropping_undoes_padding(size, patch, multipliers):
    net = UNet(3, size, width=8, multipliers=multipliers, patch=patch)
    net.enter = net.leave = nn.Identity()
    net.down = net.up = nn.ModuleList()
    net.middle.forward = lambda x, modulation: x
    net.attend = None
    x = torch.randn(2, 3, *size)
    assert torch.equal(net(x, torch.rand(2)), x)


@pytest.mark.parametrize("size", [(1, 8), (8, 1), (1, 1)])
def test_one_pixel_sides_are_refused(size):
    with pytest.raises(ConfigError, match="at least 2 x 2 pixels"):
        UNet(1, size)


@pytest.mark.parametrize(
    "wrong", [{"width": 0}, {"blocks": 0}, {"patch": 0}, {"multipliers": ()}, {"multipliers": (1, 0)}]
)
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(ConfigError, match="to be at least 1"):
        UNet(1, (8, 8), **wrong)


def test_size_of_the_default():
    """About half a million parameters: what two cores train in two minutes."""
    count = sum(parameter.numel() for parameter in UNet(1, (8, 8), classes=10).parameters())
    assert 400_000 < count < 500_000


def test_attention_lets_far_pixels_speak_to_each_other():
    def reach(attention: bool) -> torch.Tensor:
        net = spoken(UNet(1, (64, 2), width=8, multipliers=(1,), attention=attention)).double()
        for part in net.modules():  # a group norm looks at the whole image
            if isinstance(part, nn.Sequential):
                part[0] = nn.Identity()
            if hasattr(part, "norm"):
                part.norm = nn.Identity()
        x = torch.randn(1, 1, 64, 2, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(net(x, torch.rand(1, dtype=torch.float64))[0, 0, 0].sum(), x)
        return gradient[0, 0, -1]

    assert reach(True).any()
    assert not reach(False).any()
