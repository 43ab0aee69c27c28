"""`Table`: rows and named columns of numbers, with the kind of each column."""

import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Size, Tensor

from pushforward.core.data import Batch
from pushforward.core.errors import ConfigError, DataError

from .faults import array_faults, drop_remedy, fault_error
from .files import listed, require_names
from .split import split_rows

Kind = Literal["continuous", "integer"]
EXACT = 1 << 24  # float32 holds every whole number up to here


@dataclass(frozen=True)
class Column:
    """A column: "integer" if all its values are whole numbers (`step` 1), "continuous" otherwise (`step` 0)."""

    name: str
    kind: Kind
    step: float


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """`values` `(rows, columns)` in the user's units, and perhaps a `condition` `(rows, given)` to model them by.

    Build one with `load` or `Table.of`. Every method returns another table.

    >>> table = Table.of([[0.5, 1], [0.25, 2], [0.75, 3]], ["width", "count"])
    >>> table
    Table(3 rows; width, count [integer])
    >>> table.given("count").take(torch.tensor([2])).condition
    tensor([[3.]])
    """

    values: Float[Tensor, "rows columns"]
    columns: tuple[Column, ...]
    condition: Float[Tensor, "rows given"] | None = None
    condition_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for tensor, names in ((self.values, self.columns), (self.condition, self.condition_names)):
            width = 0 if tensor is None else tensor.shape[1]
            if width != len(names):
                raise DataError(
                    f"expected a name for each of {width} columns of numbers, got {len(names)}; use Table.of"
                )

    @classmethod
    def of(cls, array: Any, names: Sequence[str] | None = None) -> "Table":
        """Make a table of numbers `(rows, columns)`: a torch or numpy array, nested lists, or a data frame.

        Kinds are inferred from the numbers as given, before they are rounded to float32. Columns without names are
        called x0, x1, ... Raises `DataError` for anything that is not a rectangle of finite numbers.
        """
        names = [str(name) for name in getattr(array, "columns", ())] if names is None else list(names)
        return table_of(as_rows(array, "the array"), names or None, "the array")

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        shown = ", ".join(c.name + " [integer]" * (c.kind == "integer") for c in self.columns[:16])
        shown += f" and {self.features - 16} more" if self.features > 16 else ""
        given = f"; given {', '.join(self.condition_names)}" if self.condition_names else ""
        return f"Table({len(self)} rows; {shown}{given})"

    @property
    def features(self) -> int:
        """Number of columns, those of the condition not counted."""
        return len(self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def event_shape(self) -> Size:
        """Shape of one row."""
        return Size((len(self.columns),))

    @property
    def condition_shape(self) -> Size | None:
        """Shape of the condition of one row; None without a condition."""
        return Size((len(self.condition_names),)) if self.condition_names else None

    def given(self, *names: str) -> "Table":
        """Move columns to the condition: model the others given these."""
        require_names(names, self.names, "given")
        kept = [j for j, name in enumerate(self.names) if name not in names]
        moved = [self.names.index(name) for name in dict.fromkeys(names)]
        if not kept:
            raise DataError(f"expected a column to model, got all {self.features} as the condition; give fewer")
        if not moved:
            return self
        given = (
            self.values[:, moved] if self.condition is None else torch.cat([self.condition, self.values[:, moved]], 1)
        )
        return Table(self.values[:, kept], tuple(self.columns[j] for j in kept),
                     given, self.condition_names + tuple(self.names[j] for j in moved))  # fmt: skip

    def drop(self, *names: str) -> "Table":
        """Leave columns out, be they of the values or of the condition."""
        require_names(names, self.names + self.condition_names, "drop")
        kept = [j for j, name in enumerate(self.names) if name not in names]
        given = [j for j, name in enumerate(self.condition_names) if name not in names]
        if not kept:
            raise DataError(f"expected a column to remain, got all {self.features} to leave out; drop fewer")
        condition = self.condition[:, given] if self.condition is not None and given else None
        return Table(self.values[:, kept], tuple(self.columns[j] for j in kept),
                     condition, tuple(self.condition_names[j] for j in given))  # fmt: skip

    def with_kinds(self, kinds: Mapping[str, str] | None = None, /, **by_name: str) -> "Table":
        """Set the kind of columns by name: `table.with_kinds(quality="continuous")` or `with_kinds({"pH": "integer"})`.

        Raises `DataError` for a name that is no column, or if "integer" is asked of numbers that are not whole.
        """
        wanted = {**(kinds or {}), **by_name}
        require_names(tuple(wanted), self.names, "with_kinds")
        columns = (_with_kind(self.values[:, j], column, wanted.get(column.name, column.kind))
                   for j, column in enumerate(self.columns))  # fmt: skip
        return replace(self, columns=tuple(columns))

    def take(self, index: Tensor | list[int]) -> Batch:
        """The batch of these rows: x `(n, columns)` and condition `(n, given)` or None."""
        return Batch(self.values[index], None if self.condition is None else self.condition[index])

    def to(self, device: torch.device | str) -> "Table":
        """Move to a device."""
        condition = None if self.condition is None else self.condition.to(device)
        return replace(self, values=self.values.to(device), condition=condition)

    def split(self, fractions: Sequence[float], seed: int = 0) -> "tuple[Table, ...]":
        """Divide the rows at random; the same seed gives the same rows on every machine (see `split_rows`)."""
        batches = [self.take(part.to(self.values.device)) for part in split_rows(len(self), fractions, seed)]
        return tuple(replace(self, values=batch.x, condition=batch.condition) for batch in batches)

    def require_fittable(self, rows: int = 10) -> None:
        """Raise `DataError` if no density can be fitted: fewer than `rows` rows, or a column that never changes."""
        if len(self) < rows:
            count = "one row is" if len(self) == 1 else f"{len(self)} rows are"
            raise DataError(f"expected at least {rows} rows to fit to, got {len(self)}: {count} not enough; add rows")
        names = self.names + self.condition_names
        whole = self.values if self.condition is None else torch.cat([self.values, self.condition], 1)
        constant = [name for name, same in zip(names, (whole.amax(0) == whole.amin(0)).tolist()) if same]
        if constant:
            raise DataError(f"expected every column to change from row to row, got the same number in every row of "
                            f"{listed(constant)}, which have no density; leave out with {drop_remedy(constant)}")  # fmt: skip

    def describe(self) -> dict[str, Any]:
        """What a saved model should know of its data, as plain JSON."""
        return {"kind": "table", "columns": list(self.names), "column_kinds": [column.kind for column in self.columns],
                "given": list(self.condition_names)}  # fmt: skip

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write values and condition as csv, the whole file or nothing."""
        from .csv_file import write_csv

        values = self.values if self.condition is None else torch.cat([self.values, self.condition], 1)
        write_csv(path, values, self.names + self.condition_names)


def to_numpy(array: Any) -> np.ndarray:
    """A tensor, of any dtype and on any device, or anything else that numpy understands."""
    if not isinstance(array, Tensor):
        return np.asarray(array)
    array = array.detach().cpu()
    return (array.float() if array.dtype == torch.bfloat16 else array).numpy()


def as_rows(array: Any, where: str) -> np.ndarray:
    """Read anything like an array as numbers `(rows, columns)`; one dimension is one column."""
    try:
        rows = to_numpy(array)
    except ValueError as error:
        raise DataError(f"expected rows of equal length in {where}, got {error}; pad or cut them") from None
    if rows.dtype.kind not in "fiub":
        raise DataError(f"expected numbers in {where}, got dtype {rows.dtype}; convert it to float32 first")
    rows = rows[:, None] if rows.ndim == 1 else rows
    if rows.ndim != 2 or 0 in rows.shape:
        raise DataError(f"expected {where} of shape (rows, columns), got {rows.shape}; reshape it to one row a sample")
    return rows


def table_of(rows: np.ndarray, names: Sequence[str] | None, where: str) -> Table:
    """Check numbers and names, infer the kinds, round to float32."""
    names = [f"x{j}" for j in range(rows.shape[1])] if names is None else list(names)
    if len(names) != rows.shape[1]:
        raise DataError(
            f"expected {rows.shape[1]} names for the columns of {where}, got {len(names)}; give one to each"
        )
    require_unique(names, where)
    if faults := array_faults(rows, names):
        raise fault_error(where, faults, names)
    with np.errstate(over="ignore"):
        narrow = rows.astype(np.float32)
    low, high = (edge.astype(np.float64) for edge in (rows.min(axis=0), rows.max(axis=0)))
    if rows.dtype != np.float32 and rows.dtype.itemsize > 2:
        _require_digits(rows, narrow, high - low, names, where)
    whole = np.ones(len(names), bool) if rows.dtype.kind in "iub" else (rows == np.rint(rows)).all(axis=0)
    large = np.maximum(-low, high) > EXACT
    if (whole & large).any():
        big = [name for name, bad in zip(names, whole & large) if bad]
        warnings.warn(f"{listed(big)} of {where} has whole numbers beyond {EXACT}, which float32 cannot tell apart; they are "
                      f"read as continuous, to 7 digits; if they only number the rows, use {drop_remedy(big)}", stacklevel=3)  # fmt: skip
    columns = tuple(Column(name, "integer", 1.0) if integer else Column(name, "continuous", 0.0)
                    for name, integer in zip(names, whole & ~large))  # fmt: skip
    return Table(torch.from_numpy(narrow), columns)


def require_unique(names: Sequence[str], where: str) -> None:
    """Raise `DataError` if two columns have one name."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            f"expected columns of different names in {where}, got {listed(twice)} more than once; rename one of them"
        )


