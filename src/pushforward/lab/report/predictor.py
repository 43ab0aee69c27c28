"""The report of a model that predicts labels or numbers from rows, images or series.

Of labels: accuracy, the confusion matrix, and the area under the ROC curve of two classes; of numbers: errors and likelihood.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pushforward.core.errors import UserError
from pushforward.core.registry import device_of
from pushforward.lab.metrics import Estimate
from pushforward.parts.data import Images, Series, SeriesBatch, Table

from .common import History, some_rows, training_section, training_values
from .page import Report

ROWS = 256  # classified at once
ABOUT = """
A test row is given to the model, a series with all its observations; the class of the highest probability counts as its answer. The
log-likelihood is that of the right class, in nats; a model that says nothing scores the second figure, the shares of the
classes in the training data.
"""
AREA = "AUC is the chance that a row of the second class is given a higher probability of it than one of the first; 0.5 is a coin."


def report_predictor(model: Any, train: Any, test: Any, history: History, *, seed: int = 0, title: str = "",
                     minutes: float | None = None, most_rows: int = 4000,
                     expected: Mapping[str, tuple[float, float]] | None = None) -> Report:  # fmt: skip
    """Predict the labels (or numbers) of held-out rows; `expected` maps headline figures ("accuracy (%)", "AUC") to ranges.

    Raises `UserError` for data without them.
    """
    regresses = getattr(model, "head", "classify") == "regress"
    given, known = _answers(test, regresses), _answers(train, regresses)
    if given is None or known is None:
        raise UserError("expected data with labels to report on a model that predicts them, got none; load series with label=, a table "
                        "with given=")  # fmt: skip
    index = some_rows(test, most_rows, seed)
    what = "series" if isinstance(test, Series) else "images" if isinstance(test, Images) else "rows"
    if regresses:
        return _report_numbers(model, known, test, index, given[index].cpu(), history, minutes,
                               Report(title or type(model).__name__, expected=expected,
                                      subtitle=f"{len(train):,} training and {len(test):,} test {what}"))  # fmt: skip
    given, known = given.reshape(len(test)).long(), known.reshape(len(train)).long()
    log_p, truth = class_log_probs(model, test, index), given[index].cpu()
    names = [str(name) for name in getattr(test, "class_names", None) or range(log_p.shape[1])]
    page = Report(title or f"{type(model).__name__} of {what}", expected=expected,
                  subtitle=f"{len(train):,} training and {len(test):,} test {what}; {len(names)} classes")  # fmt: skip
    answer = log_p.argmax(1)
    right = Estimate.of((answer == truth).double())
    shares = known.cpu().bincount(minlength=log_p.shape[1]).double() / len(train)
    chance = float((truth == shares.argmax()).double().mean())
    page.value("accuracy (%)", 100 * right.value, 100 * right.std_error, note=f"{100 * chance:.0f} by the commonest class")  # fmt: skip
    likelihood = Estimate.of(log_p.gather(1, truth[:, None])[:, 0])
    prior = shares.clamp(min=1 / (len(train) + 1)).log()[truth].mean()
    page.value("log-likelihood", likelihood.value, likelihood.std_error, note=f"nats a row; {float(prior):.3g} without looking")  # fmt: skip
    if log_p.shape[1] == 2 and 0 < int(truth.sum()) < len(truth):
        area = roc_area(log_p[:, 1] - log_p[:, 0], truth)
        page.value("AUC", area.value, area.std_error, note="0.5 is chance")
    training_values(page, model, history, minutes)
    page.section("Answers").text(ABOUT + (AREA if log_p.shape[1] == 2 else ""))
    counts = torch.zeros(len(names), len(names), dtype=torch.long)
    counts.index_put_((truth, answer), torch.ones_like(truth), accumulate=True)
    rows = [
        [names[i], *counts[i].tolist(), f"{100 * float(counts[i, i]) / max(1, int(counts[i].sum())):.1f}"]
        for i in range(len(names))
    ]
    page.table(
        rows,
        ["true class", *names, "right (%)"],
        f"What the model answered (columns) for {len(truth):,} test {what} of each class (rows).",
    )
    training_section(page, history, "loss of the model")
    return page


def _answers(data: Any, numbers: bool) -> Tensor | None:
    """What is to be predicted: labels, the targets of series, or the columns a table is given."""
    if numbers and isinstance(data, Series) and data.targets is not None:
        return data.targets
    return data.condition if isinstance(data, Table) else data.labels


@torch.no_grad()
def _report_numbers(model: Any, known: Tensor, test: Any, index: Tensor, truth: Tensor, history: History, minutes: float | None,
                    page: Report) -> Report:  # fmt: skip
    """Errors and likelihood of predicted numbers, beside those of their training mean and spread."""
    device, truth = device_of(model), truth.reshape(len(index), -1)
    known = known.reshape(len(known), -1).double()
    errors, likelihoods = [], []
    for rows, own in zip(index.split(ROWS), truth.split(ROWS)):
        prediction = model.predict(_seen(test.take(rows).to(device)))
        errors.append((prediction.mean.cpu() - own).square().mean(1))
        likelihoods.append(prediction.log_prob(own.to(device)).cpu())
    square, likelihood = Estimate.of(torch.cat(errors).double()), Estimate.of(torch.cat(likelihoods).double())
    plain = float((truth - known.mean(0)).square().mean())
    prior = torch.distributions.Normal(known.mean(0), known.std(0)).log_prob(truth.double()).sum(1).mean()
    root = square.value**0.5
    page.value(
        "RMSE", root, square.std_error / (2 * root) if root else 0.0, note=f"{plain**0.5:.3g} by the training mean"
    )
    page.value(
        "log-likelihood", likelihood.value, likelihood.std_error, note=f"nats a row; {float(prior):.3g} without looking"
    )
    training_values(page, model, history, minutes)
    training_section(page, history, "loss of the model")
    return page


def _seen(batch: Any) -> Any:
    """What the model predicts from: a series, or the numbers of a row."""
    return batch if isinstance(batch, SeriesBatch) else batch.x


@torch.no_grad()
def class_log_probs(model: Any, data: Any, index: Tensor) -> Tensor:
    """log p of every class for these rows, `(n, classes)`, on the CPU."""
    device = device_of(model)
    parts = [
        model.predict(_seen(data.take(rows).to(device))).logits.log_softmax(-1).cpu() for rows in index.split(ROWS)
    ]
    return torch.cat(parts).double()


def roc_area(score: Tensor, positive: Tensor) -> Estimate:
    """The area under the ROC curve, by the Mann-Whitney statistic, with the standard error of Hanley and McNeil
    (1982, https://doi.org/10.1148/radiology.143.1.7063747).

    >>> roc_area(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1])).value
    0.75
    """
    ours, theirs = score[positive.bool()].double(), score[~positive.bool()].double().sort().values
    below = torch.searchsorted(theirs, ours).double()
    ties = torch.searchsorted(theirs, ours, right=True).double() - below
    n, m = len(ours), len(theirs)
    area = float((below + ties / 2).sum()) / (n * m)
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (n - 1) * (q1 - area**2) + (m - 1) * (q2 - area**2)) / (n * m)
    return Estimate(area, max(variance, 0.0) ** 0.5)
