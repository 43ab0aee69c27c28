"""Start a run, or go on with one that was stopped."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pushforward.core.errors import ConfigError, UserError
from pushforward.lab.recipes import RECIPES
from pushforward.lab.recipes.catalogue import Entry, Kind, entry_for, is_model
from pushforward.lab.training import History, Settings, fit
from pushforward.lab.training.files import write_json
from pushforward.lab.training.save import require_device
from pushforward.parts.data import Audio, FunctionSet, Images, Series, Table

from .config import Config, data_assignments, model_assignments
from .run import load_data, open_run, parts_of


def start(data: str, *, model: str | None = None, out: str | Path | None = None, minutes: float | None = None,
          steps: int | None = None, seed: int = 0, device: str | None = None, changes: Mapping[str, str] | None = None,
          quiet: bool = False) -> tuple[Path, History]:  # fmt: skip
    """Fit a recipe, a named data set or a file into a new run folder; return the folder and the history.

    Raises `UserError` (and its kinds) for whatever the user can mend.
    """
    require_device(device)
    pairs = dict(changes or {})
    named = RECIPES.get(data)
    recipe = (
        named if named is not None and model in (None, named.model) else None
    )  # another model on its data is no recipe
    source = named.data if named else data
    data_options = dict(named.data_options if named else {}) | data_assignments(pairs)
    everything = load_data(source, data_options)
    entry = entry_for(recipe.model if recipe else model, kind_of(everything))
    options, settings = model_assignments(pairs, entry)
    if minutes is not None and steps is not None:
        raise ConfigError("expected one budget, got --minutes and --steps; give one of the two")
    if minutes is None and steps is None:
        minutes = recipe.minutes if recipe else 2.0
    config = Config(
        data=source if source in RECIPES or not Path(source).exists() else str(Path(source).resolve()),
        model=entry.name, recipe=recipe.name if recipe else None, data_options=data_options,
        options=dict(recipe.options if recipe else {}) | options, settings=dict(recipe.settings if recipe else {}) | settings,
        seed=seed, minutes=minutes, steps=steps,
    )  # fmt: skip
    folder = Path(out) if out is not None else free_folder(Path("runs") / Path(data).stem)
    if (folder / "run.json").exists() or (folder / "model.safetensors").exists():
        raise UserError(
            f"expected a folder without a run, but {folder} holds one; choose another --out, or go on with it by --resume"
        )
    return folder, _go(config, folder, everything, device, resuming=False, quiet=quiet)


def resume(folder: str | Path, *, minutes: float | None = None, steps: int | None = None, device: str | None = None,
           quiet: bool = False) -> tuple[Path, History]:  # fmt: skip
    """Go on with a run that was interrupted or killed; the losses are those of a run that was not.

    A new budget in steps lengthens the run (and its learning-rate schedule).
    """
    path = Path(folder)
    config = Config.read(path)
    if minutes is not None or steps is not None:
        config = replace(config, minutes=minutes, steps=steps)
    return path, _go(config, path, load_data(config.data, config.data_options), device, resuming=True, quiet=quiet)


def _go(config: Config, folder: Path, data: Any, device: str | None, *, resuming: bool, quiet: bool) -> History:
    train, held_out, _ = parts_of(config, data)
    if not isinstance(train, FunctionSet):
        train.require_fittable(8)
    torch.manual_seed(config.seed)
    entry = entry_for(config.model, kind_of(data))
    model = entry.assemble()(train, **_with_models(_tuples(config.options), entry))
    settings = Settings(**config.settings)
    settings = replace(settings, bar=settings.bar and not quiet)
    write_json(folder / "run.json", config.to_json())
    return fit(model, (train, held_out), minutes=config.minutes, steps=config.steps, seed=config.seed, device=device,
               out=folder, resume=resuming, settings=settings)  # fmt: skip


def kind_of(data: Any) -> Kind:
    """What kind of data this is, in the words of the catalogue."""
    for cls, kind in ((Table, "table"), (Images, "images"), (FunctionSet, "functions"), (Series, "series"),
                      (Audio, "audio")):  # fmt: skip
        if isinstance(data, cls):
            return kind  # type: ignore[return-value]
    raise ConfigError(f"expected a Table, Images, a FunctionSet, a Series or Audio, got {type(data).__name__}")


def free_folder(wanted: Path) -> Path:
    """`wanted`, or `wanted-2`, `wanted-3`, ... : the first that does not exist."""
    number, folder = 1, wanted
    while folder.exists():
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")
    return folder


def _with_models(options: dict[str, Any], entry: Entry) -> dict[str, Any]:
    """The options, with the model itself where one names the run that it was saved in."""
    kinds = entry.options()
    return {name: open_run(value).model if isinstance(value, str) and is_model(kinds[name].annotation) else value
            for name, value in options.items()}  # fmt: skip


def _tuples(options: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in options.items()}
