"""Data whose labels are known for some rows only: what semi-supervised learning starts from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Size, Tensor

from pushforward.core.data import Batch, Data
from pushforward.core.errors import ConfigError, DataError

from .split import split_rows


@dataclass(frozen=True, eq=False, repr=False)
class PartlyLabelled:
    """Rows `rows` of `data`, with `labels` `(len(data),)` as the condition of every batch: -1 where they are not known.

    Build one with `hide_labels`, or from labels of your own. Splitting keeps the share of known labels, class by class.
    """

    data: Any
    labels: Tensor
    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"PartlyLabelled({len(self)} rows, {self.known} with labels, of {self.data!r})"

    @property
    def known(self) -> int:
        """Number of rows with a label."""
        return int((self.labels[self.rows] >= 0).sum())

    @property
    def event_shape(self) -> Size:
        """Of one row."""
        return self.data.event_shape

    @property
    def classes(self) -> int:
        """Number of classes: that of the data where they know it, else one more than the highest label."""
        found = getattr(self.data, "classes", None)
        if found is not None:
            return found
        of_table = getattr(self.data, "condition", None) is not None  # its hidden labels count as well
        return int((labels_of(self.data) if of_table else self.labels).max()) + 1

    def take(self, index: Tensor) -> Batch:
        """The batch of these rows; its condition is the labels, `(n,)`."""
        rows = self.rows[index]
        return Batch(self.data.take(rows).x, self.labels[rows])

    def to(self, device: torch.device | str) -> "PartlyLabelled":
        """Move to a device."""
        return PartlyLabelled(self.data.to(device), self.labels.to(device), self.rows.to(device))

    def split(self, fractions: Sequence[float], seed: int = 0) -> "tuple[PartlyLabelled, ...]":
        """Divide at random, each class and the rows without label in proportion; the same seed gives the same rows."""
        parts = split_rows(len(self), fractions, seed, self.labels[self.rows])
        return tuple(replace(self, rows=self.rows[part.to(self.rows.device)]) for part in parts)

    def describe(self) -> dict[str, Any]:
        """What a saved model should know of its data, as plain JSON."""
        return self.data.describe() if hasattr(self.data, "describe") else {}


def hide_labels(data: Data, share: float, seed: int = 0) -> PartlyLabelled:
    """The same rows, with the labels of a `share` of them, each class in proportion, replaced by -1.

    `data` are images with labels, or a table given one column of class numbers 0, 1, ... The same seed hides the same ones.
    Raises `ConfigError` for a share outside [0, 1], `DataError` for data without such labels.

    >>> from pushforward.parts.data import load
    >>> some = hide_labels(load("digits"), 0.9)
    >>> some
    PartlyLabelled(1797 rows, 180 with labels, of Images(1797 of 1 x 8 x 8, 17 levels, 10 classes))
    >>> some.take(torch.arange(5)).condition
    tensor([-1, -1, -1, -1, -1])
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"expected a share of the rows from 0 to 1, got {share:g}; 0.9 leaves one label in ten")
    labels = labels_of(data).clone()
    count = len(labels)
    if 0 < round(share * count) < count:
        hidden, _ = split_rows(count, (share, 1 - share), seed, labels)
        labels[hidden.to(labels.device)] = -1
    elif share > 0.5:
        labels.fill_(-1)
    return PartlyLabelled(data, labels, torch.arange(count, device=labels.device))


def labels_of(data: Any) -> Tensor:
    """Class numbers `(n,)` of images with labels or of a table given one column of them; raises `DataError` for others."""
    found = next((own for name in ("labels", "condition") if (own := getattr(data, name, None)) is not None), None)
    flat = None if found is None else found.reshape(len(found), -1)
    if flat is None or flat.shape[1] != 1 or bool(((flat != flat.round()) | (flat < 0)).any()):
        raise DataError(f"expected images with labels, or a table given one column of class numbers from 0, got {data!r}; "
                        "pass labels to Images.of, or use table.given(name)")  # fmt: skip
    return flat[:, 0].long()
