"""The report of a classifier of series: accuracy, the confusion matrix, and the area under the ROC curve of two classes."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pushforward.core.errors import UserError
from pushforward.core.registry import device_of
from pushforward.lab.metrics import Estimate
from pushforward.parts.data import Series

from .common import History, some_rows, training_section, training_values
from .page import Report

ROWS = 256  # classified at once
ABOUT = """
A test series is given to the model with all its observations; the class of the highest probability counts as its answer. The
log-likelihood is that of the right class, in nats; a model that says nothing scores the second figure, the shares of the
classes in the training data.
"""
AREA = "AUC is the chance that a series of the second class is given a higher probability of it than one of the first; 0.5 is a coin."


def report_classifier(model: Any, train: Series, test: Series, history: History, *, seed: int = 0, title: str = "",
                      minutes: float | None = None, most_series: int = 4000,
                      expected: Mapping[str, tuple[float, float]] | None = None) -> Report:  # fmt: skip
    """Classify held-out series; `expected` maps names of headline figures ("accuracy (%)", "AUC") to ranges.

    Raises `UserError` for series without labels.
    """
    if test.labels is None or train.labels is None:
        raise UserError("expected series with labels to report on a classifier, got none; load them with label=")
    names = [str(name) for name in test.class_names or range(test.classes)]
    page = Report(title or f"{type(model).__name__} of series", expected=expected,
                  subtitle=f"{len(train):,} training and {len(test):,} test series; {len(names)} classes")  # fmt: skip
    index = some_rows(test, most_series, seed)
    log_p, truth = class_log_probs(model, test, index), test.labels[index].cpu()
    answer = log_p.argmax(1)
    right = Estimate.of((answer == truth).double())
    shares = train.labels.cpu().bincount(minlength=log_p.shape[1]).double() / len(train)
    chance = float((truth == shares.argmax()).double().mean())
    page.value("accuracy (%)", 100 * right.value, 100 * right.std_error, note=f"{100 * chance:.0f} by the commonest class")  # fmt: skip
    likelihood = Estimate.of(log_p.gather(1, truth[:, None])[:, 0])
    prior = shares.clamp(min=1 / (len(train) + 1)).log()[truth].mean()
    page.value("log-likelihood", likelihood.value, likelihood.std_error, note=f"nats a series; {float(prior):.3g} without looking")  # fmt: skip
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
        f"What the model answered (columns) for {len(truth):,} test series of each class (rows).",
    )
    training_section(page, history, "loss of the model")
    return page


@torch.no_grad()
def class_log_probs(model: Any, data: Series, index: Tensor) -> Tensor:
    """log p of every class for these rows, `(n, classes)`, on the CPU."""
    device = device_of(model)
    parts = [model.predict(data.take(rows).to(device)).logits.log_softmax(-1).cpu() for rows in index.split(ROWS)]
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
