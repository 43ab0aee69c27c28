"""Tables of numbers in text: comma, semicolon, tab, bar or blank between cells. The layout is judged by `csv_layout`.

numpy's C reader takes the file as a whole. Where it stumbles, the rows are read once more, one by one, to say which
cell is at fault; where only the reader was too strict (blank lines, decimal commas), that gives the table.
"""

import csv
import math
import os
import warnings
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Num
from torch import Tensor

from pushforward.core.errors import DataError
from pushforward.core.files import replacing

from .csv_layout import Layout, sniff
from .faults import MISSING, Fault, FaultKind, drop_remedy, fault_error
from .files import require_names
from .table import Table, require_unique, table_of, to_numpy

# By number of the column and kind: how many cells are no numbers, and the row and text of the first.
_Words = dict[tuple[int, FaultKind], list[Any]]


def read_csv(
    path: Path, *, drop: Sequence[str] = (), header: bool | None = None, names: Sequence[str] | None = None
) -> Table:
    """Read a text file of numbers; columns in `drop` may hold anything. `names` are those of a file without a header.

    Raises `DataError` that names the columns and the first rows at fault: text, missing values, rows too short or long.
    """
    layout = sniff(path, header)
    own = layout.names or names or [f"x{j}" for j in range(layout.width)]
    if len(own) != layout.width:
        raise DataError(
            f"expected {len(own)} columns in {path.name}, got {layout.width}; check that it is the original file"
        )
    own = [name or f"x{j}" for j, name in enumerate(own)]
    require_unique(own, path.name)
    require_names(drop, own, "drop")
    kept = [j for j, name in enumerate(own) if name not in drop]
    if not kept:
        raise DataError(f"expected a column of {path.name} to remain, got all {len(own)} to leave out; drop fewer")
    values = _read_fast(path, layout, kept)
    if values is None:
        try:
            values, kept = _read_slowly(path, layout, own, kept)
        except UnicodeDecodeError:
            values, kept = _read_slowly(path, replace(layout, encoding="latin-1"), own, kept)
    if layout.names and not layout.names[kept[0]] and _counts_rows(values[:, 0]):
        warnings.warn(f"the first column of {path.name} has no name and only numbers the rows; "
                      f"leave it out with {drop_remedy([own[kept[0]]])}", stacklevel=2)  # fmt: skip
    return table_of(values, [own[j] for j in kept], path.name)


