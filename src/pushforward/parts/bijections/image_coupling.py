"""Coupling of images: some channels, or the pixels of a checkerboard, pass and say how the others are mapped.

x_a = z_a,  x_b = tau(z_b; h(z_a)) with a convolutional network h (Dinh et al. 2017, section 3.4,
https://arxiv.org/abs/1605.08803; Kingma and Dhariwal 2018, https://arxiv.org/abs/1807.03039).
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Size, Tensor, nn

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .elementwise import ElementwiseTransformer, require_widths

Mask = Literal["channel", "channel_swapped", "checkerboard", "checkerboard_swapped"]


@register
class ImageCoupling(Bijection):
    """x = z where the mask lets pass; elsewhere x = transformer(z), with parameters from the conditioner of what passed.

    `mask` "channel" passes the first `channels // 2` channels, and "channel_swapped" maps those and passes the others.
    "checkerboard" passes the pixels whose row and column add to an even number, in all channels, and
    "checkerboard_swapped" the others; what does not pass is zero to the conditioner.

    `conditioner` takes images `(n, inputs, height, width)` (and the class numbers, or a guiding image, if built with one) to
    `(n, outputs, height, width)`: inputs are the channels that pass, or all of a checkerboard; outputs the channels that are
    mapped, times `transformer.size`: output `k * mapped + i` is parameter k of channel i.

    Raises `ConfigError` for an unknown mask, an event that is no image, one channel to divide, or a conditioner of other widths.

    >>> from pushforward.parts.bijections import AffineTransformer
    >>> from pushforward.parts.nn import CouplingConvNet
    >>> coupling = ImageCoupling((4, 8, 8), "channel", AffineTransformer(), CouplingConvNet(2, 4, width=16))
    >>> x, log_det = coupling(torch.randn(10, 4, 8, 8))
    >>> x.shape, log_det.shape
    (torch.Size([10, 4, 8, 8]), torch.Size([10]))
    """

    passes: Tensor | None

    def __init__(
        self, event_shape: Sequence[int], mask: str, transformer: ElementwiseTransformer, conditioner: nn.Module
    ):
        super().__init__()
        if mask not in get_args(Mask):
            raise ConfigError(f"expected a mask among {', '.join(get_args(Mask))}, got {mask!r}")
        if len(event_shape) != 3 or min(event_shape) < 1 or (mask.startswith("channel") and event_shape[0] < 2):
            raise ConfigError(f"expected images (channels, height, width), for a mask of channels with 2 or more, got {tuple(event_shape)}; "
                              "squeeze them first")  # fmt: skip
        self.event_shape = self.output_shape = Size(event_shape)
        channels, height, width = event_shape
        self.first, self.swapped = channels // 2, mask.endswith("swapped")
        inputs = outputs = channels
        if mask.startswith("checkerboard"):
            even = (torch.arange(height)[:, None] + torch.arange(width)) % 2 == 0
            self.passes = nn.Buffer(even ^ self.swapped, persistent=False)
        else:
            self.passes = None
            inputs = channels - self.first if self.swapped else self.first
            outputs = channels - inputs
        require_widths(conditioner, inputs, transformer.size * outputs)
        guide = getattr(conditioner, "guide", 0)
        self.condition_shape = None if getattr(conditioner, "classes", None) is None else Size(())
        if guide:
            self.condition_shape = Size((guide, height, width))
        self.inverse_kind = "iterative" if hasattr(transformer, "solved") else "exact"
        self.transformer, self.conditioner = transformer, conditioner

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return self._map(z, condition, inverse=False)

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return self._map(x, condition, inverse=True)

    def _map(self, value: Tensor, condition: Tensor | None, inverse: bool) -> tuple[Tensor, Tensor]:
        apply = self.transformer.inverse if inverse else self.transformer.forward
        # One block of memory for each channel: then halves are views, and every elementwise operation runs straight on.
        rows = value.transpose(0, 1)
        if self.passes is not None:
            b, log_derivative = apply(rows, self._conditioned(rows * self.passes, condition))
            out = torch.where(self.passes, rows, b)
            return out.transpose(0, 1), (log_derivative * ~self.passes).sum((0, 2, 3))
        first, last = rows[: self.first], rows[self.first :]
        a, b = (last, first) if self.swapped else (first, last)
        b, log_derivative = apply(b, self._conditioned(a, condition))
        out = torch.cat([b, a] if self.swapped else [a, b])
        return out.transpose(0, 1), log_derivative.sum((0, 2, 3))

    def _conditioned(self, rows: Tensor, condition: Tensor | None) -> Tensor:
        """`(size, mapped, n, h, w)` from what passes, `(channels, n, h, w)`."""
        channels, *pixels = rows.shape
        # Convolutions are fastest on images whose channels lie side by side; a transposed matrix is a quick copy.
        images = (
            rows.reshape(channels, pixels[0] * pixels[1] * pixels[2])
            .T.contiguous()
            .reshape(*pixels, channels)
            .permute(0, 3, 1, 2)
        )
        found = self.conditioner(images, condition).permute(0, 2, 3, 1)
        outputs = found.shape[-1]
        return (
            found.reshape(-1, outputs)
            .T.contiguous()
            .reshape(self.transformer.size, outputs // self.transformer.size, *pixels)
        )
