"""The residual convolutional network of RealNVP's couplings (Dinh et al. 2017, https://arxiv.org/abs/1605.08803)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.registry import register

from .class_bias import ClassBias


@register
class CouplingResNet(nn.Module):
    """conv3x3 to `width`, `blocks` residual blocks h + conv3x3(relu(conv3x3(relu(h)))), 1x1 out; x `(n, inputs, height, width)`.

    The paper normalises over the batch; this one begins every block at the identity instead (its second convolution at
    zero), so that rows do not see each other. The output begins at zero too. `classes` are as in `CouplingConvNet`;
    with `guide` channels the condition is an image of the same sides, `(n, guide, height, width)`, seen beside x.

    Raises `ConfigError` for a width or blocks below 1, `ShapeError` for classes that do not fit.

    >>> import torch
    >>> CouplingResNet(2, 6, width=16)(torch.randn(5, 2, 8, 8)).shape
    torch.Size([5, 6, 8, 8])
    """

    def __init__(self, inputs: int, outputs: int, width: int = 32, blocks: int = 2, classes: int | None = None,
                 guide: int = 0):  # fmt: skip
        super().__init__()
        if guide < 0 or (guide and classes is not None):
            raise ConfigError(
                f"expected a guide of at least 0 channels, and classes or a guide, got {guide} and classes {classes}"
            )
        if min(inputs, outputs, width, blocks) < 1 or (classes is not None and classes < 1):
            raise ConfigError(f"expected inputs, outputs, width, blocks and classes of at least 1, got {inputs}, {outputs}, {width}, {blocks} "
                              f"and {classes}; raise what is too small")  # fmt: skip
        self.inputs, self.outputs, self.classes, self.guide = inputs, outputs, classes, guide
        self.enter = nn.Conv2d(inputs + guide, width, 3, padding=1)
        self.one = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(blocks))
        self.two = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(blocks))
        self.leave = nn.Linear(width, outputs)
        self.bias = None if classes is None else ClassBias(classes, width)
        for parameter in (*self.two.parameters(), *self.leave.parameters()):
            nn.init.zeros_(parameter)

    def forward(self, x: Float[Tensor, "n inputs h w"],
                condition: Float[Tensor, "n *guided"] | None = None) -> Float[Tensor, "n outputs h w"]:  # fmt: skip
        """Evaluate the network."""
        if self.guide:
            if condition is None or condition.shape != (len(x), self.guide, *x.shape[2:]):
                got = "none" if condition is None else f"shape {tuple(condition.shape)}"
                raise ShapeError(
                    f"expected a guide of shape {(len(x), self.guide, *x.shape[2:])}, got {got}; pass condition=images"
                )
            x = torch.cat([x, condition], 1)
        h = self.enter(x)
        if self.bias is not None:
            h.add_(self.bias(condition)[:, :, None, None])
        for one, two in zip(self.one, self.two):
            h = h + two(functional.relu_(one(functional.relu(h))))
        pixels = functional.relu_(h).permute(0, 2, 3, 1)
        return self.leave(pixels.flatten(0, 2)).reshape(*pixels.shape[:3], self.outputs).permute(0, 3, 1, 2)
