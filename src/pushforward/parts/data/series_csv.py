"""Time series in text files: one column of times, and the channels beside it or below one another."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from pushforward.core.errors import ConfigError, DataError

from .csv_layout import sniff
from .dates import as_times
from .faults import MISSING, Fault, FaultKind, fault_error
from .files import listed, require_names
from .series import Series
from .table import require_unique


@dataclass(frozen=True)
class SeriesColumns:
    """Which column is what: see `load`."""

    time: str
    series: str | None = None
    channel: str | None = None
    value: str | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        if (self.channel is None) != (self.value is None):
            raise ConfigError("expected channel and value together, the columns that name a channel and hold its number, got only "
                              f"{'channel' if self.channel else 'value'}; give both or neither")  # fmt: skip

    @property
    def taken(self) -> list[str]:
        """The names that are given."""
        return [name for name in (self.time, self.series, self.channel, self.value, self.label) if name is not None]


class _Cells:
    """The columns of a file as text, with the lines they stand in."""

    def __init__(self, path: Path, header: bool | None):
        layout = sniff(path, header)
        self.where = path.name
        self.names = [name or f"x{j}" for j, name in enumerate(layout.names or [""] * layout.width)]
        require_unique(self.names, self.where)
        self.decimal = layout.decimal
        self.lines: list[int] = []
        rows: list[list[str]] = []
        with path.open(encoding=layout.encoding, errors="replace", newline="") as file:
            for _ in range(layout.skip):
                file.readline()
            for line, row in layout.rows(file):
                if len(row) != layout.width:
                    raise DataError(f"expected {layout.width} cells in every row of {self.where}, got {len(row)} in line "
                                    f"{line + layout.skip}; correct or delete that line")  # fmt: skip
                rows.append(row)
                self.lines.append(line + layout.skip)
        self.columns = {name: [row[j].strip() for row in rows] for j, name in enumerate(self.names)}

    def numbers(self, names: Sequence[str]) -> np.ndarray:
        """Columns `(rows, names)` of numbers, NaN where a cell is empty; raises for words."""
        values = np.empty((len(self.lines), len(names)))
        faults = []
        for j, name in enumerate(names):
            words: dict[FaultKind, list[int]] = {}
            for i, cell in enumerate(self.columns[name]):
                values[i, j], kind = _number(cell, self.decimal)
                if kind:
                    words.setdefault(kind, []).append(i)
            seen = int(np.isfinite(values[:, j]).sum())
            for kind, rows in words.items():
                kind = "text" if kind == "stray" and len(rows) > seen else kind
                faults.append(
                    Fault(name, kind, len(rows), rows[0] + 1, self.columns[name][rows[0]], self.lines[rows[0]])
                )
        if faults:
            raise fault_error(self.where, faults, self.names)
        return values


def read_series_csv(
    path: Path, columns: SeriesColumns, *, drop: Sequence[str] = (), header: bool | None = None
) -> Series:
    """Read a file of one or many time series; see `load` for the layouts. Raises `DataError` that names column and line."""
    cells = _Cells(path, header)
    for role in ("time", "series", "channel", "value", "label"):
        if (name := getattr(columns, role)) is not None:
            require_names([name], cells.names, role)
    require_names(drop, cells.names, "drop")
    if len(set(columns.taken)) < len(columns.taken):
        raise ConfigError(
            f"expected a column of its own for each use, got one twice among {listed(columns.taken, 5)}; correct them"
        )
    others = [name for name in cells.names if name not in columns.taken and name not in drop]
    times, unit = as_times(cells.columns[columns.time], cells.lines, columns.time, cells.where)
    if columns.channel is not None and others:
        raise DataError(f"expected no column of {cells.where} beside {listed(columns.taken, 5)}, where a column names the channel, got "
                        f"{listed(others)}; leave out with drop={others!r}")  # fmt: skip
    if columns.channel is None and not others:
        raise DataError(f"expected a column of numbers beside the time {columns.time!r} in {cells.where}, got none; add one, or name another "
                        "column as the time")  # fmt: skip
    ids = cells.columns[columns.series] if columns.series else [""] * len(times)
    groups: dict[str, list[int]] = {}
    for i, own in enumerate(ids):
        groups.setdefault(own, []).append(i)
    if columns.channel is not None and columns.value is not None:
        names = list(dict.fromkeys(cells.columns[columns.channel]))
        values = _spread(cells.columns[columns.channel], names, cells.numbers([columns.value])[:, 0])
        t, x = _joined(groups, times, values, cells, columns)
    else:
        names = others
        values = cells.numbers(others)
        _require_order(groups, times, cells, columns)
        t, x = [[times[i] for i in own] for own in groups.values()], [values[own] for own in groups.values()]
    for name, own in zip(groups, x):
        if np.isnan(own).all():
            raise DataError(
                f"expected at least one number in {_called(name, columns)} of {cells.where}, got only empty cells; delete its rows"
            )
    if len(t) == 1 and len(t[0]) == 1:
        raise DataError(
            f"expected a series of two instants or more in {cells.where}, got a single one (line {cells.lines[0]}); add rows"
        )
    labels, classes = _labels(groups, cells, columns)
    targets = None if classes is None else _targets(classes, cells.decimal)
    if labels is not None and targets is not None:
        return Series.ragged(
            t, x, channel_names=names, targets=[targets[i] for i in labels], time_name=columns.time, time_unit=unit
        )
    return Series.ragged(t, x, labels, channel_names=names, class_names=classes, time_name=columns.time, time_unit=unit)


def _require_order(groups: dict[str, list[int]], times: Sequence[float], cells: _Cells, columns: SeriesColumns) -> None:
    shown = cells.columns[columns.time]
    for name, rows in groups.items():
        for before, here in pairwise(rows):
            if times[here] <= times[before]:
                twice = times[here] == times[before]
                remedy = "delete one of the two, or keep their mean" if twice else "sort the rows by time"
                if twice and columns.series is None:
                    remedy += ", or say which column numbers the series with series="
                raise DataError(f"expected times that ascend in {_called(name, columns)} of {cells.where}, got {shown[here]!r} in line "
                                f"{cells.lines[here]} after {shown[before]!r} in line {cells.lines[before]}; {remedy}")  # fmt: skip


def _spread(channels: Sequence[str], names: Sequence[str], values: np.ndarray) -> np.ndarray:
    """One column a channel, NaN but for the channel of the row."""
    where = {name: j for j, name in enumerate(names)}
    wide = np.full((len(values), len(names)), math.nan)
    wide[np.arange(len(values)), [where[name] for name in channels]] = values
    return wide


def _joined(groups: dict[str, list[int]], times: Sequence[float], values: np.ndarray, cells: _Cells,
            columns: SeriesColumns) -> tuple[list[np.ndarray], list[np.ndarray]]:  # fmt: skip
    """Rows of one number each, put together by time."""
    when, what = np.array(times), []
    instants = []
    for name, rows in groups.items():
        t, place = np.unique(when[rows], return_inverse=True)
        x = np.full((len(t), values.shape[1]), math.nan)
        for i, at in zip(rows, place.reshape(-1).tolist()):
            told = ~np.isnan(values[i])
            if (told & ~np.isnan(x[at])).any():
                raise DataError(f"expected one number a channel at each time in {_called(name, columns)} of {cells.where}, got a second one at "
                                f"{cells.columns[columns.time][i]!r} in line {cells.lines[i]}; delete one of the two")  # fmt: skip
            x[at, told] = values[i, told]
        instants.append(t)
        what.append(x)
    return instants, what


def _labels(
    groups: dict[str, list[int]], cells: _Cells, columns: SeriesColumns
) -> tuple[list[int] | None, list[str] | None]:
    if columns.label is None:
        return None, None
    own = cells.columns[columns.label]
    for name, rows in groups.items():
        other = next((i for i in rows if own[i] != own[rows[0]]), None)
        if other is not None:
            raise DataError(f"expected one label for all rows of {_called(name, columns)} of {cells.where}, got {own[rows[0]]!r} and, in line "
                            f"{cells.lines[other]}, {own[other]!r}; correct it, or name the column of the series with series=")  # fmt: skip
    classes = sorted(
        set(own),
        key=lambda word: (_number(word, cells.decimal)[0] if not _number(word, cells.decimal)[1] else math.inf, word),
    )
    return [classes.index(own[rows[0]]) for rows in groups.values()], classes


def _targets(classes: Sequence[str], decimal: str) -> list[float] | None:
    """Labels as numbers to predict, where all of them are numbers and one is no whole number; None where they are classes."""
    found = [_number(word, decimal) for word in classes]
    values = [value for value, _ in found]
    return values if all(map(math.isfinite, values)) and any(value != round(value) for value in values) else None


def _number(cell: str, decimal: str) -> tuple[float, FaultKind | None]:
    if cell.lower() in MISSING:
        return math.nan, None
    try:
        value = math.nan if "_" in cell else float(cell.replace(",", ".") if decimal == "," else cell)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        return value, "stray"
    return (value, None) if math.isfinite(value) else (math.nan, "infinite")


def _called(name: str, columns: SeriesColumns) -> str:
    return "the series" if columns.series is None else f"series {name!r}"
