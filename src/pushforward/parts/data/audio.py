"""`Audio`: clips of sound of unequal lengths, perhaps with labels. They stay 16-bit numbers and become floats a batch at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import gcd
from typing import Any

import numpy as np
import torch
from jaxtyping import Int16, Int64
from torch import Tensor

from pushforward.core.data import Batch
from pushforward.core.errors import ConfigError, DataError

from .split import split_rows

FULL = 32768  # what 16-bit numbers are divided by, so that amplitudes are from -1 to 1


@dataclass(frozen=True, eq=False, repr=False)
class Audio:
    """`waves` `(n, samples)`, of which the first `lengths` `(n,)` are real, at `rate` samples a second; perhaps `labels` `(n,)`.

    Build one with `load` or `Audio.of`. Labels, numbers of `class_names`, become the condition of every batch; `unlabelled()`
    takes them away. `notes` say what was changed when the clips were read.

    >>> clips = Audio.of([[0.0, 0.5, -0.5], [0.25]], rate=8000, labels=["yes", "no"])
    >>> clips
    Audio(2 clips at 8,000 Hz, 0.0 s in all, 2 classes)
    >>> clips.take(torch.tensor([1])).x
    tensor([[0.2500,    nan,    nan]])
    """

    waves: Int16[Tensor, "n samples"]
    lengths: Int64[Tensor, " n"]
    rate: int
    labels: Int64[Tensor, " n"] | None = None
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rate < 1:
            raise DataError(
                f"expected a rate of at least 1 sample a second, got {self.rate}; 8000 is that of a telephone"
            )
        if not len(self.waves) or not 1 <= int(self.lengths.min()) <= int(self.lengths.max()) <= self.waves.shape[1]:
            raise DataError(
                "expected clips of at least one sample each, got none or an empty one; leave empty clips out"
            )

    @classmethod
    def of(cls, clips: Sequence[Any], *, rate: int, labels: Sequence[Any] | None = None,
           notes: Sequence[str] = (), where: str = "the clips") -> "Audio":  # fmt: skip
        """Make clips of 16-bit whole numbers, or of floats from -1 to 1; labels are words or whole numbers.

        Raises `DataError` for clips that are empty or no row of numbers, and for numbers out of range.
        """
        rows = [_sixteen_bits(np.asarray(clip), f"{where}, number {i + 1}") for i, clip in enumerate(clips)]
        if not rows:
            raise DataError(f"expected at least one clip in {where}, got none")
        waves = np.zeros((len(rows), max(map(len, rows))), np.int16)
        for i, row in enumerate(rows):
            waves[i, : len(row)] = row
        numbers, names = _numbered(labels, len(rows), where)
        return cls(
            torch.from_numpy(waves), torch.tensor([len(row) for row in rows]), int(rate), numbers, names, tuple(notes)
        )

    def __len__(self) -> int:
        return len(self.waves)

    def __repr__(self) -> str:
        classes = f", {self.classes} classes" if self.classes else ""
        return f"Audio({len(self):,} clips at {self.rate:,} Hz, {float(self.lengths.sum()) / self.rate:,.1f} s in all{classes})"

    @property
    def classes(self) -> int:
        """How many classes there are, 0 without labels."""
        return 0 if self.labels is None else len(self.class_names)

    def take(self, index: Tensor | list[int]) -> Batch:
        """The batch of these clips: x as amplitudes from -1 to 1, NaN after the end of a clip; condition the labels or None."""
        x, ends = self.waves[index].float() / FULL, self.lengths[index]
        after = torch.arange(x.shape[1], device=x.device) >= ends[:, None]
        return Batch(x.masked_fill(after, torch.nan), None if self.labels is None else self.labels[index])

    def clip(self, row: int) -> Tensor:
        """One clip, `(samples,)`, as amplitudes from -1 to 1."""
        return self.waves[row, : int(self.lengths[row])].float() / FULL

    def to(self, device: torch.device | str) -> "Audio":
        """Move to a device, as 16-bit numbers."""
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, waves=self.waves.to(device), lengths=self.lengths.to(device), labels=labels)

    def split(self, fractions: Sequence[float], seed: int = 0) -> "tuple[Audio, ...]":
        """Divide at random, each class in proportion; the same seed gives the same clips on every machine."""
        parts = split_rows(len(self), fractions, seed, self.labels)
        return tuple(self._rows(part.to(self.waves.device)) for part in parts)

    def unlabelled(self) -> "Audio":
        """The same clips without labels, for models of all classes at once."""
        return replace(self, labels=None, class_names=())

    def resampled(self, rate: int) -> "Audio":
        """The same clips at another rate, by a polyphase filter that lets no frequency alias."""
        if rate == self.rate:
            return self
        if rate < 1:
            raise ConfigError(f"expected a rate of at least 1 sample a second, got {rate}; for example 8000")
        rows = [resample(self.clip(i).numpy(), self.rate, rate) for i in range(len(self))]
        made = Audio.of(rows, rate=rate)
        return replace(made, labels=self.labels, class_names=self.class_names, notes=self.notes)

    def cut(self, samples: int) -> "Audio":
        """Every clip in pieces of `samples`; a rest that is shorter is a piece too."""
        if samples < 1:
            raise ConfigError(f"expected pieces of at least 1 sample, got {samples}")
        at = [(i, a) for i, end in enumerate(self.lengths.tolist()) for a in range(0, end, samples)]
        rows = [self.waves[i, a : min(a + samples, int(self.lengths[i]))].numpy() for i, a in at]
        labels = None if self.labels is None else self.labels[torch.tensor([i for i, _ in at])]
        return replace(Audio.of(rows, rate=self.rate), labels=labels, class_names=self.class_names, notes=self.notes)

    def describe(self) -> dict[str, Any]:
        """What a saved model should know of its data, as plain JSON."""
        return {"kind": "audio", "rate": self.rate, "classes": self.classes, "class_names": list(self.class_names)}

    def require_fittable(self, clips: int = 10) -> None:
        """Raise `DataError` if nothing can be fitted: fewer than `clips` clips, or silence alone."""
        if len(self) < clips:
            raise DataError(f"expected at least {clips} clips to fit to, got {len(self)}; add clips, or cut long ones")
        if not bool(self.waves.any()):
            raise DataError(f"expected clips with sound, got {len(self)} of silence; check how they were recorded")

    def _rows(self, index: Tensor) -> "Audio":
        labels = None if self.labels is None else self.labels[index]
        return replace(self, waves=self.waves[index], lengths=self.lengths[index], labels=labels)


def resample(x: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Amplitudes from -1 to 1 at another rate; what the filter overshoots is cut off."""
    from scipy.signal import resample_poly

    common = gcd(rate, wanted)
    return np.clip(resample_poly(x.astype(np.float64), wanted // common, rate // common), -1, 1)


def _sixteen_bits(clip: np.ndarray, where: str) -> np.ndarray:
    if clip.ndim != 1 or not clip.size or clip.dtype.kind not in "iuf":
        raise DataError(f"expected a row of at least one number for each clip in {where}, got shape {clip.shape} and dtype "
                        f"{clip.dtype}; average the channels and leave empty clips out")  # fmt: skip
    if clip.dtype.kind == "f":
        if not np.abs(clip).max() <= 1:  # NaN fails too
            raise DataError(
                f"expected amplitudes from -1 to 1 in {where}, got up to {np.abs(clip).max():g}; divide by the largest"
            )
        return np.clip(np.rint(clip.astype(np.float64) * FULL), -FULL, FULL - 1).astype(np.int16)
    if clip.min() < -FULL or clip.max() >= FULL:
        raise DataError(f"expected 16-bit numbers in {where}, got {clip.min()} to {clip.max()}; rescale them")
    return clip.astype(np.int16)


def _numbered(labels: Sequence[Any] | None, count: int, where: str) -> tuple[Tensor | None, tuple[str, ...]]:
    """Labels as numbers from 0, and the names of the classes in order."""
    if labels is None:
        return None, ()
    words = [str(label) for label in labels]
    if len(words) != count:
        raise DataError(f"expected a label for each of {count} clips of {where}, got {len(words)}; pair them up")
    names, numbers = np.unique(np.array(words), return_inverse=True)
    return torch.from_numpy(numbers.astype(np.int64)), tuple(names.tolist())
