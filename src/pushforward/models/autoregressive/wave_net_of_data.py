"""`wavenet`: a WaveNet sized by the clips that it is to be fitted to."""

from typing import Literal

from pushforward.core.errors import ConfigError, DataError
from pushforward.models.flows.columns import seeded
from pushforward.parts.data.audio import Audio
from pushforward.parts.distributions.outputs import Categorical, LogisticMixture

from .amplitude_levels import AmplitudeLevels
from .wave_net import WaveNet

COMPONENTS, LOWEST = 10, -12.0  # of the mixture over 16-bit levels, and the log scale of a third of a level


def wavenet(data: Audio | None = None, *, outputs: Literal["softmax", "logistic_mixture"] = "softmax", width: int = 32,
            skip: int = 64, layers: int = 9, stacks: int = 2, window: int = 2048, length: int | None = None, classes: int | None = None,
            features: int = 0, hop: int = 1, seed: int = 0) -> WaveNet:  # fmt: skip
    """A WaveNet of the clips of `data`, given their labels where they have some, or of `length` samples.

    Args:
        data: clips of sound. Labels become the condition; `data.unlabelled()` takes them away.
        outputs: "softmax" over 256 mu-law levels, or "logistic_mixture" over the 65,536 levels of 16-bit numbers.
        width, skip: of the hidden states and of the sum of the skip connections.
        layers, stacks: dilations 1, 2, 4, ..., 2^(layers - 1), repeated `stacks` times.
        window: samples of each clip that a step of training scores.
        length: samples of a clip that is drawn; the median of the data where nothing is said.
        classes: of the condition, without data; `features` and `hop` are those of a local condition, see `WaveNet`.
        seed: of the first weights.

    Raises `ConfigError` for neither or both of data and length without data, and `DataError` for data that are no clips.

    >>> wavenet(length=400, layers=4, stacks=1).receptive_field
    16
    """
    if data is None and length is None:
        raise ConfigError("expected data or length=, one of the two, got neither; give clips of sound")
    if data is not None and not isinstance(data, Audio):
        raise DataError(f"expected clips of sound (Audio), got {type(data).__name__}; load a folder of .wav files")
    if outputs not in ("softmax", "logistic_mixture") or layers < 1 or stacks < 1:
        raise ConfigError(f"expected outputs softmax or logistic_mixture, and layers and stacks of at least 1, got {outputs!r}, "
                          f"{layers} and {stacks}")  # fmt: skip
    if data is not None:
        if features or classes not in (None, 0, data.classes):
            raise ConfigError(f"expected the {data.classes} classes of the data, got classes={classes} and features={features}; "
                              "leave them out")  # fmt: skip
        length = int(data.lengths.median()) if length is None else length
        classes = data.classes if classes is None else classes
    levels = AmplitudeLevels() if outputs == "softmax" else AmplitudeLevels(65536, 0.0)
    output = Categorical(256) if outputs == "softmax" else LogisticMixture(COMPONENTS, 65536, LOWEST)
    dilations = [2**i for i in range(layers)] * stacks
    with seeded(seed):
        return WaveNet(int(length or 0), levels, output, width, skip, dilations, window, classes or 0, features, hop)
