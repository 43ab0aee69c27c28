"""Text, JSON and tensors in files, written whole or not at all."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pushforward.core.errors import SavedFileError
from pushforward.core.files import replacing


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


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
    with replacing(path) as beside:
        try:
            save_file(whole, beside, metadata={"pushforward": json.dumps(header)})
        except SafetensorError as error:  # its own name for a full disk
            raise OSError(str(error)) from error


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
