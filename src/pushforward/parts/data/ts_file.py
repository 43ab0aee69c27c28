"""`.ts` files: the text format of the UEA and UCR archives of time-series classification.

A header of `@name value` lines ends with `@data`; then each line is a series: channels with colons between them, numbers
with commas, `?` where one is missing, and last the class, or with `@targetLabel true` a number to predict. With `@timeStamps true` a channel is `(time,number),...`.
Bagnall et al., 2018, https://arxiv.org/abs/1811.00075; the format at https://www.aeon-toolkit.org/en/stable/api_reference/file_specifications/ts.html.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pushforward.core.errors import DataError

from .faults import MISSING
from .files import did_you_mean, listed
from .series import Series

_PAIR = re.compile(r"\(([^,()]*),([^()]*)\)")
_KNOWN = ("problemname", "timestamps", "missing", "univariate", "dimensions", "dimension", "equallength", "serieslength",
          "classlabel", "targetlabel", "data")  # fmt: skip


@dataclass(frozen=True)
class _Header:
    """What the lines above the data say; `classes` is None without labels, and empty where the header does not list them.

    With `target` a line ends with a number.
    """

    timestamps: bool
    classes: list[str] | None
    target: bool


def read_ts(paths: Sequence[Path]) -> Series:
    """Read series, with their labels or targets, from one file or from several parts of one set.

    Times are 0, 1, 2, ... where the file has none. Raises `DataError` that says which line is at fault.
    """
    times: list[np.ndarray] = []
    rows: list[np.ndarray] = []
    labels: list[str] = []
    targets: list[float] = []
    classes: list[str] | None = None
    for path in paths:
        lines = _lines(path)
        header, first = _header(path, lines)
        for number, line in enumerate(lines[first:], first + 1):
            if line.strip() and not line.startswith("#"):
                t, x, label = _row(line.strip(), header, f"{path.name}, line {number}")
                if rows and x.shape[1] != rows[0].shape[1]:
                    raise DataError(f"expected {rows[0].shape[1]} channels in every series, got {x.shape[1]} in {path.name}, line "
                                    f"{number}; check for a colon that is missing or too many")  # fmt: skip
                times.append(t)
                rows.append(x)
                labels += [] if header.classes is None else [label]
                targets += [_target(label, f"{path.name}, line {number}")] if header.target else []
        if header.classes is not None:
            classes = list(dict.fromkeys([*(classes or []), *(header.classes or sorted(set(labels)))]))
    where = paths[0].name
    if not rows:
        raise DataError(f"expected series below @data in {where}, got none; check that it was written to the end")
    if len(labels) not in (0, len(rows)) or len(targets) not in (0, len(rows)):
        raise DataError(
            f"expected labels in every part or in none, got them in some of {', '.join(p.name for p in paths)}"
        )
    numbers = [(classes or []).index(label) for label in labels] if labels else None
    return Series.ragged(times, rows, numbers, class_names=classes if labels else None, targets=targets or None,
                         time_name="time" if header.timestamps else "step")  # fmt: skip


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        return path.read_text(encoding="latin-1").splitlines()


def _header(path: Path, lines: Sequence[str]) -> tuple[_Header, int]:
    """What the header says, and the number of the first line behind `@data`."""
    said: dict[str, list[str]] = {}
    for number, line in enumerate(lines):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if not line.startswith("@"):
            raise DataError(f"expected lines that begin with @, up to @data, in {path.name}, got {line[:40]!r} in line {number + 1}; "
                            "check that it is a .ts file of time series")  # fmt: skip
        key = words[0][1:].lower()
        if key not in _KNOWN:
            hint = did_you_mean(key, _KNOWN) or f"; known are {listed(_KNOWN, 20)}"
            raise DataError(
                f"expected a known entry in the header of {path.name}, got {words[0]!r} in line {number + 1}{hint}"
            )
        said[key] = words[1:]
        if key == "data":
            target = said.get("targetlabel", ["false"])[:1] in (["true"], ["True"])
            label = said.get("classlabel", ["false"])
            classes = label[1:] if label and label[0].lower() == "true" else None
            return _Header(said.get("timestamps", ["false"])[:1] == ["true"], classes, target), number + 1
    raise DataError(f"expected @data in {path.name}, got {'a header without it' if said else 'an empty file'}; check that it was "
                    "written to the end")  # fmt: skip


def _row(line: str, header: _Header, where: str) -> tuple[np.ndarray, np.ndarray, str]:
    """Times `(instants,)`, numbers `(instants, channels)`, NaN where missing, and the label of one line."""
    # A time stamp may hold colons of its own, but then it stands between brackets.
    parts = re.split(r":(?![^(]*\))", line) if header.timestamps else line.split(":")
    label = ""
    if header.classes is not None or header.target:
        if len(parts) < 2:
            raise DataError(
                f"expected a colon and the class or target at the end of every series, got none in {where}; correct it"
            )
        label = parts.pop().strip()
        if header.classes and label not in header.classes:
            raise DataError(f"expected a class among {listed(header.classes, 12)}, as the header lists them, got {label!r} in {where}"
                            f"{did_you_mean(label, header.classes) or '; correct it'}")  # fmt: skip
    if header.timestamps:
        return *_stamped(parts, where), label
    channels = [np.array([_number(cell, where) for cell in part.split(",")]) for part in parts]
    x = np.full((max(map(len, channels)), len(channels)), math.nan)
    for j, own in enumerate(channels):
        x[: len(own), j] = own
    return np.arange(len(x), dtype=np.float64), x, label


def _stamped(parts: Sequence[str], where: str) -> tuple[np.ndarray, np.ndarray]:
    """Channels of `(time,number)` pairs, put on the times of all of them."""
    pairs = []
    for part in parts:
        found = _PAIR.findall(part)
        if not found and part.strip():
            raise DataError(
                f"expected pairs (time,number), since the header says @timeStamps true, got {part[:40]!r} in {where}"
            )
        pairs.append([(_number(t, where), _number(x, where)) for t, x in found])
    times = np.array([t for own in pairs for t, _ in own])
    if np.isnan(times).any() or not len(times):
        raise DataError(f"expected a number as the time of every pair, got none in {where}; correct that line")
    t = np.unique(times)
    x = np.full((len(t), len(pairs)), math.nan)
    for j, own in enumerate(pairs):
        if len({when for when, _ in own}) != len(own):
            raise DataError(
                f"expected one number at each time, got a time twice in channel {j + 1} of {where}; keep one of them"
            )
        for when, value in own:
            x[np.searchsorted(t, when), j] = value
    return t, x


def _target(cell: str, where: str) -> float:
    value = _number(cell, where)
    if not math.isfinite(value):
        raise DataError(
            f"expected a finite number to predict at the end of every series, got {cell!r} in {where}; leave it out"
        )
    return value


def _number(cell: str, where: str) -> float:
    if cell.strip().lower() in MISSING:
        return math.nan
    try:
        return float(cell)
    except ValueError:
        raise DataError(f"expected numbers with commas between them, and ? where one is missing, got {cell.strip()[:40]!r} in {where}; "
                        "correct it") from None  # fmt: skip
