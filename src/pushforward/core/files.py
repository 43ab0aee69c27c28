"""Files that are never half-written: write beside, flush to the disk, then rename."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import DataError, UserError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path beside `path` to write to, and rename it to `path` at the end: the whole file, or the old one untouched.

    Raises `UserError` for a full disk or a place that cannot be written.
    """
    final = Path(path).expanduser()
    if final.is_dir():
        raise DataError(f"expected a file name to write to, got the folder '{final}'; add a name to it")
    beside = final.with_name(f".{final.name}.{os.getpid()}.part")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        with open(beside, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(beside, final)
    except OSError as error:
        raise as_user_error(error, final) from error
    finally:
        with suppress(OSError):  # the folder may not be one
            beside.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """The same for a folder, which must be new or empty, so that old files never mix with new ones."""
    final = Path(path).expanduser()
    if final.exists() and (not final.is_dir() or any(final.iterdir())):
        raise DataError(f"expected a new or an empty folder to write to, got '{final}', which is neither; "
                        "choose another name or remove it first")  # fmt: skip
    beside = final.with_name(f".{final.name}.{os.getpid()}.part")
    try:
        beside.mkdir(parents=True)
        yield beside
        if final.exists():
            final.rmdir()
        os.replace(beside, final)
    except OSError as error:
        raise as_user_error(error, final) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def as_user_error(error: OSError, path: Path) -> UserError:
    """A full disk, a read-only folder and their like as one sentence."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
        return UserError(f"expected room on the disk to write {path}, found none; free some space and run again "
                         "(a fit goes on with --resume; what was saved before is whole)")  # fmt: skip
    return UserError(f"expected to be able to write {path}, but: {error.strerror or error}; choose another place")
