"""Cells that are not numbers: what they are, where they are, and what to do about them, in one sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pushforward.core.errors import DataError

from .files import listed

FaultKind = Literal["text", "stray", "missing", "infinite"]
# Compared in lower case, without surrounding blanks.
MISSING = frozenset({"", "na", "nan", "n/a", "null", "none", "?", "-"})


@dataclass(frozen=True)
class Fault:
    """A column with `count` cells that are no finite numbers, the first of them in `row` (from 1), as `cell`.

    `kind` is "text" for a column of words, "stray" for words in a column of numbers; `line` is the line of the file.
    """

    column: str
    kind: FaultKind
    count: int
    row: int
    cell: str = ""
    line: int | None = None

    @property
    def shown(self) -> str:
        """The cell as it may stand in a sentence."""
        return repr(self.cell if len(self.cell) <= 40 else self.cell[:37] + "...")

    @property
    def place(self) -> str:
        """Where the first one is."""
        return f"row {self.row}" + (f" (line {self.line} of the file)" if self.line not in (None, self.row) else "")


def fault_error(where: str, faults: Sequence[Fault], columns: Sequence[str]) -> DataError:
    """One sentence about all faults of a table with these `columns`; `where` is the file or the array."""
    found = [piece for kind in ("text", "stray", "missing", "infinite") if (piece := _piece(kind, faults))]
    bad = list(dict.fromkeys(fault.column for fault in faults))
    rows = any(fault.kind != "text" for fault in faults)
    ways = ["correct or delete these rows"] if rows else []
    if len(bad) < len(columns):
        ways.append(f"leave the column{'s' * (len(bad) > 1)} out with {drop_remedy(bad)}")
    elif not rows:
        ways.append("turn the words into numbers first")
    return DataError(f"expected a number in every cell of {where}, got {'; and '.join(found)}; {', or '.join(ways)}")


def drop_remedy(names: Sequence[str]) -> str:
    """How to leave columns out, in Python and on the command line."""
    shell = ",".join(names)
    quoted = f'"drop={shell}"' if any(not (c.isalnum() or c in "_-.,") for c in shell) else f"drop={shell}"
    return f"drop={list(names)!r} (on the command line: --set {quoted})"


def array_faults(values: np.ndarray, names: Sequence[str]) -> list[Fault]:
    """Missing (NaN) and infinite numbers of a 2-D array, by column."""
    if values.dtype.kind != "f":
        return []
    # The sum is finite whenever every number is, save for overflow: one pass instead of three in the common case.
    with np.errstate(over="ignore", invalid="ignore"):
        suspects = np.flatnonzero(~np.isfinite(values.sum(axis=0, dtype=np.float64)))
    faults: list[Fault] = []
    kinds: tuple[tuple[FaultKind, np.ufunc], ...] = (("missing", np.isnan), ("infinite", np.isinf))
    for j in map(int, suspects):
        for kind, test in kinds:
            rows = test(values[:, j])
            if rows.any():
                first = int(rows.argmax())
                faults.append(Fault(names[j], kind, int(rows.sum()), first + 1, str(values[first, j])))
    return faults


def _piece(kind: str, faults: Sequence[Fault]) -> str:
    these = [fault for fault in faults if fault.kind == kind]
    if not these:
        return ""
    first, names = these[0], listed([fault.column for fault in these])
    columns = f"column{'s' * (len(these) > 1)} {names}"
    if kind == "text":
        return f"text in {columns} ({first.place} has {first.shown})"
    if kind == "stray":
        more = f", and text in {first.count - 1} more rows of it" if first.count > 1 else ""
        also = f"; likewise in {listed([fault.column for fault in these[1:]])}" if len(these) > 1 else ""
        return f"{first.shown} in {first.place} of column {first.column!r}, whose other cells are numbers{more}{also}"
    count = f"{first.count} in all" if first.count > 1 else "the only one"
    thing = "missing values" if kind == "missing" else "infinite numbers"
    if len(these) == 1:
        return f"{thing} in {columns} (the first in {first.place}, {count})"
    return f"{thing} in {columns} (the first of {first.column!r} in {first.place}, {count})"
