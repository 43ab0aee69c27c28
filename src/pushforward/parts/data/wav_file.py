"""Sound files: a .wav, or a folder of them, one class or one sub-folder a class."""

import io
import os
import warnings
import wave
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from pushforward.core.errors import ConfigError, DataError
from pushforward.core.files import replacing_folder

from .audio import FULL, Audio, resample
from .files import did_you_mean, listed

PARTS = {"train", "training", "valid", "val", "validation", "test", "testing"}
# Of names such as 7_jackson_32.wav, which parts are labels.
NAMED = {"digit": (0,), "speaker": (1,), "digit_speaker": (0, 1)}


def read_audio(path: Path, *, part: str | None = None, label: str | None = None) -> Audio:
    """Read a .wav file, or every .wav in a folder, in order of name; sub-folders are classes, in order of name too.

    Channels are averaged, and clips of other rates resampled to the most common one; `notes` of the result say so. `part`
    chooses a sub-folder such as train. `label` takes classes from names such as 7_jackson_32.wav: digit, speaker or
    digit_speaker. Raises `DataError` for an empty folder, a file that is no sound, or a clip without samples.
    """
    if label is not None and label not in NAMED:
        raise ConfigError(
            f"expected label {', '.join(NAMED)} for files of sound, got {label!r}{did_you_mean(label, NAMED)}"
        )
    paths, classes = _found(path, part)
    read = [_read(own) for own in paths]
    rates = Counter(rate for _, rate, _ in read)
    rate = max(rates, key=lambda own: (rates[own], own))
    stereo, other = sum(channels > 1 for *_, channels in read), len(read) - rates[rate]
    notes = [f"{stereo} of {len(read)} clips had several channels, which were averaged"] if stereo else []
    notes += [f"{other} of {len(read)} clips were resampled to {rate} Hz"] if other else []
    clips = [x if own == rate else resample(x, own, rate) for x, own, _ in read]
    if label is not None:
        classes = [_label(own, label) for own in paths]
    return Audio.of(clips, rate=rate, labels=classes, notes=notes, where=str(path))


def has_sound(folder: Path) -> bool:
    """Whether a folder, or a folder in it, holds .wav files."""
    return any(next(folder.glob(f"{'*/' * depth}*.[wW][aA][vV]"), None) is not None for depth in range(3))


def wav_bytes(x: Tensor, rate: int) -> bytes:
    """A 16-bit .wav of one clip `(samples,)` with amplitudes from -1 to 1; NaN ends it."""
    real = x[~x.isnan()].detach().cpu().double()
    if x.ndim != 1 or not len(real) or float(real.abs().max()) > 1:
        raise DataError(
            f"expected one clip (samples,) with amplitudes from -1 to 1, got shape {tuple(x.shape)}; clamp it"
        )
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((real * FULL).round().clamp(-FULL, FULL - 1).to(torch.int16).numpy().astype("<i2").tobytes())
    return buffer.getvalue()


def write_wavs(folder: str | os.PathLike[str], x: Tensor, rate: int, names: Sequence[str] | None = None) -> None:
    """Write clips `(n, samples)` as 000.wav, 001.wav, ..., or by `names`; all of them, or no folder at all."""
    digits = max(3, len(str(len(x) - 1)))
    with replacing_folder(folder) as beside:
        for i, clip in enumerate(x):
            name = f"{i:0{digits}d}" if names is None else names[i]
            (beside / f"{name}.wav").write_bytes(wav_bytes(clip, rate))


def _found(path: Path, part: str | None) -> tuple[list[Path], list[str] | None]:
    """The files, and the class of each where sub-folders are classes."""
    if path.is_file():
        if part is not None:
            raise ConfigError(f"expected no part for the one file '{path}', got part={part!r}; leave it out")
        return [path], None
    subs = sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if part is None and "train" in subs and set(subs) <= PARTS:
        part = "train"
    if part is not None:
        if part not in subs:
            raise DataError(f"expected part to name a sub-folder of '{path}', got {part!r}"
                            f"{did_you_mean(part, subs) or '; there is ' + (listed(subs) or 'none')}")  # fmt: skip
        path = path / part
    loose = _wavs(path)
    folders = sorted(sub for sub in path.iterdir() if sub.is_dir() and not sub.name.startswith(".") and _wavs(sub))
    if loose and folders:
        raise DataError(f"expected .wav files in '{path}' or in its sub-folders, one a class, got both: {loose[0].name} and "
                        f"{folders[0].name}/; move one or the other away")  # fmt: skip
    if loose:
        return loose, None
    if not folders:
        raise DataError(f"expected .wav files in the folder '{path}' or its sub-folders, got none; check the path")
    pairs = [(file, folder.name) for folder in folders for file in _wavs(folder)]
    return [file for file, _ in pairs], [name for _, name in pairs]


def _wavs(folder: Path) -> list[Path]:
    return sorted(
        own
        for own in folder.iterdir()
        if own.suffix.lower() == ".wav" and own.is_file() and not own.name.startswith(".")
    )


def _read(path: Path) -> tuple[np.ndarray, int, int]:
    """Amplitudes from -1 to 1 of one channel, the rate, and how many channels there were."""
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # of chunks that are no sound, such as a title
            rate, found = cast("tuple[int, np.ndarray]", wavfile.read(path))
    except (ValueError, EOFError, OSError, UnboundLocalError, ZeroDivisionError) as error:
        raise DataError(f"expected sound in '{path}', got a file that cannot be read as .wav ({error}); convert or remove it") from None  # fmt: skip
    channels = 1 if found.ndim == 1 else found.shape[1]
    if not found.size:
        raise DataError(f"expected at least one sample in '{path}', got none; remove it")
    x = found.astype(np.float64)
    if found.dtype == np.uint8:
        x = (x - 128) / 128
    elif found.dtype.kind == "i":
        x = x / -float(np.iinfo(found.dtype).min)
    if not np.isfinite(x).all() or np.abs(x).max() > 1:
        raise DataError(
            f"expected amplitudes from -1 to 1 in '{path}', got NaN or more; lower the volume and save it again"
        )
    return (x if channels == 1 else x.mean(1)), int(rate), channels


def _label(path: Path, label: str) -> str:
    pieces = path.stem.split("_")
    if len(pieces) < 3:
        raise DataError(f"expected names such as 7_jackson_32.wav to take label={label} from, got '{path.name}'; rename it, or put "
                        "each class into a folder of its own")  # fmt: skip
    return "_".join(pieces[i] for i in NAMED[label])
