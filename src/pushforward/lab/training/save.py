"""Save and load any model made of registered parts: safetensors for numbers, JSON for the architecture, nothing executed.

A path that ends in a suffix is one file, unless such a folder is there; any other path is a folder with `model.safetensors` and `model.json`. The
safetensors file carries the JSON in its header, so it is whole by itself; `model.json` is the copy for people, and a
copy that disagrees is refused.
"""

import hashlib
import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pushforward.core.errors import ConfigError, SavedFileError
from pushforward.core.registry import build, describe
from pushforward.core.version import __version__

from .files import read_json, read_tensors, write_json, write_tensors

VERSION = 1


def save(model: nn.Module, path: str | Path, *, about: dict[str, Any] | None = None) -> Path:
    """Write `model` to `path`, with `about` (plain JSON, such as column names) beside it; return the path.

    Raises `ConfigError` for a model with a part that is not registered, or that was changed after it was built so
    that its constructor arguments no longer describe it.

    >>> import pushforward as pf, torch, tempfile
    >>> flow = pf.flows.realnvp(features=2, layers=2)
    >>> file = pf.save(flow, tempfile.mkdtemp() + "/flow.pf")
    >>> x = torch.zeros(1, 2)
    >>> bool(pf.load(file).log_prob(x) == flow.log_prob(x))
    True
    """
    target = Path(path)
    header, tensors = _describe(model, about or {})
    if target.suffix and not target.is_dir():
        write_tensors(target, tensors, header)
    else:
        write_tensors(target / "model.safetensors", tensors, header)
        write_json(target / "model.json", header)
    return target


def load(path: str | Path, *, device: str | torch.device = "cpu") -> Any:
    """Read a model from a file or folder that `save` wrote, onto `device`, in evaluation mode.

    Raises `SavedFileError` for a missing, truncated or altered file, an unknown version or part, or wrong shapes.
    """
    return load_with_about(path, device=device)[0]


def load_with_about(path: str | Path, *, device: str | torch.device = "cpu") -> tuple[Any, dict[str, Any]]:
    """`load`, with the `about` that was saved beside the model."""
    source = Path(path)
    where = require_device(device)
    file = source / "model.safetensors" if source.is_dir() else source
    if source.is_dir() and not file.is_file():
        raise SavedFileError(
            f"expected model.safetensors in the folder {source}, found none; is it a run of pushforward that finished?"
        )
    tensors, header = read_tensors(file)
    _check(header, tensors, file)
    copy = source / "model.json"
    if source.is_dir() and copy.exists() and read_json(copy) != header:
        _check(read_json(copy), tensors, copy)  # the more telling sentence first, when there is one
        raise SavedFileError(
            f"expected {copy} to agree with model.safetensors, but it was altered; delete it to load what the weights file says"
        )
    _import_parts()
    arguments = {k.removeprefix("argument."): v for k, v in tensors.items() if k.startswith("argument.")}
    state = {k.removeprefix("state."): v for k, v in tensors.items() if k.startswith("state.")}
    model = build(header["model"], arguments)
    _put_state(model, state, file)
    return model.to(where).eval(), header["about"]


def require_device(device: str | torch.device | None) -> torch.device:
    """The device, or a sentence saying what there is; None takes the GPU where there is one."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        wanted = torch.device(device)
        torch.empty(0, device=wanted)
    except (RuntimeError, AssertionError) as error:
        there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        raise ConfigError(
            f"expected a device among {', '.join(there)}, got {device!s}; this machine or this build of PyTorch has no other"
        ) from error
    return wanted


def digest(header: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """SHA-256 over the architecture and every number, to notice damage (it is no signature)."""
    sha = hashlib.sha256(json.dumps({k: header[k] for k in ("version", "model", "about")}, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        sha.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        sha.update(value.reshape(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b"")
    return sha.hexdigest()


def _describe(model: nn.Module, about: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    arguments: dict[str, Tensor] = {}
    description = json.loads(json.dumps(describe(model, arguments)))
    rebuilt = build(description, arguments)
    own = model.state_dict()
    if {k: v.shape for k, v in rebuilt.state_dict().items()} != {k: v.shape for k, v in own.items()}:
        raise ConfigError(
            f"expected a {type(model).__name__} as its constructor builds it, but parts were changed afterwards; build it anew from its parts and save that"
        )
    tensors = {f"argument.{k}": v for k, v in arguments.items()} | {
        f"state.{k}": v.detach().cpu() for k, v in own.items()
    }
    header = {
        "format": "pushforward",
        "version": VERSION,
        "library": __version__,
        "model": description,
        "about": about,
    }
    header["digest"] = digest(header, tensors)
    return header, tensors


def _check(header: Any, tensors: dict[str, Tensor], file: Path) -> None:
    if not isinstance(header, dict) or header.get("format") != "pushforward" or "model" not in header:
        raise SavedFileError(
            f"expected a model of pushforward in {file}, got something else; was it written by pushforward.save?"
        )
    if header.get("version") != VERSION:
        raise SavedFileError(
            f"expected format version {VERSION} in {file}, got {header.get('version')!r}; update pushforward"
        )
    if header.get("digest") != digest(header, tensors):
        raise SavedFileError(
            f"expected {file} as it was written, but its check sum is wrong: it was altered or damaged; restore it from a copy or fit again"
        )


def _put_state(model: nn.Module, state: dict[str, Tensor], file: Path) -> None:
    own = model.state_dict()
    for name in sorted(set(own) ^ set(state)):
        raise SavedFileError(
            f"expected the weights of a {type(model).__name__} in {file}, but {name} is {'missing' if name in own else 'unknown'}"
        )
    for name, value in state.items():
        if value.shape != own[name].shape:
            raise SavedFileError(
                f"expected {name} of shape {tuple(own[name].shape)} in {file}, got {tuple(value.shape)}"
            )
    for name, value in own.items():  # a model saved in double precision is loaded in it
        if value.dtype != state[name].dtype and value.is_floating_point():
            model.to(state[name].dtype)
            break
    model.load_state_dict(state)


def _import_parts() -> None:
    """Import every sub-package that registers constructors."""
    for floor in ("parts", "models"):
        package = importlib.import_module(f"pushforward.{floor}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
