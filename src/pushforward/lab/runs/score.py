"""Score rows of new data under a saved model."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pushforward.core.errors import DataError
from pushforward.parts.data import Images, Table

from .run import Run, load_data


@dataclass(frozen=True)
class Scores:
    """Log probability of every row, in nats, and its standard error where it is an estimate."""

    log_prob: Tensor
    std_error: Tensor | None
    kind: str
    event_numel: int = 1

    def columns(self) -> tuple[Tensor, list[str]]:
        """As a table to write."""
        if self.std_error is None:
            return self.log_prob[:, None], ["log_prob"]
        return torch.stack([self.log_prob, self.std_error], 1), ["log_prob", "std_error"]


def score(run: Run, source: str | Path) -> Scores:
    """Log probability of the rows of `source` under the model of `run`.

    Columns of a table are matched by name. Raises `DataError` for missing columns or images of another size.
    """
    options = dict(run.config.data_options)
    data = fit_to(run, load_data(str(source), options if str(source) == run.config.data else _loading(options)))
    model = run.model
    if not hasattr(model, "log_prob"):
        raise DataError(
            f"expected a model with a density, but {type(model).__name__} predicts functions; use `pushforward report`"
        )
    batch = data.take(torch.arange(len(data)))
    device = next(model.parameters()).device
    batch = batch.to(device)
    condition = batch.condition if model.condition_shape is not None else None
    with torch.no_grad():
        if hasattr(model, "log_prob_estimate"):
            estimate = model.log_prob_estimate(
                batch.x, condition, generator=torch.Generator(device=device).manual_seed(run.config.seed)
            )
            return Scores(estimate.value.cpu(), estimate.std_error.cpu(), "estimate", model.event_shape.numel())
        return Scores(model.log_prob(batch.x, condition).cpu(), None, model.log_prob_kind, model.event_shape.numel())


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
    if not isinstance(data, Table):
        raise DataError(
            f"expected a table with the columns {', '.join(about['columns'])}, got {type(data).__name__.lower()}"
        )
    return _match_columns(data, about["columns"], about.get("given", []))


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
    return {name: value for name, value in options.items() if name in ("resize", "mode", "label", "drop")}