def _require_digits(rows: np.ndarray, narrow: np.ndarray, spread: np.ndarray, names: Sequence[str], where: str) -> None:
    """Refuse columns whose differences are lost in float32: time stamps, identifiers, numbers beyond its range."""
    for j, name in enumerate(names):
        lost = float(np.abs(narrow[:, j] - rows[:, j].astype(np.float64)).max())
        if not np.isfinite(lost) or lost > 1e-3 * spread[j] > 0:
            raise DataError(f"expected numbers that float32 can tell apart in {where}, got column {name!r}, which varies by "
                            f"{spread[j]:g} around {float(rows[0, j]):.10g}; subtract its smallest value or rescale it first, "
                            f"or leave it out with {drop_remedy([name])}")  # fmt: skip


def _with_kind(values: Tensor, column: Column, kind: str) -> Column:
    if kind == column.kind:
        return column
    if kind == "continuous":
        return Column(column.name, "continuous", 0.0)
    if kind != "integer":
        raise ConfigError(
            f"expected the kind 'continuous' or 'integer' for column {column.name!r}, got {kind!r}; choose one"
        )
    bad = (values != values.round()) | (values.abs() > EXACT)
    if bad.any():
        row = int(bad.int().argmax())
        raise DataError(f"expected whole numbers up to {EXACT} in column {column.name!r}, got {float(values[row]):g} "
                        f"in row {row + 1}; round them or keep the kind 'continuous'")  # fmt: skip
    return Column(column.name, "integer", 1.0)
