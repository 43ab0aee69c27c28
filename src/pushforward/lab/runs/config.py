"""What a run is made of, as plain JSON in `run.json`: enough to repeat it."""

import inspect
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pushforward.core.errors import ConfigError, SavedFileError
from pushforward.lab.recipes.catalogue import Entry, did_you_mean, parse_value
from pushforward.lab.training.files import read_json
from pushforward.lab.training.settings import Settings

VERSION = 1
# What `--set` may say about the data, beside the model and the training.
DATA_OPTIONS: Mapping[str, Any] = {
    "part": str | None,
    "resize": tuple[int, ...] | None,
    "mode": str | None,
    "label": str | None,
    "drop": tuple[str, ...],
    "given": tuple[str, ...],
    "header": bool | None,
    "time": str | None,
    "series": str | None,
    "channel": str | None,
    "value": str | None,
    "dropped": float | None,
}


@dataclass(frozen=True)
class Config:
    """Data, model, options, settings, seed and budget of one run."""

    data: str
    model: str
    recipe: str | None = None
    data_options: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    minutes: float | None = None
    steps: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"format": "pushforward run", "version": VERSION, **asdict(self)}

    @classmethod
    def read(cls, run: Path) -> "Config":
        """Read `run.json`; raises `SavedFileError` for a folder that is no run, or of another version."""
        if not (run / "run.json").is_file():
            raise SavedFileError(f"expected a run folder with run.json at {run}, found {'none in it' if run.is_dir() else 'no such folder'}; "
                                 "give the folder that `pushforward fit` printed")  # fmt: skip
        value = read_json(run / "run.json")
        if not isinstance(value, dict) or value.get("format") != "pushforward run" or value.get("version") != VERSION:
            raise SavedFileError(f"expected run.json of version {VERSION} in {run}, got another; update pushforward")
        try:
            return cls(**{k: v for k, v in value.items() if k not in ("format", "version")})
        except TypeError as error:
            raise SavedFileError(f"expected the fields of a run in {run / 'run.json'}, but: {error}") from error


def split_assignments(assignments: Sequence[str]) -> dict[str, str]:
    """`["a=1", "b=x"]` as a dictionary; raises `ConfigError` for anything else."""
    pairs = {}
    for text in assignments:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise ConfigError(f"expected --set key=value, got {text!r}; write for example --set learning_rate=0.001")
        pairs[name.strip()] = value.strip()
    return pairs


def data_assignments(pairs: Mapping[str, str]) -> dict[str, Any]:
    """The part of the assignments that is about the data, parsed."""
    return {name: parse_value(name, value, DATA_OPTIONS[name]) for name, value in pairs.items() if name in DATA_OPTIONS}


def model_assignments(pairs: Mapping[str, str], entry: Entry) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parts about the model and about the training, parsed; raises `ConfigError` for a key that nobody has."""
    parameters, hints = entry.options(), typing.get_type_hints(Settings)
    options, settings = {}, {}
    for name, value in pairs.items():
        if name in DATA_OPTIONS:
            continue
        if name in parameters:
            options[name] = parse_value(name, value, _annotation(parameters[name]))
        elif name in hints:
            settings[name] = parse_value(name, value, hints[name])
        else:
            known = [*parameters, *hints, *DATA_OPTIONS]
            raise ConfigError(f"expected a setting of {entry.name} ({', '.join(parameters)}), of the training ({', '.join(hints)}) "
                              f"or of the data ({', '.join(DATA_OPTIONS)}), got {name!r}{did_you_mean(name, known)}")  # fmt: skip
    return options, settings


def _annotation(parameter: inspect.Parameter) -> Any:
    return parameter.annotation
