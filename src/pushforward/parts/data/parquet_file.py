"""Tables of numbers in Parquet files, through pyarrow where it is installed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pushforward.core.errors import DataError

from .faults import Fault, fault_error
from .files import require_names
from .table import Table, require_unique, table_of


def read_parquet(path: Path, *, drop: Sequence[str] = ()) -> Table:
    """Read the columns of a Parquet file that are not in `drop`; booleans become 0 and 1.

    Raises `DataError` for columns of text and for missing values, and where pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise DataError(f"expected pyarrow to read {path.name}, but it is not installed; "
                        "install it with: pip install 'pushforward[data]'") from None  # fmt: skip
    try:
        names = parquet.read_schema(path).names
        require_unique(names, path.name)
        require_names(drop, names, "drop")
        kept = [name for name in names if name not in drop]
        table = parquet.read_table(path, columns=kept)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"expected a Parquet file at {path.name}, got one that cannot be read ({reason}); write it again"
        ) from None
    if not kept or not table.num_rows:
        raise DataError(f"expected rows and columns in {path.name}, got {table.num_rows} rows of {len(kept)} columns; "
                        "keep at least one of each")  # fmt: skip
    columns, faults = [], []
    for name, column in zip(kept, table.columns):
        kind = column.type
        if not (pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind) or pyarrow.types.is_boolean(kind)
                or pyarrow.types.is_decimal(kind)):  # fmt: skip
            faults.append(Fault(name, "text", len(column), 1, str(column[0].as_py())))
        elif column.null_count:
            faults.append(Fault(name, "missing", column.null_count, int(np.asarray(column.is_null()).argmax()) + 1))
        else:
            columns.append(np.asarray(column.cast(pyarrow.float64(), safe=False), dtype=np.float64))
    if faults:
        raise fault_error(path.name, faults, kept)
    return table_of(np.stack(columns, axis=1), kept, path.name)
