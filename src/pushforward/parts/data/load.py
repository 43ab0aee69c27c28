"""`load`: one door for data by name or path."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pushforward.core.errors import ConfigError, DataError

from .array_file import read_array_file
from .audio import Audio
from .collections import SETS, Choice, read_named
from .csv_file import read_csv
from .files import as_names, did_you_mean, existing_path, listed
from .function_sets import FunctionSet
from .functions_csv import read_functions_csv
from .image_folder import read_image_folder
from .images import Images
from .parquet_file import read_parquet
from .series import Series
from .series_csv import SeriesColumns, read_series_csv
from .table import Table
from .ts_file import read_ts
from .wav_file import has_sound, read_audio

_TEXT = (".csv", ".tsv", ".txt", ".dat", ".data")
_ARRAYS = (".npz", ".npy")
_PARQUET = (".parquet", ".pq")


def load(source: str | os.PathLike[str], *, part: str | None = None, resize: int | Sequence[int] | None = None,
         mode: str | None = None, label: str | None = None, drop: str | Sequence[str] = (), given: str | Sequence[str] = (),
         header: bool | None = None, time: str | None = None, series: str | None = None, channel: str | None = None,
         value: str | None = None) -> Table | Images | FunctionSet | Series | Audio:  # fmt: skip
    """Load a `Table`, `Images`, `Series` or `Audio` by name (see `names`) or path: .csv, .tsv, .parquet, .npz, .npy, .ts, .wav, a
    folder of pictures or of .wav files.

    A name wins over a file of that name; write './digits' for the file. Options that do not apply are refused.

    Args:
        source: a name, or a path. Delimiter, header and kinds of columns are inferred.
        part: "train" (where nothing is said), "valid" or "test" of a divided set; of an .npz also the name of an array.
        resize: (height, width) of images, or one number for both; of sound, one number: the samples a second to resample to.
        mode: "L" (grey) or "RGB".
        label: the array of an .npz file, or the column of a file of series, that holds the labels; digit, speaker or digit_speaker of
            files of sound that are named as 7_jackson_32.wav.
        drop: columns to leave out, as a list or with commas between them; "labels" for images without labels.
        given: columns to condition on; in a file of functions (see `series`) the x of the points.
        header: whether a text file begins with names, where that is judged wrongly.
        time: the column of times, which makes a text file a `Series`: its other columns are channels, and empty cells were not
            observed. Times are numbers or dates such as 2020-01, 2020-01-31 or 2020-01-31 18:30 (see `Series.time_unit`).
        series: the column that tells many series of one file apart; without `time` but with `given`, many functions: each row is a point
            of the function that this column names, its x are the given columns, and its y the others.
        channel, value: the columns that name a channel and hold its number, where channels are below one another.

    Raises:
        DataError: the file cannot be used as it is; the sentence says where and what to do.
        ConfigError: an option that does not exist for this source.

    >>> load("digits")
    Images(1797 of 1 x 8 x 8, 17 levels, 10 classes)
    >>> load("iris", given="species").condition_names
    ('species',)
    """
    drop, given = as_names(drop), as_names(given)
    size = _size(resize)
    name = str(source).lower().replace("-", "_").replace(" ", "_")
    if name in SETS:
        columns = None
        _refuse(source, header=header, time=time, series=series, channel=channel, value=value)
        _refuse(source, label=None if SETS[name].labels else label)
        found = read_named(name, Choice(part, label, drop))
    else:
        if given and series is not None and time is None and name.endswith(_TEXT):
            _refuse(source, part=part, resize=resize, mode=mode, label=label, channel=channel, value=value)
            path = existing_path(Path(source).expanduser())
            return read_functions_csv(path, series, given, drop=drop, header=header)
        columns = _series_columns(source, time, series, channel, value, label)
        found = _read_path(Path(source).expanduser(), str(source), part, size, mode, label, drop, header, columns)
    if isinstance(found, Table):
        _refuse(source, resize=resize, mode=mode)
        return found.given(*given)
    _refuse(source, given=given or None, header=header)
    if isinstance(found, Audio):
        _refuse(source, mode=mode)
        return _sound(found, size, drop)
    if isinstance(found, FunctionSet | Series):
        _refuse(source, resize=resize, mode=mode)
        if not isinstance(found, Series) or columns is None:
            _refuse(source, drop=drop or None)
        return found
    if other := [name for name in drop if name != "labels"]:
        raise ConfigError(f"expected only 'labels' to leave out of images, got {listed(other)}; correct drop")
    found = found.unlabelled() if drop else found
    found = found if mode is None else found.in_mode(mode)
    return found if size is None or tuple(found.shape[1:]) == size else found.resized(*size)


def _sound(found: Audio, size: tuple[int, int] | None, drop: Sequence[str]) -> Audio:
    if (size is not None and size[0] != size[1]) or [name for name in drop if name != "labels"]:
        raise ConfigError(
            f"expected one rate as resize, and only 'labels' to leave out of sound, got {size} and {list(drop)}"
        )
    found = found.unlabelled() if drop else found
    return found if size is None else found.resampled(size[0])


def _read_path(path: Path, source: str, part: str | None, size: tuple[int, int] | None, mode: str | None, label: str | None,
               drop: Sequence[str], header: bool | None, columns: SeriesColumns | None) -> Table | Images | Series | Audio:  # fmt: skip
    suffix = path.suffix.lower()
    known = (*_TEXT, *_ARRAYS, *_PARQUET, ".ts", ".wav")
    if not path.exists() and suffix not in known and len(path.parts) == 1:
        nearby = (entry.name for entry in Path().iterdir())
        hint = did_you_mean(source, (*SETS, *nearby)) or "; pushforward.data.names() lists the names"
        raise ConfigError(f"expected the name of a data set or a path, got {source!r}{hint}")
    existing_path(path)
    if suffix == ".wav" or (path.is_dir() and has_sound(path)):
        return _reading(path, lambda: read_audio(path, part=part, label=label))
    if path.is_dir():
        _refuse(source, label=label)
        return _reading(path, lambda: read_image_folder(path, part=part, resize=size, mode=mode))
    if suffix not in known:
        raise DataError(
            f"expected a file ending in {', '.join(known)} or a folder of pictures or sound, got '{path}'; convert it to one of them"
        )
    if columns is not None:
        if suffix not in _TEXT:
            raise ConfigError(f"expected a text file such as .csv with a column of times, got '{path}' with time={columns.time!r}; "
                              "export it as csv, or leave time out")  # fmt: skip
        _refuse(source, part=part)
        return _reading(path, lambda: read_series_csv(path, columns, drop=drop, header=header))
    if suffix == ".ts":
        _refuse(source, part=part, label=label, header=header)
        return _reading(path, lambda: read_ts([path]))
    if suffix in _ARRAYS:
        return _reading(path, lambda: read_array_file(path, part=part, label=label, drop=drop))
    _refuse(source, part=part, label=label)
    if suffix in _PARQUET:
        _refuse(source, header=header)
        return _reading(path, lambda: read_parquet(path, drop=drop))
    return _reading(path, lambda: read_csv(path, drop=drop, header=header))


def _series_columns(source: object, time: str | None, series: str | None, channel: str | None, value: str | None,
                    label: str | None) -> SeriesColumns | None:  # fmt: skip
    if time is None:
        given = {"series": series, "channel": channel, "value": value}
        if any(given.values()):
            names = listed([name for name, own in given.items() if own])
            raise ConfigError(f"expected time beside {names}, the column of the times of '{source}', got none; add time='NAME' "
                              "(on the command line: --set time=NAME)")  # fmt: skip
        return None
    return SeriesColumns(time, series, channel, value, label)


def _reading(path: Path, read: Callable[[], Table | Images | Series | Audio]) -> Table | Images | Series | Audio:
    try:
        return read()
    except OSError as error:
        raise DataError(f"expected to read '{path}', got: {error.strerror or error}; check who may read it") from None


def _size(resize: int | Sequence[int] | None) -> tuple[int, int] | None:
    if resize is None:
        return None
    pair = (resize,) if isinstance(resize, int) else tuple(resize)
    pair = pair * 2 if len(pair) == 1 else pair
    if len(pair) != 2 or not all(isinstance(side, int) and 0 < side <= 192000 for side in pair):
        raise ConfigError(
            f"expected resize as (height, width) in pixels or one number for both, got {resize!r}; for example (32, 32)"
        )
    return pair[0], pair[1]


def _refuse(source: object, **options: object) -> None:
    """Options that mean nothing for this source are mistakes, not noise."""
    for option, value in options.items():
        if value is not None:
            raise ConfigError(
                f"expected no {option} for '{source}', which has no use for it, got {option}={value!r}; leave it out"
            )
