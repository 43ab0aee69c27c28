"""Files that are never half-written: write beside, flush to the disk, then rename."""

import errno
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pushforward.core.errors import SavedFileError, UserError


def write_beside(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make a file next to `path`, then rename it to `path`; an old file stays whole if anything fails.

    Raises `UserError` for a full disk or a folder that cannot be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        raise as_user_error(error, path) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def as_user_error(error: Exception, path: Path) -> UserError:
    """A full disk, a read-only folder and their like as one sentence."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
        return UserError(
            f"expected room on the disk to write {path}, found none; free some space and run again with --resume (what was saved before is whole)"
        )
    reason = getattr(error, "strerror", None) or str(error)
    return UserError(f"expected to be able to write {path}, but: {reason}; choose another folder")


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    write_beside(path, lambda beside: _write_text(beside, text))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; raises `SavedFileError` with the reason."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SavedFileError(f"expected a file {path}, found none; check the path") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SavedFileError(f"expected JSON in {path}, but it cannot be read: {error}") from error


def write_tensors(path: Path, tensors: dict[str, Tensor], header: Any) -> None:
    """Write tensors and a JSON header as one safetensors file."""
    whole = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    write_beside(path, lambda beside: save_file(whole, beside, metadata={"pushforward": json.dumps(header)}))


def read_tensors(path: Path, device: str = "cpu") -> tuple[dict[str, Tensor], Any]:
    """Read what `write_tensors` wrote; raises `SavedFileError` for a file that is missing, cut off or of another kind."""
    if not path.is_file():
        raise SavedFileError(
            f"expected a saved file at {path}, found {'a folder' if path.is_dir() else 'none'}; check the path"
        )
    try:
        with safe_open(path, framework="pt", device=device) as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
        header = json.loads(metadata["pushforward"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise SavedFileError(f"expected a file written by pushforward at {path}, but it is truncated or of another kind ({error}); "
                             "restore it from a copy or fit again") from error  # fmt: skip
    return tensors, header