def write_csv(
    path: str | os.PathLike[str], values: Num[Tensor, "rows columns"] | np.ndarray, names: Sequence[str]
) -> None:
    """Write a header and rows, as the shortest digits that read back the same; whole columns without a decimal point.

    The file appears complete or not at all.
    """
    rows = to_numpy(values)
    if rows.ndim != 2 or rows.shape[1] != len(names):
        raise DataError(
            f"expected values of shape (rows, {len(names)}), one column a name, got {rows.shape}; reshape them"
        )
    with np.errstate(invalid="ignore"):
        whole = (rows == np.rint(rows)).all(axis=0) & (np.abs(rows) < 2.0**63).all(axis=0)
    with replacing(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow(names)
        for start in range(0, len(rows), 1 << 14):
            block = rows[start : start + (1 << 14)]
            cells = [_digits(block[:, j].astype(np.int64) if whole[j] else block[:, j]) for j in range(len(names))]
            file.writelines(f"{','.join(row)}\n" for row in zip(*cells))


def _digits(column: np.ndarray) -> Iterable[str]:
    # str of a Python float is short for float64 only; numpy knows the shortest for every width.
    return map(str, column.tolist()) if column.dtype in (np.int64, np.float64) else column.astype(str).tolist()


def _read_fast(path: Path, layout: Layout, kept: Sequence[int]) -> np.ndarray | None:
    """The kept columns as float64, or None where numpy's reader refuses a cell or a row."""
    if layout.decimal != ".":
        return None
    everything = len(kept) == layout.width
    # Cells that are left out are read as one character each: all rows are still checked to be of one length.
    own = frozenset(kept)
    dtype = float if everything else [(f"f{j}", float if j in own else "U1") for j in range(layout.width)]
    try:
        rows = np.loadtxt(path, dtype, comments=None, delimiter=None if layout.delimiter == " " else layout.delimiter,
                          skiprows=layout.skip, encoding=layout.encoding, quotechar='"', ndmin=2 if everything else 1)  # fmt: skip
    except ValueError:
        return None
    values = rows if everything else np.stack([rows[f"f{j}"] for j in kept], axis=1)
    return values if np.isfinite(values).all() else None


def _read_slowly(path: Path, layout: Layout, names: Sequence[str], kept: Sequence[int]) -> tuple[np.ndarray, list[int]]:
    """Row by row: the kept columns, or the sentence that says what is wrong with them."""
    numbers, lines = array("d"), array("q")
    words: _Words = {}
    # One loop without calls of our own: a million rows in seconds.
    with path.open(encoding=layout.encoding, newline="") as file:
        for _ in range(layout.skip):
            file.readline()
        try:
            for line, row in layout.rows(file):
                lines.append(line + layout.skip)
                if len(row) != layout.width:
                    raise DataError(f"expected {layout.width} cells in every row of {path.name}, got {len(row)} in row "
                                    f"{len(lines)} (line {lines[-1]} of the file); correct or delete that line")  # fmt: skip
                cells = [row[j] for j in kept]
                if layout.decimal == ",":  # then a point belongs to no number
                    cells = [cell.replace(".", "_").replace(",", ".") for cell in cells]
                try:
                    if "_" in "".join(cells):  # 1_000 is a number to Python only
                        raise ValueError
                    numbers.extend(map(float, cells))
                except ValueError:
                    del numbers[(len(lines) - 1) * len(kept) :]
                    for j, cell in zip(kept, cells):
                        value = _number(cell)
                        if value is None:
                            kind = "missing" if cell.strip().lower() in MISSING else "text"
                            words.setdefault((j, kind), [0, len(lines), row[j].strip()])[0] += 1
                        numbers.append(math.nan if value is None else value)
        except csv.Error as error:
            raise DataError(f"expected rows of cells in {path.name}, got a failure near row {len(lines) + 1}: {error}; "
                            "check for quotes that are never closed") from None  # fmt: skip
    values = np.frombuffer(numbers, dtype=np.float64).reshape(len(lines), len(kept))
    kept = list(kept)
    last = layout.width - 1
    if layout.names and not layout.names[last] and kept[-1] == last and len(kept) > 1 and np.isnan(values[:, -1]).all() \
            and (last, "text") not in words:  # fmt: skip
        # Every line ends with a delimiter: there is no last column.
        values, kept = values[:, :-1], kept[:-1]
    faults = [fault for k, j in enumerate(kept) for fault in _faults(j, names[j], values[:, k], words, lines)]
    if faults:
        raise fault_error(path.name, faults, [names[j] for j in kept])
    return values, kept


def _number(cell: str) -> float | None:
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def _faults(j: int, name: str, column: np.ndarray, words: _Words, lines: Sequence[int]) -> list[Fault]:
    """What is wrong with column `j`, where `words` are its cells that are no numbers and `column` holds the others."""

    def fault(kind: FaultKind, count: int, row: int, cell: str) -> Fault:
        return Fault(name, kind, count, row, cell, lines[row - 1])

    found, absent, infinite = [], np.isnan(column), np.isinf(column)
    texts, row, cell = words.get((j, "text"), [0, 0, ""])
    if texts > len(column) - absent.sum():
        return [fault("text", texts, row, cell)]  # what else a column of words holds does not matter
    if texts:
        found.append(fault("stray", texts, row, cell))
    if absent.sum() > texts:
        _, row, cell = words.get((j, "missing"), [0, int(absent.argmax()) + 1, "nan"])
        found.append(fault("missing", int(absent.sum()) - texts, row, cell))
    if infinite.any():
        row = int(infinite.argmax())
        found.append(fault("infinite", int(infinite.sum()), row + 1, str(column[row])))
    return found


def _counts_rows(values: np.ndarray) -> bool:
    return len(values) > 1 and values[0] in (0, 1) and bool((np.diff(values) == 1).all())
