"""Classifier two-sample test: can a classifier tell generated rows from real ones? 0.5 is chance, 1 is certainty.

Lopez-Paz and Oquab 2017, https://arxiv.org/abs/1610.06545.
"""

import math
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Num
from torch import Tensor

from pushforward.core.errors import ConfigError, UserError

from .estimate import Estimate
from .rows import subsample, two_sets

Classifier = Literal["forest", "neighbours", "logistic"]


def c2st(x: Num[Tensor, "n *event"], y: Num[Tensor, "m *event"], *, classifier: Classifier = "forest", folds: int = 5,
         max_rows: int = 2000, seed: int = 0) -> Estimate:  # fmt: skip
    """Cross-validated accuracy of a classifier that tells `x` from `y`, with the standard error sqrt(a (1 - a) / N).

    Both sets are sub-sampled with `seed` to the smaller of their sizes and `max_rows`, so that chance is one half.
    Folds share training rows, so the true standard error is a little larger. Raises `UserError` for fewer rows than
    folds and `ConfigError` for an unknown classifier.

    >>> c2st(torch.randn(200, 2), torch.randn(200, 2) + 10).value
    1.0
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    a, b = two_sets(x, y)
    rows = min(len(a), len(b), max_rows)
    if folds < 2 or rows < folds:
        raise UserError(
            f"expected at least 2 folds and as many rows as folds, got {folds} folds and {rows} rows; pass more rows"
        )
    both = torch.cat([subsample(a, rows, seed), subsample(b, rows, seed + 1)]).numpy()
    truth = np.repeat([0, 1], rows)
    split = StratifiedKFold(folds, shuffle=True, random_state=seed)
    guess = cross_val_predict(build(classifier, seed), both, truth, cv=split)
    accuracy = float(np.mean(guess == truth))
    return Estimate(accuracy, math.sqrt(accuracy * (1 - accuracy) / len(truth)))


def build(classifier: str, seed: int) -> object:
    """A scikit-learn classifier by name."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if classifier == "forest":
        return RandomForestClassifier(50, min_samples_leaf=3, random_state=seed)
    if classifier == "neighbours":
        return make_pipeline(StandardScaler(), KNeighborsClassifier(5))
    if classifier == "logistic":
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    raise ConfigError(f"expected a classifier among {', '.join(get_args(Classifier))}, got {classifier!r}")
