"""Invertible 1x1 convolution: at every pixel, one learned matrix mixes the channels.

From data to noise, as in the paper, z = W x with log abs det dz/dx = h w log abs det W, where W begins as a random
rotation (Kingma and Dhariwal 2018, section 3.2, https://arxiv.org/abs/1807.03039).
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Size, Tensor, nn

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

Kind = Literal["plu", "dense"]


@register
class InvertibleConv1x1(Bijection):
    """x = W^-1 z at every pixel of z `(channels, height, width)`; vectors are images of no height and width: `(features,)`.

    `kind` "plu" learns W = P L (U + diag(sign exp(log_size))) with a fixed permutation P and fixed signs, so that
    log abs det W = sum log_size and W never becomes singular; "dense" learns W itself. A permutation matrix shuffles the
    channels. The small matrix is inverted in float64.

    Raises `ConfigError` for another kind or an event without channels, and for a W that has become singular.

    >>> conv = InvertibleConv1x1((3, 4, 4))
    >>> torch.allclose(conv.weight() @ conv.weight().T, torch.eye(3), atol=1e-5)
    True
    """

    order: Tensor | None
    sign: Tensor | None

    def __init__(self, event_shape: Sequence[int], kind: str = "plu", seed: int = 0):
        super().__init__()
        if kind not in get_args(Kind):
            raise ConfigError(f"expected kind {' or '.join(map(repr, get_args(Kind)))}, got {kind!r}")
        if not event_shape or min(event_shape) < 1:
            raise ConfigError(f"expected an event with channels, got shape {tuple(event_shape)}; give (channels, height, width)")  # fmt: skip
        self.event_shape = self.output_shape = Size(event_shape)
        rotation, dtype = _rotation(self.event_shape[0], seed), torch.get_default_dtype()
        if kind == "dense":
            self.dense = nn.Parameter(rotation.to(dtype))
            self.lower = self.upper = self.log_size = self.order = self.sign = None
            return
        self.dense = None
        permutation, lower, upper = torch.linalg.lu(rotation)
        size = upper.diagonal()
        self.lower, self.upper = nn.Parameter(lower.tril(-1).to(dtype)), nn.Parameter(upper.triu(1).to(dtype))
        self.log_size = nn.Parameter(size.abs().log().to(dtype))
        self.order, self.sign = nn.Buffer(permutation.argmax(1)), nn.Buffer(size.sign().to(dtype))

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return mix_channels(z, self.inverse_weight()), -self.log_det().expand(len(z))

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return mix_channels(x, self.weight()), self.log_det().expand(len(x))

    def weight(self) -> Tensor:
        """W, `(channels, channels)`, from data to noise."""
        if self.dense is not None:
            return self.dense
        factors = self.lower, self.upper, self.log_size, self.sign, self.order
        lower, upper, log_size, sign, order = (factor for factor in factors if factor is not None)
        upper = upper.triu(1) + torch.diag(sign * log_size.exp())
        return (upper + lower.tril(-1) @ upper).index_select(0, order)

    def inverse_weight(self) -> Tensor:
        """W^-1, from noise to data; computed in float64, and rounded once."""
        weight = self.weight()
        inverse, failed = torch.linalg.inv_ex(weight.double())
        if failed:
            raise _singular()
        return inverse.to(weight.dtype)

    def log_det(self) -> Tensor:
        """log abs det dz/dx = h w log abs det W."""
        pixels = self.event_shape.numel() // self.event_shape[0]
        if self.log_size is not None:
            return pixels * self.log_size.sum()
        size = torch.linalg.slogdet(self.weight()).logabsdet
        if not torch.isfinite(size):
            raise _singular()
        return pixels * size


def mix_channels(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """weight x + bias at every pixel of x `(n, channels, *sides)`.

    One product of matrices: it reads the images with one block of memory for each channel, and writes them so.
    """
    rows = x.transpose(0, 1)
    flat = rows.flatten(1)
    mixed = weight @ flat if bias is None else torch.addmm(bias[:, None], weight, flat)
    return mixed.reshape(len(weight), *rows.shape[1:]).transpose(0, 1)


def _rotation(size: int, seed: int) -> Tensor:
    """A random rotation, float64: orthogonal with determinant 1."""
    noise = torch.randn(size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    rotation = torch.linalg.qr(noise).Q
    rotation[0] *= torch.linalg.det(rotation).sign()
    return rotation


def _singular() -> ConfigError:
    return ConfigError("expected an invertible matrix of channels, got a singular one, which training has made of it; "
                       "lower the learning rate, or take kind='plu', which stays invertible")  # fmt: skip
