"""The whole state of a fit in one file, so that a killed run goes on as if nothing had happened."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pushforward.core.errors import SavedFileError

from .files import read_tensors, write_tensors


def write_checkpoint(
    path: Path, groups: dict[str, dict[str, Tensor]], optimiser: torch.optim.Optimizer, header: dict[str, Any]
) -> None:
    """Write named groups of tensors, the optimiser's state, and a JSON header."""
    tensors = {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}
    for index, values in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{index}/{name}": torch.as_tensor(value) for name, value in values.items()}
    write_tensors(path, tensors, header)


def read_checkpoint(
    path: Path, optimiser: torch.optim.Optimizer, fingerprint: dict[str, Any]
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Read groups and header back, and put the optimiser's state in place.

    Raises `SavedFileError` when the checkpoint belongs to another model, data set, seed or settings.
    """
    tensors, header = read_tensors(path)
    for name, value in fingerprint.items():
        if header.get("fingerprint", {}).get(name) != value:
            raise SavedFileError(f"expected a checkpoint with the same {name} ({value}), got {header.get('fingerprint', {}).get(name)} in {path}; "
                                 "resume with the options of the first run, or fit into another folder")  # fmt: skip
    groups: dict[str, dict[str, Tensor]] = {}
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        group, name = key.split("/", 1)
        if group == "optimiser":
            index, field = name.split("/", 1)
            state.setdefault(int(index), {})[field] = value
        else:
            groups.setdefault(group, {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return groups, header
