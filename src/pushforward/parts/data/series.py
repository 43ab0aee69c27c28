"""`Series`: time series that may be ragged, irregular, of several channels, and have gaps.

One grid of instants a row, padded to the longest row, and a mask that says which channel was seen at which instant: the
form in which Rubanova, Chen and Duvenaud (2019, https://arxiv.org/abs/1907.03907) give irregular series to a model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pushforward.core.errors import ConfigError, DataError
from pushforward.core.process import Context
from pushforward.core.random import RowGenerator

from .files import listed
from .series_checks import as_batch, as_targets, require_sound, require_sound_targets
from .split import split_rows


@dataclass(frozen=True)
class SeriesBatch:
    """Rows of a `Series`: t `(n, instants)`, x and observed `(n, instants, channels)`, labels `(n,)` and targets `(n, k)`, or None.

    Times ascend strictly within the real part of a row; the padding behind it repeats the row's last time, with nothing
    observed. x is 0 where it was not observed.
    """

    t: Float[Tensor, "n instants"]
    x: Float[Tensor, "n instants channels"]
    observed: Bool[Tensor, "n instants channels"]
    labels: Int[Tensor, " n"] | None = None
    targets: Float[Tensor, "n k"] | None = None

    def __len__(self) -> int:
        return len(self.t)

    def to(self, device: torch.device | str) -> "SeriesBatch":
        """Move to a device."""
        labels = None if self.labels is None else self.labels.to(device)
        targets = None if self.targets is None else self.targets.to(device)
        return SeriesBatch(self.t.to(device), self.x.to(device), self.observed.to(device), labels, targets)

    def context(self) -> Context:
        """The observations as the context of a `Process` whose x is time; the mask is `(n, instants, channels)`."""
        return Context(self.t[..., None], self.x, self.observed)

    @property
    def lengths(self) -> Int[Tensor, " n"]:
        """How many instants of each row are real."""
        return (self.t[:, 1:] > self.t[:, :-1]).sum(1) + 1


@dataclass(frozen=True)
class SeriesUnits:
    """What a model standardises by: mean and std `(channels,)` of the observed numbers, and the range of time.

    A channel that never changes, or was never seen, has std 1.
    """

    mean: Float[Tensor, " channels"]
    std: Float[Tensor, " channels"]
    start: float
    end: float


@dataclass(frozen=True, eq=False, repr=False)
class Series:
    """A data set whose rows are time series; the fields of `SeriesBatch`, and the names of channels and classes.

    Build one with `load`, with `Series.of` or with `Series.ragged`. `targets` `(n, k)` are numbers to predict from a series, as
    labels are classes. `time_name` and `time_unit` are for axes ("years", or
    "days since 2020-01-01"); `window` is the number of instants of a row where the rows were cut from long records.
    Raises `DataError` for shapes that do not fit, times that do not ascend, and rows in which nothing was observed.

    >>> series = Series.of([0.0, 0.5, 2.0], [[1.0, 2.0, float("nan")], [0.0, 1.0, 3.0]])
    >>> series
    Series(2 of up to 3 instants; x0; 5 of 6 numbers observed)
    >>> series.take(torch.tensor([0])).observed[0, :, 0]
    tensor([ True,  True, False])
    """

    t: Float[Tensor, "n instants"]
    x: Float[Tensor, "n instants channels"]
    observed: Bool[Tensor, "n instants channels"]
    labels: Int[Tensor, " n"] | None = None
    channel_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] | None = None
    time_name: str = "t"
    time_unit: str = ""
    window: int | None = None
    targets: Float[Tensor, "n k"] | None = None

    def __post_init__(self) -> None:
        require_sound(self.t, self.x, self.observed, self.labels, self.channel_names, self.class_names)
        require_sound_targets(self.targets, len(self.t))

    @classmethod
    def of(cls, t: Any, x: Any, observed: Any = None, labels: Any = None, *, channel_names: Sequence[str] = (),
           class_names: Sequence[str] | None = None, time_name: str = "t", time_unit: str = "", targets: Any = None) -> "Series":  # fmt: skip
        """Make a set from times `(instants,)`, shared, or `(n, instants)`, and numbers `(n, instants[, channels])`.

        A NaN in `x` means that it was not observed; so does False in `observed`, of the shape of `x`. Instants behind the
        last observation of a row may repeat its last time: they are padding. Channels without names are x0, x1, ... `targets` are
        numbers to predict, `(n,)` or `(n, k)`.

        >>> Series.of([0.0, 1.0], [[1.0, 2.0], [0.0, 1.0]], targets=[0.5, -1.5])
        Series(2 of up to 2 instants; x0; 4 of 4 numbers observed; 1 target)
        """
        fields = as_batch(t, x, observed, labels, channel_names)
        return cls(*fields, tuple(class_names) if class_names else None, time_name, time_unit,
                   targets=as_targets(targets, len(fields[0])))  # fmt: skip

    @classmethod
    def ragged(cls, t: Sequence[Any], x: Sequence[Any], labels: Any = None, *, channel_names: Sequence[str] = (),
               class_names: Sequence[str] | None = None, time_name: str = "t", time_unit: str = "", targets: Any = None) -> "Series":  # fmt: skip
        """Make a set of rows of different length: a list of times `(instants,)` and one of numbers `(instants[, channels])`.

        >>> Series.ragged([[0, 1, 2], [0, 5]], [[1, 2, 3], [4, 5]]).lengths.tolist()
        [3, 2]
        """
        if len(t) != len(x) or not len(t):
            raise DataError(f"expected times and numbers for each of at least one series, got {len(t)} and {len(x)}; "
                            "give one list of times to each list of numbers")  # fmt: skip
        times = [np.asarray(own, dtype=np.float64).reshape(-1) for own in t]
        rows = [np.asarray(own, dtype=np.float64) for own in x]
        rows = [own[:, None] if own.ndim == 1 else own for own in rows]
        widths = sorted({own.shape[-1] for own in rows})
        for i, (when, what) in enumerate(zip(times, rows)):
            if what.ndim != 2 or len(widths) != 1 or len(when) != len(what) or not len(when):
                raise DataError(f"expected numbers (instants, channels) with as many times and channels in every series, got "
                                f"{len(when)} times and numbers {what.shape} in series {i + 1}, with {listed(list(map(str, widths)))} "
                                "channels in all; correct that series")  # fmt: skip
        longest = max(map(len, times))
        when = np.stack([np.pad(own, (0, longest - len(own)), mode="edge") for own in times])
        what = np.stack([np.pad(own, ((0, longest - len(own)), (0, 0)), constant_values=np.nan) for own in rows])
        return cls.of(when, what, None, labels, channel_names=channel_names, class_names=class_names,
                      time_name=time_name, time_unit=time_unit, targets=targets)  # fmt: skip

    def __len__(self) -> int:
        return len(self.t)

    def __repr__(self) -> str:
        names = ", ".join(self.channel_names[:8]) + (f" and {self.channels - 8} more" if self.channels > 8 else "")
        classes = f"; {self.classes} classes" if self.labels is not None else ""
        if self.targets is not None:
            classes += f"; {self.targets.shape[1]} target{'s' if self.targets.shape[1] > 1 else ''}"
        real = int(self.lengths.sum()) * self.channels
        return (f"Series({len(self)} of up to {self.t.shape[1]} instants; {names}; {int(self.observed.sum()):,} of {real:,} numbers "
                f"observed{classes})")  # fmt: skip

    @property
    def channels(self) -> int:
        """How many numbers an instant may have."""
        return self.x.shape[-1]

    @property
    def classes(self) -> int:
        """Number of classes; 0 without labels."""
        if self.labels is None:
            return 0
        return len(self.class_names) if self.class_names else int(self.labels.max()) + 1

    @property
    def lengths(self) -> Int[Tensor, " n"]:
        """How many instants of each row are real."""
        return (self.t[:, 1:] > self.t[:, :-1]).sum(1) + 1

    def units(self) -> SeriesUnits:
        """Mean and standard deviation of what was observed, by channel, and the first and last time of all rows."""
        count = self.observed.sum((0, 1))
        x, seen = self.x.double(), self.observed.double()
        mean = x.sum((0, 1)) / count.clamp(min=1)
        std = (((x - mean) * seen).square().sum((0, 1)) / count.clamp(min=1)).sqrt()
        # A mean of equal numbers is off by rounding, and that is no spread.
        std = torch.where((count > 1) & (std > 1e-9 * mean.abs()), std, 1.0)
        return SeriesUnits(mean.to(self.x.dtype), std.to(self.x.dtype), float(self.t.min()), float(self.t.max()))

    def take(self, index: Tensor | list[int]) -> SeriesBatch:
        """The batch of these rows."""
        labels = None if self.labels is None else self.labels[index]
        targets = None if self.targets is None else self.targets[index]
        return SeriesBatch(self.t[index], self.x[index], self.observed[index], labels, targets)

    def rows(self, index: Tensor | list[int]) -> "Series":
        """The set of these rows."""
        return replace(self, **vars(self.take(index)))

    def to(self, device: torch.device | str) -> "Series":
        """Move to a device."""
        return replace(self, **vars(SeriesBatch(self.t, self.x, self.observed, self.labels, self.targets).to(device)))

    def split(self, fractions: Sequence[float], seed: int = 0) -> tuple["Series", ...]:
        """Divide the rows at random, the same way for the same seed, each class in proportion (see `split_rows`)."""
        return tuple(self.rows(part.to(self.t.device)) for part in split_rows(len(self), fractions, seed, self.labels))

    def unlabelled(self) -> "Series":
        """The same series without their labels and targets."""
        return replace(self, labels=None, class_names=None, targets=None)

    def dropped(self, fraction: float, seed: int = 0) -> "Series":
        """Hide this share of each row's observed instants, all channels of an instant together; one stays at least.

        Which ones depends on the seed and the number of the row.

        >>> Series.of(range(10), torch.ones(3, 10)).dropped(0.7).observed.sum((1, 2)).tolist()
        [3, 3, 3]
        """
        if not 0 <= fraction < 1:
            raise ConfigError(f"expected a share from 0 to below 1 to hide, got {fraction}; half of them is 0.5")
        seen = self.observed.any(-1)
        count = seen.sum(1, keepdim=True)
        hidden = torch.minimum((count * fraction).round().long(), count - 1)
        key = RowGenerator(seed, len(self), device=self.t.device).uniform(self.t.shape[1]).masked_fill(~seen, 2.0)
        kept = (key.argsort(1).argsort(1) >= hidden)[..., None]
        return replace(self, x=torch.where(kept, self.x, 0.0), observed=self.observed & kept)

    def compact(self) -> "Series":
        """Leave out the instants at which nothing was observed: shorter rows with the same observations."""
        seen = self.observed.any(-1)
        order = seen.int().sort(dim=1, descending=True, stable=True).indices[:, : int(seen.sum(1).max())]
        real = seen.gather(1, order)
        last = self.t.gather(1, order).masked_fill(~real, -torch.inf).amax(1, keepdim=True)
        wide = order[..., None].expand(*order.shape, self.channels)
        return replace(self, t=torch.where(real, self.t.gather(1, order), last),
                       x=self.x.gather(1, wide) * real[..., None], observed=self.observed.gather(1, wide))  # fmt: skip

    def windows(self, length: int, stride: int = 1) -> "Series":
        """Cut each row into windows of `length` instants that begin `stride` instants apart, and set their clocks to 0.

        The last window of a row ends with the row. Windows without an observation are left out, and so are rows that are too
        short. Raises `DataError` when none remains.

        >>> Series.of(range(6), torch.arange(6.0)[None]).windows(4, 2).x[..., 0].tolist()
        [[0.0, 1.0, 2.0, 3.0], [2.0, 3.0, 4.0, 5.0]]
        """
        if length < 1 or stride < 1:
            raise ConfigError(f"expected a length and a stride of at least 1, got {length} and {stride}; give more")
        row: list[int] = []
        first: list[int] = []
        for i, real in enumerate(self.lengths.tolist()):
            begins = range((real - length) % stride, real - length + 1, stride) if real >= length else range(0)
            row += [i] * len(begins)
            first += begins
        return self.cut(row, first, length)

    def cut(self, row: Sequence[int], first: Sequence[int], length: int) -> "Series":
        """The windows of `length` instants of these rows that begin at these instants, their clocks set to 0.

        Windows without an observation are left out; raises `DataError` when none remains.
        """
        kept = torch.zeros(0, dtype=torch.bool)
        if len(row):
            rows = torch.tensor(row, device=self.t.device)[:, None]
            columns = torch.tensor(first, device=self.t.device)[:, None] + torch.arange(length, device=self.t.device)
            kept = self.observed[rows, columns].flatten(1).any(1)
        if not kept.any():
            raise DataError(f"expected a row of at least {length} instants with an observation to cut windows from, got at most "
                            f"{int(self.lengths.max())}; ask for shorter windows")  # fmt: skip
        rows, columns = rows[kept], columns[kept]
        t = self.t.double()[rows, columns]
        labels = None if self.labels is None else self.labels[rows[:, 0]]
        targets = None if self.targets is None else self.targets[rows[:, 0]]
        return replace(self, t=(t - t[:, :1]).to(self.t.dtype), x=self.x[rows, columns], observed=self.observed[rows, columns],
                       labels=labels, window=length, targets=targets)  # fmt: skip

    def require_fittable(self, rows: int = 8) -> None:
        """Raise `DataError` if there are fewer than `rows` rows (windows are not counted), or all of a single instant."""
        if len(self) < rows and self.window is None:
            raise DataError(f"expected at least {rows} series to fit to, got {len(self)}; add series, or cut long ones into "
                            "windows with Series.windows")  # fmt: skip
        longest = int(self.observed.any(-1).sum(1).max())
        if longest < 2:
            raise DataError("expected series that were seen at two instants or more, got one each; a single moment has no course, "
                            "so fit a table instead")  # fmt: skip

    def describe(self) -> dict[str, Any]:
        """What a saved model should know of its data, as plain JSON."""
        return {"kind": "series", "channels": list(self.channel_names), "classes": self.classes,
                "class_names": list(self.class_names or ()), "targets": 0 if self.targets is None else self.targets.shape[1],
                "time": self.time_name, "time_unit": self.time_unit, "times": [float(self.t.min()), float(self.t.max())],
                "window": self.window, "never_observed": self.never_observed()}  # fmt: skip

    def never_observed(self) -> list[str]:
        """Channels without a single observation."""
        seen = self.observed.any(0).any(0).tolist()
        return [name for name, ever in zip(self.channel_names, seen) if not ever]
