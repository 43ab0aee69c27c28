"""What a set of time series must satisfy, and the sentences where it does not."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pushforward.core.errors import DataError

from .files import listed
from .table import require_unique, to_numpy


def as_batch(
    t: Any, x: Any, observed: Any, labels: Any, channel_names: Sequence[str]
) -> tuple[Tensor, Tensor, Tensor, Tensor | None, tuple[str, ...]]:
    """Arrays as the fields of a `Series`: t `(n, instants)`, x and observed `(n, instants, channels)`, labels, names."""
    when, what = _numbers(t, "times"), _numbers(x, "numbers")
    what = what[..., None] if what.ndim == 2 else what
    when = np.broadcast_to(when, (len(what), len(when))) if when.ndim == 1 and what.ndim == 3 else when
    if what.ndim != 3 or when.shape != what.shape[:2] or 0 in what.shape:
        raise DataError(f"expected numbers (n, instants) or (n, instants, channels) and times (instants,) or (n, instants), none "
                        f"of them empty, got {np.shape(x)} and {np.shape(t)}; one series is a set of one, x[None]")  # fmt: skip
    seen = ~np.isnan(what)
    if observed is not None:
        mask = to_numpy(observed).astype(bool)
        mask = mask[..., None] if mask.ndim == 2 else mask
        if mask.shape != what.shape and mask.shape != (*what.shape[:2], 1):
            raise DataError(f"expected a mask of what was observed of the shape {what.shape} of the numbers, got {mask.shape}; "
                            "give True or False to every number")  # fmt: skip
        seen = seen & mask
    names = tuple(channel_names) or tuple(f"x{j}" for j in range(what.shape[2]))
    dtype = torch.get_default_dtype()
    fine = torch.from_numpy(np.array(when))
    _require_ascending(fine, torch.from_numpy(seen).any(-1), "times")
    narrow = fine.to(dtype)
    lost = ((narrow[:, 1:] <= narrow[:, :-1]) & (fine[:, 1:] > fine[:, :-1])).any(1)
    if lost.any():
        row = int(lost.int().argmax())
        raise DataError(f"expected times that {str(dtype).removeprefix('torch.')} can tell apart, got neighbours that become equal in "
                        f"series {row + 1}, around {float(fine[row, 0]):.10g}; subtract the first time, or use a larger unit")  # fmt: skip
    values = torch.from_numpy(np.where(seen, what, 0.0)).to(dtype)
    classes = None if labels is None else torch.as_tensor(to_numpy(labels)).long()
    mask = torch.from_numpy(seen)
    empty = [name for name, ever in zip(names, mask.any(0).any(0).tolist()) if not ever]
    if empty and len(empty) < len(names):
        warnings.warn(f"nothing was ever observed in {listed(empty)}; the model can say nothing about it", stacklevel=3)
    return narrow, values, mask, classes, names


def require_sound(t: Tensor, x: Tensor, observed: Tensor, labels: Tensor | None, channel_names: Sequence[str],
                  class_names: Sequence[str] | None) -> None:  # fmt: skip
    """Raise `DataError` for fields of a `Series` that do not fit one another."""
    if (
        x.ndim != 3
        or t.shape != x.shape[:2]
        or observed.shape != x.shape
        or observed.dtype != torch.bool
        or 0 in x.shape
    ):
        raise DataError("expected t (n, instants), x and a mask observed (n, instants, channels), none of them empty, got "
                        f"{tuple(t.shape)}, {tuple(x.shape)} and {tuple(observed.shape)}; use Series.of")  # fmt: skip
    if len(channel_names) != x.shape[2]:
        raise DataError(
            f"expected a name for each of {x.shape[2]} channels, got {len(channel_names)}; use Series.of or give as many"
        )
    require_unique(channel_names, "the series")
    bad = observed & ~x.isfinite()
    if bad.any():
        row = int(bad.flatten(1).any(1).int().argmax())
        raise DataError(f"expected finite numbers where the series were observed, got {int(bad.sum())} that are not, the first in "
                        f"series {row + 1}; set them to NaN if they are missing, or correct them")  # fmt: skip
    if ((x != 0) & ~observed).any():
        raise DataError(
            "expected zeros where nothing was observed, got other numbers there; use Series.of, which sets them"
        )
    seen = observed.any(-1)
    _require_ascending(t, seen, "times")
    if not seen.any(1).all():
        rows = [str(i + 1) for i in (~seen.any(1)).nonzero()[:, 0].tolist()]
        raise DataError(f"expected at least one observation in every series, got none in {len(rows)} of {len(seen)}: number "
                        f"{', '.join(rows[:4])}{' and others' if len(rows) > 4 else ''}; leave them out")  # fmt: skip
    if labels is not None:
        most = len(class_names) if class_names else None
        wrong = labels.is_floating_point() or labels.shape != t.shape[:1] or int(labels.min()) < 0
        if wrong or (most is not None and int(labels.max()) >= most):
            raise DataError(f"expected a whole number from 0{f' to {most - 1}' if most else ''} to label each of {len(t)} series, got "
                            f"{tuple(labels.shape)} labels; number the classes from 0")  # fmt: skip


def as_targets(targets: Any, n: int) -> Tensor | None:
    """Numbers to predict for n series as a tensor `(n, k)`; one a series makes a column."""
    if targets is None:
        return None
    values = torch.from_numpy(_numbers(targets, "targets")).to(torch.get_default_dtype())
    values = values[:, None] if values.ndim == 1 else values
    require_sound_targets(values, n)
    return values


def require_sound_targets(targets: Tensor | None, n: int) -> None:
    """Raise `DataError` for targets that are not one row of finite numbers for each of n series."""
    if targets is None:
        return
    if targets.ndim != 2 or len(targets) != n or not targets.shape[1] or not targets.is_floating_point():
        raise DataError(f"expected targets ({n}, k), a row of numbers for each series, got {tuple(targets.shape)} of {targets.dtype}; "
                        "give numbers to Series.of")  # fmt: skip
    bad = ~targets.isfinite().all(1)
    if bad.any():
        raise DataError(f"expected finite targets, got {int(bad.sum())} series with one that is not, the first number "
                        f"{int(bad.int().argmax()) + 1}; leave them out")  # fmt: skip


def _require_ascending(t: Tensor, seen: Tensor, what: str) -> None:
    """Times ascend strictly, but for padding: repeats of the last time at the end, with nothing observed."""
    if not t.isfinite().all():
        row, column = (~t.isfinite()).nonzero()[0].tolist()
        raise DataError(f"expected a finite number for every one of the {what}, got {float(t[row, column])} at instant {column + 1} of "
                        f"series {row + 1}; leave instants without a time out (pad short series by repeating their last)")  # fmt: skip
    step = t[:, 1:] - t[:, :-1]
    padding = (t[:, 1:] == t[:, -1:]) & (seen[:, 1:].flip(1).cumsum(1).flip(1) == 0)
    wrong = (step < 0) | ((step == 0) & ~padding)
    if wrong.any():
        row, before = wrong.nonzero()[0].tolist()
        here, after = float(t[row, before]), float(t[row, before + 1])
        problem = "the same time twice" if here == after else "times that go back"
        remedy = "keep one of the two, or their mean" if here == after else "sort the instants by time"
        raise DataError(f"expected times that ascend in every series, got {problem} in series {row + 1}: {after:.9g} after "
                        f"{here:.9g}, at instant {before + 2}; {remedy}")  # fmt: skip


def _numbers(array: Any, what: str) -> np.ndarray:
    try:
        found = to_numpy(array if isinstance(array, Tensor | np.ndarray) else list(array))
        return found.astype(np.float64)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"expected {what} of series as a rectangle, got {error}; use Series.ragged for rows of different length"
        ) from None
