"""Score rows of new data under a saved model."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pushforward.core.errors import DataError
from pushforward.core.process import Process
from pushforward.lab.metrics import bits_per_dim, nll
from pushforward.lab.report.common import find_log_z
from pushforward.parts.data import Audio, Images, Series, Table

from .run import Run, load_data
from .score_series import SeriesScores, match_channels, score_series


@dataclass(frozen=True)
class Scores:
    """Log probability of every row, in nats, and its standard error where it is an estimate."""

    log_prob: Tensor
    std_error: Tensor | None
    kind: str
    event_numel: int = 1
    images: bool = False
    samples: Tensor | None = None  # of each clip, for sound

    def summary(self) -> str:
        """The mean, in one line."""
        mean = nll(self.log_prob)
        bits = f", {bits_per_dim(self.log_prob, self.event_numel).value:.3f} bits/dim" if self.images else ""
        if self.samples is not None:
            bits = f", {-float(self.log_prob.double().sum() / self.samples.sum()) / math.log(2):.3f} bits/sample"
        return (f"mean log_prob {-mean.value:.4f} nats{bits} (std error {mean.std_error:.4f}, {len(self.log_prob):,} rows, "
                f"{self.kind.replace('_', ' ')})")  # fmt: skip

    def columns(self) -> tuple[Tensor, list[str]]:
        """As a table to write."""
        if self.std_error is None:
            return self.log_prob[:, None], ["log_prob"]
        return torch.stack([self.log_prob, self.std_error], 1), ["log_prob", "std_error"]


def score(run: Run, source: str | Path) -> Scores | SeriesScores:
    """Log probability of the rows of `source` under the model of `run`; of series, see `SeriesScores`.

    Columns of a table, and channels, are matched by name. Raises `DataError` for missing columns or images of another size.
    """
    data = new_data(run, source)
    model = run.model
    if isinstance(data, Series):
        return score_series(model, data, run.parts()[0] if isinstance(model, Process) else None, run.config.seed)
    if not isinstance(model, Process) and not hasattr(model, "log_prob") and getattr(model, "head", "") == "classify":
        return score_series(model, data, None, run.config.seed)
    if not hasattr(model, "log_prob"):
        raise DataError(
            f"expected a model with a density, but {type(model).__name__} predicts functions; use `pushforward report`"
        )
    find_log_z(model, run.config.seed)
    if getattr(model, "log_prob_kind", "") == "none" and not hasattr(model, "log_prob_estimate"):
        raise DataError(
            f"expected a model with a density, but {type(model).__name__} only draws; use `pushforward sample` or `report`"
        )
    return _densities(run, model, data)


def _densities(run: Run, model: Any, data: Any) -> Scores:
    batch = data.take(torch.arange(len(data)))
    device = next(model.parameters()).device
    batch, images = batch.to(device), run.about.get("kind") == "images"
    condition = batch.condition if model.condition_shape is not None else None
    samples = (~batch.x.isnan()).sum(1).cpu() if isinstance(data, Audio) else None
    with torch.no_grad():
        if hasattr(model, "log_prob_estimate"):
            estimate = model.log_prob_estimate(
                batch.x, condition, generator=torch.Generator(device=device).manual_seed(run.config.seed)
            )
            return Scores(estimate.value.cpu(), estimate.std_error.cpu(), "estimate", model.event_shape.numel(), images)
        return Scores(
            model.log_prob(batch.x, condition).cpu(),
            None,
            model.log_prob_kind,
            model.event_shape.numel(),
            images,
            samples,
        )


def new_data(run: Run, source: str | Path) -> Any:
    """Load `source` as the run's own data were loaded, and bring it into their shape."""
    options = dict(run.config.data_options)
    if str(source) == run.config.data and run.about.get("kind") == "series":
        return fit_to(run, load_data(str(source), options))
    options = _loading(options)
    if run.about.get("kind") == "series" and Path(str(source)).suffix.lower() in (".csv", ".tsv", ".txt"):
        options = {"time": run.about["time"], **options}
    elif run.about.get("kind") == "series":
        options = {}
    return fit_to(run, load_data(str(source), options))


def fit_to(run: Run, data: Any) -> Any:
    """Bring new data into the columns, the order and the shape of the data the model was fitted on."""
    about = run.about
    if about.get("kind") == "images":
        if not isinstance(data, Images) or tuple(data.shape) != tuple(about["shape"]):
            got = f"images of shape {tuple(data.shape)}" if isinstance(data, Images) else "a table"
            raise DataError(
                f"expected images of shape {tuple(about['shape'])} (channels, height, width), got {got}; resize them first"
            )
        return data
    if about.get("kind") == "audio":
        return _match_sound(data, about)
    if about.get("kind") == "series":
        return match_channels(data, about)
    if not isinstance(data, Table):
        raise DataError(
            f"expected a table with the columns {', '.join(about['columns'])}, got {type(data).__name__.lower()}"
        )
    return _match_columns(data, about["columns"], about.get("given", []))


def _match_sound(data: Any, about: dict[str, Any]) -> Audio:
    """Clips at the rate, and with labels among the classes, that the model was fitted on."""
    if not isinstance(data, Audio):
        raise DataError(f"expected clips of sound, got {type(data).__name__.lower()}; give .wav files")
    data, known = data.resampled(about["rate"]), list(about["class_names"])
    if data.labels is None or not known or list(data.class_names) == known:
        return data
    if strange := [name for name in data.class_names if name not in known]:
        raise DataError(f"expected classes among {', '.join(known)}, got {', '.join(strange)}; leave those clips out")
    place = torch.tensor([known.index(name) for name in data.class_names])
    return replace(data, labels=place[data.labels], class_names=tuple(known))


def _match_columns(table: Table, columns: list[str], given: list[str]) -> Table:
    names = [column.name for column in table.columns]
    wanted = [*columns, *given]
    missing = [name for name in wanted if name not in names]
    if missing and len(names) == len(wanted) and not set(names) & set(wanted):
        order = list(range(len(wanted)))  # a file without a header, or with other names: by position
    elif missing:
        raise DataError(f"expected the columns {', '.join(wanted)}, but {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing; "
                        f"the file has {', '.join(names)}")  # fmt: skip
    else:
        order = [names.index(name) for name in wanted]
    values = table.values[:, order]
    k = len(columns)
    return replace(table, values=values[:, :k], columns=tuple(replace(table.columns[i], name=n) for i, n in zip(order[:k], columns)),
                   condition=values[:, k:] if given else None, condition_names=tuple(given))  # fmt: skip


def _loading(options: dict[str, Any]) -> dict[str, Any]:
    """Of the options the model's data was loaded with, those that say how to read a file, not which columns to use."""
    return {
        name: value
        for name, value in options.items()
        if name in ("resize", "mode", "label", "drop", "time", "series", "channel", "value")
    }
