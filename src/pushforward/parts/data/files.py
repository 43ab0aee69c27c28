"""Paths and names: find what was named, say what sounds alike, read lists of names."""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

from pushforward.core.errors import DataError


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`"; did you mean 'wine.csv'?"` when something of nearly that name exists, otherwise nothing."""
    folded = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), folded, n=1)
    return f"; did you mean {folded[close[0]]!r}?" if close else ""


def existing_path(path: Path) -> Path:
    """Return `path` if there is something there; otherwise say what the folder holds that sounds alike."""
    if path.exists():
        return path
    if not path.parent.is_dir():
        raise DataError(
            f"expected a file or a folder at '{path}', but there is no folder '{path.parent}'; check the path"
        )
    hint = did_you_mean(path.name, (entry.name for entry in path.parent.iterdir()))
    raise DataError(f"expected a file or a folder at '{path}', found none{hint or '; check the path'}")


def as_names(value: str | Sequence[str]) -> tuple[str, ...]:
    """Column names from a list, or from one string with commas between them."""
    parts = value.split(",") if isinstance(value, str) else value
    return tuple(part.strip() for part in parts if part.strip())


def listed(names: Sequence[str], most: int = 4) -> str:
    """`'a', 'b', 'c' and 9 more`."""
    shown = [repr(name) for name in names[:most]]
    rest = len(names) - len(shown)
    if rest:
        return f"{', '.join(shown)} and {rest} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def require_names(wanted: Sequence[str], known: Sequence[str], what: str) -> None:
    """Raise `DataError` for a name in `wanted` that is not a column."""
    for name in wanted:
        if name not in known:
            hint = did_you_mean(name, known) or f"; the columns are {', '.join(map(repr, known))}"
            raise DataError(f"expected {what} to name columns of the table, got {name!r}, which is none of them{hint}")
