"""Functions in text files: each row is a point, and a column tells the functions apart."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from pushforward.core.errors import DataError

from .csv_file import read_csv
from .csv_layout import sniff
from .files import listed, require_names
from .function_sets import FunctionSet


def read_functions_csv(
    path: Path, name: str, given: Sequence[str], *, drop: Sequence[str] = (), header: bool | None = None
) -> FunctionSet:
    """Read the points of many functions: column `name` names the function, `given` are x, and the others y.

    Functions stand in the order of their first rows, and points in the order of theirs; they need no sorting. Raises `DataError` for
    cells that are no numbers, `ConfigError` for columns that are not there.
    """
    ids = _names(path, name, header)
    table = read_csv(path, drop=[name, *drop], header=header)
    columns = [own.name for own in table.columns]
    require_names(given, columns, "given")
    y_names = [own for own in columns if own not in given]
    if not y_names:
        raise DataError(
            f"expected a column of numbers beside {listed([name, *given])} in {path.name}, got none; add one"
        )
    values = table.values
    x, y = (values[:, [columns.index(own) for own in names]] for names in (list(given), y_names))
    groups: dict[str, list[int]] = {}
    for row, own in enumerate(ids):
        groups.setdefault(own, []).append(row)
    most = max(map(len, groups.values()))
    rows = torch.from_numpy(np.stack([np.pad(own, (0, most - len(own)), mode="edge") for own in groups.values()]))
    mask = torch.arange(most) < torch.tensor([len(own) for own in groups.values()])[:, None]
    x, y = (torch.where(mask[..., None], own[rows], 0.0) for own in (x, y))
    return FunctionSet(x, y, mask)


def _names(path: Path, name: str, header: bool | None) -> list[str]:
    """The cells of one column, as text."""
    layout = sniff(path, header)
    names = [own or f"x{j}" for j, own in enumerate(layout.names or [""] * layout.width)]
    require_names([name], names, "series")
    with path.open(encoding=layout.encoding, errors="replace", newline="") as file:
        for _ in range(layout.skip):
            file.readline()
        return [row[names.index(name)].strip() for _, row in layout.rows(file) if len(row) == layout.width]
