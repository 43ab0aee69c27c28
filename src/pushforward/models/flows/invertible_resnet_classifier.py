"""Invertible residual network that classifies: nothing of an image is lost before the last layer.

h -> h + g(h) with Lip(g) < 1, squeezes between, then one linear layer. Behrmann et al. 2019, section 4.1,
https://arxiv.org/abs/1811.00995: bounding g costs little accuracy, and the features can be turned back into the image.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int, Num
from torch import Size, Tensor, nn
from torch.nn import functional

from pushforward.core.data import Batch
from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.objective import Loss
from pushforward.core.random import RowGenerator
from pushforward.core.registry import dtype_of, register
from pushforward.core.shapes import as_size
from pushforward.core.solved import Solved
from pushforward.parts.data import Images
from pushforward.parts.nn import ContractiveConv
from pushforward.parts.numerics import fixed_point

from .columns import seeded
from .pixels import Pixels

if TYPE_CHECKING:
    from pushforward.core.objective import Objective


@register
class InvertibleResNetClassifier(nn.Module):
    """p(class | image) for pixels 0 .. `levels` - 1; `features` and `invert` are inverse to each other.

    `scales` times: a squeeze of 2 x 2 pixels to channels, `blocks` residual blocks of `width` channels. After the first
    squeeze `padding` channels of zeros are added, which give the network room. A `coefficient` of None leaves the blocks
    unbounded: an ordinary residual network of the same size, which cannot be inverted.

    Raises `ConfigError` for sides that cannot be halved so often, numbers that are too small, or a coefficient of 1 or
    more; `ShapeError` for images or features of another shape.

    >>> model = InvertibleResNetClassifier((1, 8, 8), classes=10, levels=17, blocks=1, width=8)
    >>> x = torch.randint(17, (5, 1, 8, 8))
    >>> model.predict(x).shape, model.features(x).shape
    (torch.Size([5]), torch.Size([5, 48, 2, 2]))
    >>> bool((model.invert(model.features(x)) - x).abs().max() < 1e-3)
    True
    """

    def __init__(self, event_shape: Sequence[int], classes: int, levels: int = 256, *, scales: int = 2, blocks: int = 3,
                 width: int = 32, padding: int = 8, coefficient: float | None = 0.9, activation: str = "lipswish"):  # fmt: skip
        super().__init__()
        shape = as_size(event_shape)
        if len(shape) != 3 or min(scales, blocks, width, classes, levels - 1) < 1 or padding < 0 or any(side % 2**scales for side in shape[1:]):  # fmt: skip
            raise ConfigError(f"expected images (channels, height, width) with sides that can be halved {scales} times, and at least 1 scale, block, "
                              f"channel and class, got {tuple(shape)}, {scales}, {blocks}, {width} and {classes}; use fewer scales")  # fmt: skip
        if coefficient is not None and not 0 < coefficient < 1:
            raise ConfigError(f"expected a coefficient in (0, 1), or None for an ordinary network, got {coefficient:g}; 0.9 is usual")  # fmt: skip
        self.event_shape, self.classes, self.levels = shape, classes, levels
        self.padding, self.coefficient = padding, coefficient
        self.stages = nn.ModuleList()
        channels, height, breadth = shape
        for scale in range(scales):
            channels, height, breadth = 4 * channels + padding * (scale == 0), height // 2, breadth // 2
            inner = (channels, height, breadth)
            self.stages.append(nn.ModuleList(
                ContractiveConv(inner, (width, width), (3, 1, 3), coefficient, activation) for _ in range(blocks)))  # fmt: skip
        self.features_shape = Size((channels, height, breadth))
        self.read_out = nn.Linear(self.features_shape.numel(), classes)
        self.solved: Solved | None = None

    @property
    def objective(self) -> "Objective":
        """The cross-entropy of the labels, which are the batch's condition."""
        return cross_entropy

    def features(self, x: Num[Tensor, "n c h w"]) -> Float[Tensor, "n k a b"]:
        """What the last layer reads: an invertible function of the images."""
        if x.shape[1:] != self.event_shape:
            raise ShapeError(f"expected images of shape (n, {', '.join(map(str, self.event_shape))}), got {tuple(x.shape)}; "
                             "build the classifier for this size")  # fmt: skip
        h = x.to(dtype_of(self)) * (2 / (self.levels - 1)) - 1
        for number, stage in enumerate(self._blocks()):
            h = functional.pixel_unshuffle(h, 2)
            if number == 0:
                h = functional.pad(h, (0, 0, 0, 0, 0, self.padding))
            for g in stage:
                h = h + g(h)
        return h

    def invert(self, features: Float[Tensor, "n k a b"]) -> Float[Tensor, "n c h w"]:
        """The images that have these features, by a fixed point for each block; `solved` is that of the last one undone.

        Features of no image have some too: what the added channels then hold is left out. Raises `ConfigError` for an ordinary network.
        """
        if self.coefficient is None:
            raise ConfigError("expected a network with a coefficient below 1, got one without; it cannot be inverted")
        if features.shape[1:] != self.features_shape:
            raise ShapeError(f"expected features of shape (n, {', '.join(map(str, self.features_shape))}), got {tuple(features.shape)}; "
                             "take them from features(x)")  # fmt: skip
        h = features
        for number, stage in reversed(list(enumerate(self._blocks()))):
            for block in reversed(stage):
                h = self._undone(block, h)
            if number == 0:
                h = h[:, : 4 * self.event_shape[0]]
            h = functional.pixel_shuffle(h, 2)
        return (h + 1) * ((self.levels - 1) / 2)

    def forward(self, x: Num[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Unnormalised log probabilities of the classes."""
        return self.read_out(self.features(x).flatten(1))

    def log_probs(self, x: Num[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """log p(class | image) of every class."""
        return functional.log_softmax(self(x), 1)

    @torch.no_grad()
    def predict(self, x: Num[Tensor, "n c h w"]) -> Int[Tensor, " n"]:
        """The most likely class of every image."""
        return self(x).argmax(1)

    def _blocks(self) -> list[list[ContractiveConv]]:
        return [[g for g in stage if isinstance(g, ContractiveConv)] for stage in self.stages if isinstance(stage, nn.ModuleList)]  # fmt: skip

    def _undone(self, block: ContractiveConv, h: Tensor) -> Tensor:
        g = block.prepare()
        before, self.solved = fixed_point(lambda z: h - g(z), h)
        return before


def cross_entropy(model: InvertibleResNetClassifier, batch: Batch, generator: RowGenerator) -> Loss:
    """-E log p(label | image)."""
    if batch.condition is None:
        raise ConfigError("expected images with labels, got none; give labels to Images.of")
    logits = model(batch.x)
    accuracy = (logits.argmax(1) == batch.condition).double().mean()
    return Loss(functional.cross_entropy(logits, batch.condition), {"accuracy": accuracy})


def invertible_resnet_classifier(
    data: Images | None = None,
    *,
    event_shape: Sequence[int] | None = None,
    classes: int | None = None,
    levels: int | None = None,
    scales: int = 2,
    blocks: int = 3,
    width: int = 32,
    padding: int = 8,
    coefficient: float | None = 0.9,
    seed: int = 0,
) -> InvertibleResNetClassifier:
    """An `InvertibleResNetClassifier` of labelled images, or of `event_shape` with pixels 0 .. `levels` - 1 and so many `classes`.

    Raises `ConfigError` for data and event_shape both or neither, or images without labels.

    >>> invertible_resnet_classifier(event_shape=(1, 8, 8), classes=3).log_probs(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 3])
    """
    pixels = Pixels.of(data, event_shape, levels, classes)
    if pixels.classes is None:
        raise ConfigError("expected images with labels, or classes=, got neither; give labels to Images.of")
    with seeded(seed):
        return InvertibleResNetClassifier(pixels.shape, pixels.classes, pixels.levels, scales=scales, blocks=blocks,
                                          width=width, padding=padding, coefficient=coefficient)  # fmt: skip
