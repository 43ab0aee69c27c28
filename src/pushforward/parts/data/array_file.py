"""numpy's .npy and .npz files: numbers in two dimensions are a table, bytes in three or four are images. No pickles."""

import os
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from pushforward.core.errors import DataError
from pushforward.core.files import replacing

from .csv_file import write_csv
from .files import did_you_mean
from .images import Images
from .table import Table, as_rows, table_of, to_numpy

_DATA = ("x", "data", "images", "pixels", "features", "values", "arr_0")
_LABELS = ("y", "labels", "label", "targets", "target", "classes")
_PARTS = {"train": ("train", "training"), "valid": ("valid", "val", "validation"), "test": ("test", "testing")}


def read_array_file(path: Path, *, part: str | None = None, label: str | None = None, drop: Sequence[str] = (),
                    class_names: Sequence[str] = ()) -> Table | Images:  # fmt: skip
    """Read a .npy or .npz file. `part` is "train", "valid", "test" or the name of an array; `label` names the labels.

    Without `part`, an archive in parts gives its training part. The labels of a table become its last column.
    Raises `DataError` for arrays of objects, which could run code, and for files that are damaged.
    """
    try:
        if path.suffix == ".npz":
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                x, y, y_name = _choose(path, archive, part, label)
        elif part is not None or label is not None:
            raise DataError(f"expected one array in {path.name}, so no part or label to choose, got part={part!r} and "
                            f"label={label!r}; leave them out or use a .npz file")  # fmt: skip
        else:
            with path.open("rb") as file:
                x, y, y_name = np.load(file, allow_pickle=False), None, ""
    except DataError:
        raise
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, SyntaxError) as error:
        if "pickle" in str(error):
            raise DataError(f"expected arrays of numbers in {path.name}, got Python objects, which are never loaded because they "
                            "could run code; save arrays with a numeric dtype") from None  # fmt: skip
        raise DataError(
            f"expected a numpy file at {path.name}, got one that cannot be read ({error}); write it again"
        ) from None
    if x.ndim in (3, 4):
        return Images.of(x, y, class_names=class_names, where=path.name)
    rows = as_rows(x, path.name)
    own = [f"x{j}" for j in range(rows.shape[1])]
    if y is not None:
        column = as_rows(y, f"{y_name!r} of {path.name}")
        if column.shape != (len(rows), 1):
            raise DataError(
                f"expected one label for each of {len(rows)} rows of {path.name}, got shape {y.shape}; correct them"
            )
        rows, own = np.concatenate([rows, column], axis=1), [*own, y_name]
    return table_of(rows, own, path.name).drop(*drop)


def save_array(path: str | os.PathLike[str], x: Tensor | np.ndarray, *, names: Sequence[str] | None = None) -> None:
    """Write an array as .npy, .npz (under the name x) or, in one or two dimensions, .csv; complete or not at all.

    `names` are the header of a .csv, x0, x1, ... unless given.
    """
    array, suffix = to_numpy(x), Path(path).suffix.lower()
    if suffix == ".csv":
        rows = array[:, None] if array.ndim == 1 else array
        if rows.ndim != 2:
            raise DataError(f"expected rows and columns to write as .csv, got shape {array.shape}; use .npy or .npz")
        write_csv(path, rows, [f"x{j}" for j in range(rows.shape[1])] if names is None else names)
    elif suffix in (".npy", ".npz"):
        with replacing(path) as beside, beside.open("wb") as file:
            if suffix == ".npy":
                np.save(file, array, allow_pickle=False)
            else:
                np.savez(file, x=array)
    else:
        raise DataError(
            f"expected a file name ending in .npy, .npz or .csv to write an array to, got '{path}'; choose one"
        )


def _choose(
    path: Path, archive: "np.lib.npyio.NpzFile", part: str | None, label: str | None
) -> tuple[np.ndarray, np.ndarray | None, str]:
    """The array of data, its labels if there are any, and their name."""
    keys = archive.files
    if not keys:
        raise DataError(f"expected arrays in {path.name}, got none; write it again")
    x_name, suffix = _find_data(path, archive, part)
    y_name = label or _find(keys, (own for base in _LABELS for own in _spellings(base, suffix)))
    if y_name is not None and y_name not in keys:
        raise DataError(f"expected label to name an array of {path.name}, got {y_name!r}, which is none of {', '.join(keys)}"
                        f"{did_you_mean(y_name, keys)}")  # fmt: skip
    return archive[x_name], None if y_name is None else archive[y_name], y_name or ""


def _find_data(path: Path, archive: "np.lib.npyio.NpzFile", part: str | None) -> tuple[str, str | None]:
    keys = archive.files
    if part in keys and part not in _PARTS:
        return part, None
    if part is None:
        plain = _find(keys, _DATA)
        if plain is not None:
            return plain, None
    for wanted in (part,) if part is not None else ("train",):
        found = _find(keys, (*(own for base in _DATA for own in _spellings(base, wanted)), *_PARTS.get(wanted, ())))
        if found is not None:
            return found, wanted
    if part is None and len(keys) == 1:
        return keys[0], None
    shapes = ", ".join(f"{key} {archive[key].shape}" if archive[key].ndim else key for key in keys[:12])
    if part is None:
        raise DataError(f"expected an array named x, data, images or x_train in {path.name}, got {shapes}; "
                        "say which with part=NAME")  # fmt: skip
    raise DataError(
        f"expected an array for part {part!r} in {path.name}, such as x_{part}, got {shapes}; name one of them as part"
    )


def _spellings(base: str, part: str | None) -> tuple[str, ...]:
    """x, train -> x_train, train_x, x_training, ..."""
    if part is None:
        return (base,)
    return tuple(name for own in _PARTS.get(part, (part,)) for name in (f"{base}_{own}", f"{own}_{base}"))


def _find(keys: Sequence[str], wanted: Iterable[str]) -> str | None:
    folded = {key.lower(): key for key in reversed(keys)}
    return next((folded[name] for name in wanted if name in folded), None)
