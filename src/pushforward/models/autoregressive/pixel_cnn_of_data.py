"""`pixel_cnn`: a PixelCNN sized by the images that it is to be fitted to."""

from collections.abc import Sequence
from typing import Literal, get_args

from pushforward.core.errors import ConfigError, DataError
from pushforward.models.flows.columns import seeded
from pushforward.parts.data import Images
from pushforward.parts.distributions.outputs import (
    Bernoulli,
    Categorical,
    ColourLogisticMixture,
    LogisticMixture,
    Output,
)

from .pixel_cnn import Binarise, PixelCNN

Outputs = Literal["bernoulli", "softmax", "logistic_mixture"]


def pixel_cnn(data: Images | None = None, *, outputs: Outputs | None = None, width: int = 32, blocks: int = 5,
              kernel: int = 5, dropout: float = 0.0, components: int = 5, binarise: Binarise | None = None,
              event_shape: Sequence[int] | None = None, levels: int | None = None, classes: int | None = None,
              seed: int = 0) -> PixelCNN:  # fmt: skip
    """A gated PixelCNN of the images of `data`, given their labels where they have some, or of `event_shape` and `levels`.

    Args:
        data: images. Labels become the condition; `data.unlabelled()` takes them away.
        outputs: "bernoulli" for black and white, "softmax" over the levels, or "logistic_mixture" of `components`; by default the first
            for 2 levels, the second up to 32, the third beyond. With a softmax colours see the ones before in the network; the
            mixture couples three of them linearly, as PixelCNN++ does.
        width, blocks, kernel, dropout: of the network, see `PixelStack`; the width is rounded up to a multiple of the channels.
        binarise: make greys black and white, see `PixelCNN`; outputs are then "bernoulli".
        classes: of the condition, without data.
        seed: of the first weights.

    Raises `ConfigError` for sizes that are missing or do not fit, and `DataError` for data that are no images.

    >>> model = pixel_cnn(event_shape=(1, 8, 8), levels=17, width=8, blocks=1)
    >>> type(model.output).__name__, model.sample(2).shape
    ('Categorical', torch.Size([2, 1, 8, 8]))
    """
    if data is not None:
        if not isinstance(data, Images):
            raise DataError(f"expected Images, got {type(data).__name__}; load a folder of images or use Images.of")
        if event_shape is not None or levels is not None or classes not in (None, 0, data.classes):
            raise ConfigError(
                "expected shape, levels and classes to come from the data, got them beside it; leave them out"
            )
        event_shape, levels = data.shape, data.levels
        classes = data.classes if classes is None else classes
    if event_shape is None or levels is None:
        raise ConfigError("expected data, or event_shape= and levels=, got neither; give images")
    channels = event_shape[0]
    seen = 2 if binarise is not None else levels
    outputs = outputs or ("bernoulli" if seen == 2 else "softmax" if seen <= 32 else "logistic_mixture")
    if outputs not in get_args(Outputs) or (seen != 2 and outputs == "bernoulli"):
        raise ConfigError(f"expected outputs among {', '.join(get_args(Outputs))}, bernoulli for 2 levels alone, got {outputs!r} for "
                          f"{seen} levels; binarise the images, or choose another")  # fmt: skip
    output: Output
    if outputs == "logistic_mixture":
        output = ColourLogisticMixture(components, seen) if channels == 3 else LogisticMixture(components, seen)
    else:
        output = Bernoulli() if outputs == "bernoulli" else Categorical(seen)
    width = -(-width // channels) * channels if width > 0 else width
    with seeded(seed):
        return PixelCNN(event_shape, levels, output, width, blocks, kernel, dropout, classes or 0, binarise)
