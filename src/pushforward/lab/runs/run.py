"""`Run`: a run folder, opened. The model, what is known of its data, and how it was made."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pushforward.core.errors import ConfigError, DataError
from pushforward.lab.recipes import RECIPES
from pushforward.lab.report import report
from pushforward.lab.training import History, load_with_about, read_history
from pushforward.parts import data as pf_data

from .config import Config
from .records import is_record, split_record

PIECES = 40  # that a few long recordings are cut into


@dataclass(frozen=True)
class Run:
    """A finished (or interrupted) run."""

    folder: Path
    config: Config
    model: Any
    about: dict[str, Any]

    @property
    def history(self) -> History:
        """The records of its fit."""
        return read_history(self.folder / "metrics.jsonl")

    def parts(self) -> tuple[Any, Any, Any]:
        """The data it was fitted on, split as it was: train, held-out, test."""
        return parts_of(self.config, load_data(self.config.data, self.config.data_options))

    def report(self) -> Path:
        """Evaluate on the test part and write `report.html`; return its path."""
        train, _, test = self.parts()
        torch.manual_seed(self.config.seed)
        title = f"{self.config.model.replace('_', ' ')}: {Path(self.config.data).stem}"
        page = report(self.model, train, test, self.history.records, seed=self.config.seed, title=title,
                      expected=expectations(self.config), guidance=guidance_of(self.config.recipe))  # fmt: skip
        page.write(self.folder / "report.html")
        return self.folder / "report.html"


def expectations(config: Config) -> dict[str, tuple[float, float]]:
    """The ranges that the recipe says its figures fall in; none where the run has its data loaded in another way, with gaps say."""
    recipe = RECIPES.get(config.recipe or "")
    expected = recipe.expected if recipe and config.data_options == dict(recipe.data_options) else ()
    return {e.name: (e.value - e.tolerance, e.value + e.tolerance) for e in expected}


def guidance_of(recipe: str | None) -> float:
    """The weight of classifier-free guidance that the recipe says its report draws with."""
    return RECIPES[recipe].guidance if recipe in RECIPES else 1.0


def open_run(folder: str | Path, device: str | None = None) -> Run:
    """Open a run folder; raises `SavedFileError` when it is none, or holds no model yet."""
    path = Path(folder)
    config = Config.read(path)
    model, about = load_with_about(path, device=device or "cpu")
    return Run(path, config, model, about)


def load_data(source: str, options: dict[str, Any]) -> Any:
    """`pf.data.load` with options that came from JSON; `dropped` hides that share of the instants of every series.

    Raises `ConfigError` for `dropped` where the data are no series.
    """
    arguments: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in options.items()}
    share = arguments.pop("dropped", None)
    data = pf_data.load(source, **arguments)
    if share is None:
        return data
    if not isinstance(data, pf_data.Series):
        raise ConfigError(
            f"expected series to hide instants of, got dropped={share:g} for '{source}', which has none; leave it out"
        )
    # Of another seed, or series i of the test part would have the gaps of series i of the training part.
    return data.dropped(share, seed=1 if arguments.get("part") == "test" else 0)


def parts_of(config: Config, data: Any) -> tuple[Any, Any, Any]:
    """The data of a run divided: train, held-out, test. Named series and tables with official parts are tested on theirs."""
    parts = next((named.parts for named in pf_data.names() if named.name == config.data), ())
    if (
        isinstance(data, pf_data.Series | pf_data.Audio)
        and set(parts) == {"train", "test"}
        and "part" not in config.data_options
    ):
        test = load_data(config.data, {**config.data_options, "part": "test"})
        train, held_out = data.split((0.85, 0.15), config.seed)
        return train, held_out, test
    if (
        isinstance(data, pf_data.Table)
        and set(parts) == {"train", "valid", "test"}
        and "part" not in config.data_options
    ):
        held_out, test = (load_data(config.data, {**config.data_options, "part": part}) for part in ("valid", "test"))
        return data, held_out, test
    return split(data, config.seed)


def split(data: Any, seed: int) -> tuple[Any, Any, Any]:
    """Eight tenths to train, a tenth held out for early stopping, a tenth for the test; long records are cut in time."""
    if isinstance(data, pf_data.Series) and is_record(data):
        return split_record(data)
    if isinstance(data, pf_data.Audio) and len(data) < 10:  # a few long recordings
        data = data.cut(max(1, int(data.lengths.sum()) // PIECES))
    if len(data) < 10:
        raise DataError(
            f"expected at least 10 rows to fit (8 to train on, 1 to stop by, 1 to test), got {len(data)}; give more data"
        )
    train, held_out, test = data.split((0.8, 0.1, 0.1), seed)
    return train, held_out, test
