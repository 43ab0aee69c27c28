"""Score series under a saved model: forecasts of their last third, or the answers of a classifier."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pushforward.core.errors import DataError
from pushforward.core.process import Process
from pushforward.core.registry import device_of
from pushforward.lab.metrics import Estimate
from pushforward.lab.report.predictor import ROWS, class_log_probs
from pushforward.lab.report.series_model import last_hidden, score_hidden
from pushforward.parts.data import Series, SeriesBatch, Table

from .records import horizon_of


@dataclass(frozen=True)
class SeriesScores:
    """One row a series: `values` `(n, columns)` under `names`.

    For a forecaster the RMSE of the hidden last third, in standard deviations of each channel, and its log-likelihood in nats a
    number; for a classifier the log probability of each class and, where the labels are known, whether the answer is right; for a
    model of targets what it predicts and, where they are known, the error and the log-likelihood.
    """

    values: Tensor
    names: list[str]

    def summary(self) -> str:
        """The means, in one line."""
        if "error" in self.names:
            square = Estimate.of(self.values[:, self.names.index("error")].square())
            root = square.value**0.5
            likelihood = Estimate.of(self.values[:, self.names.index("log_prob")])
            return (f"RMSE {root:.4g} (std error {square.std_error / (2 * root) if root else 0:.2g}), mean log_prob {likelihood.value:.4f} nats "
                    f"(std error {likelihood.std_error:.4f}), {len(self.values):,} series")  # fmt: skip
        if "prediction_1" in self.names:
            return f"{len(self.values):,} series without targets; write the predictions with -o"
        if "rmse" in self.names:
            square = Estimate.of(self.values[:, self.names.index("rmse")].square())
            root = square.value**0.5
            likelihood = Estimate.of(self.values[:, self.names.index("log_prob")])
            return (f"last third hidden: RMSE {root:.4f} standard deviations (std error {square.std_error / (2 * root) if root else 0:.4f}), "
                    f"mean log_prob {likelihood.value:.4f} nats a number (std error {likelihood.std_error:.4f}), {len(self.values):,} series")  # fmt: skip
        if "right" in self.names:
            right = Estimate.of(100 * self.values[:, self.names.index("right")])
            return f"accuracy {right.value:.2f} % (std error {right.std_error:.2f}, {len(self.values):,} series)"
        return f"{len(self.values):,} series without labels; write the probabilities of their classes with -o"

    def columns(self) -> tuple[Tensor, list[str]]:
        """As a table to write."""
        return self.values, self.names


def score_series(model: Any, data: Any, train: Series | None, seed: int) -> SeriesScores:
    """Score the rows of `data`; `train` gives the units of the channels, for a forecaster."""
    if getattr(model, "head", "") == "regress":
        return _score_numbers(model, data)
    if not isinstance(model, Process):
        log_p = class_log_probs(model, data, torch.arange(len(data)))
        names = [f"log_prob_{name}" for name in getattr(data, "class_names", None) or range(log_p.shape[1])]
        truth = data.condition if isinstance(data, Table) else data.labels
        if truth is None:
            return SeriesScores(log_p, names)
        right = (log_p.argmax(1) == truth.reshape(len(log_p)).cpu()).double()
        return SeriesScores(torch.cat([log_p, right[:, None]], 1), [*names, "right"])
    if train is not None and train.window is not None and data.window is None:
        data = data.windows(train.window, horizon_of(train.window))
    batch = data.take(torch.arange(len(data)))
    hidden = last_hidden(batch)
    short = ~hidden.flatten(1).any(1)
    if short.any():
        raise DataError(f"expected series seen at three instants or more, so that the last third can be hidden, got fewer in {int(short.sum())} "
                        f"of {len(short)}, the first number {int(short.int().argmax()) + 1}; leave them out")  # fmt: skip
    known = SeriesBatch(batch.t, torch.where(hidden, 0.0, batch.x), batch.observed & ~hidden)
    score = score_hidden(model, batch, known, hidden, (train or data).units(), seed)
    return SeriesScores(torch.stack([score.square.sqrt(), score.log_prob], 1), ["rmse", "log_prob"])


@torch.no_grad()
def _score_numbers(model: Any, data: Series) -> SeriesScores:
    """Predicted targets `(n, k)`; beside known ones the root of the mean square error of a row, and its log-likelihood."""
    device = device_of(model)
    parts = []
    for rows in torch.arange(len(data)).split(ROWS):
        batch = data.take(rows).to(device)
        prediction = model.predict(batch)
        columns = [prediction.mean]
        if batch.targets is not None:
            error = (prediction.mean - batch.targets).square().mean(1, keepdim=True).sqrt()
            columns += [error, prediction.log_prob(batch.targets)[:, None]]
        parts.append(torch.cat(columns, 1).cpu())
    values = torch.cat(parts).double()
    names = [f"prediction_{j + 1}" for j in range(model.outputs)]
    return SeriesScores(values, names + ([] if data.targets is None else ["error", "log_prob"]))


def match_channels(data: Any, about: Mapping[str, Any]) -> Series:
    """Bring new series into the channels, their order and the classes of the data that a model was fitted on."""
    wanted, classes = list(about["channels"]), list(about["class_names"])
    if not isinstance(data, Series):
        raise DataError(f"expected series with the channels {', '.join(wanted)}, got {type(data).__name__.lower()}; for a text file say which "
                        "column is the time with --set time=NAME when fitting")  # fmt: skip
    names = list(data.channel_names)
    missing = [name for name in wanted if name not in names]
    if missing and len(names) == len(wanted) and not set(names) & set(wanted):
        order = list(range(len(wanted)))  # other names: by position
    elif missing:
        raise DataError(f"expected the channels {', '.join(wanted)}, but {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing; "
                        f"the series have {', '.join(names)}")  # fmt: skip
    else:
        order = [names.index(name) for name in wanted]
    x, observed = data.x[..., order], data.observed[..., order]
    seen = observed.flatten(1).any(1)
    if not seen.all():
        raise DataError(f"expected an observation of {', '.join(wanted)} in every series, got none in {int((~seen).sum())} of {len(seen)}; "
                        "leave them out")  # fmt: skip
    fitted = replace(data, x=x, observed=observed, channel_names=tuple(wanted))
    own = list(data.class_names or ())
    if fitted.labels is None or not classes or own == classes:
        return fitted
    strange = [name for name in own if name not in classes]
    if strange:
        raise DataError(
            f"expected labels among {', '.join(classes)}, which the model was fitted on, got {', '.join(strange)}; leave those series out"
        )
    place = torch.tensor([classes.index(name) for name in own])
    return replace(fitted, labels=place[fitted.labels], class_names=tuple(classes))
