"""The convolutional network of Glow's couplings: 3x3, 1x1, 3x3 (Kingma and Dhariwal 2018, https://arxiv.org/abs/1807.03039)."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .class_bias import ClassBias


@register
class CouplingConvNet(nn.Module):
    """conv3x3(relu(conv1x1(relu(conv3x3(x))))) for images `(n, inputs, height, width)`; sizes stay.

    The last convolution begins at zero, so that a coupling built on it begins as the identity. With `classes`, the number of
    the class of each image adds a learned vector to the first hidden layer.
    `width` 0 is one convolution and no hidden layer, the network of Glow's learned prior. Nothing in it normalises: rows do not see each other.

    Raises `ConfigError` for impossible widths, `ShapeError` for classes that do not fit.

    >>> import torch
    >>> CouplingConvNet(2, 6, width=16)(torch.randn(5, 2, 8, 8)).shape
    torch.Size([5, 6, 8, 8])
    """

    def __init__(self, inputs: int, outputs: int, width: int = 128, classes: int | None = None):
        super().__init__()
        if min(inputs, outputs) < 1 or width < 0 or (classes is not None and classes < 1):
            raise ConfigError(f"expected inputs, outputs and classes of at least 1, width of at least 0, got {inputs}, {outputs}, {classes} and {width}; "
                              "raise what is too small")  # fmt: skip
        self.inputs, self.outputs, self.classes = inputs, outputs, classes
        self.enter = nn.Conv2d(inputs, width, 3, padding=1) if width else None
        self.middle = nn.Linear(width, width) if width else None  # a 1x1 convolution where channels lie side by side
        self.leave = nn.Conv2d(width or inputs, outputs, 3, padding=1)
        self.bias = None if classes is None else ClassBias(classes, width or outputs)
        nn.init.zeros_(self.leave.weight)
        if self.leave.bias is not None:
            nn.init.zeros_(self.leave.bias)

    def forward(self, x: Float[Tensor, "n inputs h w"],
                condition: Float[Tensor, " n"] | None = None) -> Float[Tensor, "n outputs h w"]:  # fmt: skip
        """Evaluate the network."""
        bias = None if self.bias is None else self.bias(condition)
        if self.enter is None or self.middle is None:
            out = self.leave(x)
            return out if bias is None else out + bias[:, :, None, None]
        layers = (self.enter, self.middle, self.leave)
        weights = [p for layer in layers for p in (layer.weight, layer.bias) if p is not None]
        if torch.is_autocast_enabled(x.device.type):
            return _network(x, bias, *weights)[0]
        return _Network.apply(x, bias, *weights)[0]


def _network(x: Tensor, bias: Tensor | None, *weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The output, and both hidden layers as matrices with one row a pixel."""
    w1, b1, w2, b2, w3, b3 = weights
    h = functional.conv2d(x, w1, b1, padding=1)
    h = h if bias is None else h.add_(bias[:, :, None, None])
    # Of a matrix, a linear layer is no view, on which `relu_` would cost three copies.
    pixels = functional.relu_(h).permute(0, 2, 3, 1)
    first = pixels.flatten(0, 2)
    second = functional.relu_(functional.linear(first, w2, b2))
    return functional.conv2d(_as_images(second, pixels), w3, b3, padding=1), first, second


def _as_images(rows: Tensor, like: Tensor) -> Tensor:
    """`(n h w, c)` as `(n, c, h, w)`, for `like` `(n, h, w, c)`."""
    return rows.reshape(*like.shape[:3], rows.shape[1]).permute(0, 3, 1, 2)


class _Network(torch.autograd.Function):
    """`_network` with its first derivative by hand: it keeps two hidden layers and allocates two, where autograd has four of
    each, and the cost of touching fresh memory is a third of a training step. Further derivatives come from autograd."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, bias: Tensor | None, *weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return _network(x, bias, *weights)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.save_for_backward(*inputs, *output[1:])
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, out_bar: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        *inputs, first, second = ctx.saved_tensors
        if out_bar is None:
            return (None,) * len(inputs)
        if torch.is_grad_enabled():
            given = [p for p in inputs if p is not None]
            bars = iter(torch.func.vjp(_given_bias(inputs[1]), *given)[1](out_bar))
            return tuple(None if p is None else next(bars) for p in inputs)
        x, bias, w1, _, w2, _, w3, _ = inputs
        wanted = ctx.needs_input_grad
        shape = out_bar.permute(0, 2, 3, 1)
        bar, w3_bar, b3_bar = _conv_backward(out_bar, _as_images(second, shape), w3, [True, *wanted[6:8]])
        rows = _masked(bar.permute(0, 2, 3, 1).flatten(0, 2), second)
        w2_bar, b2_bar = rows.T @ first, rows.sum(0)
        rows = _masked(rows @ w2, first)
        bias_bar = None if bias is None else rows.reshape(len(x), -1, rows.shape[1]).sum(1)
        x_bar, w1_bar, b1_bar = _conv_backward(_as_images(rows, shape), x, w1, [wanted[0], *wanted[2:4]])
        return x_bar, bias_bar, w1_bar, b1_bar, w2_bar, b2_bar, w3_bar, b3_bar


def _masked(bar: Tensor, h: Tensor) -> Tensor:
    """`bar` where relu passed, in place: nobody else holds it."""
    return torch.ops.aten.threshold_backward.grad_input(bar, h, 0, grad_input=bar)


def _conv_backward(bar: Tensor, x: Tensor, w: Tensor, wanted: list[bool]) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients by image, weight and bias of a 3x3 convolution with its border of zeros."""
    return torch.ops.aten.convolution_backward(bar, x, w, [len(w)], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, wanted)


def _given_bias(bias: Tensor | None) -> Callable[..., Tensor]:
    return (lambda x, *w: _network(x, None, *w)[0]) if bias is None else (lambda x, b, *w: _network(x, b, *w)[0])
