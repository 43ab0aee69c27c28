"""Paths in and out: find what was named, write beside and rename, read lists of names."""

import difflib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
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


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path beside `path` to write to, and rename it to `path` at the end: the whole file, or none of it."""
    final = Path(path).expanduser()
    if final.is_dir():
        raise DataError(f"expected a file name to write to, got the folder '{final}'; add a name to it")
    final.parent.mkdir(parents=True, exist_ok=True)
    beside = final.with_name(f".{final.name}.{os.getpid()}.part")
    try:
        yield beside
        os.replace(beside, final)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """The same for a folder, which must be new or empty, so that old files never mix with new ones."""
    final = Path(path).expanduser()
    if final.exists() and (not final.is_dir() or any(final.iterdir())):
        raise DataError(f"expected a new or an empty folder to write to, got '{final}', which is neither; "
                        "choose another name or remove it first")  # fmt: skip
    final.parent.mkdir(parents=True, exist_ok=True)
    beside = final.with_name(f".{final.name}.{os.getpid()}.part")
    try:
        beside.mkdir()
        yield beside
        if final.exists():
            final.rmdir()
        os.replace(beside, final)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
