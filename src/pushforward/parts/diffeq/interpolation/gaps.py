"""What the interpolations share: points in order, and values for the channels that were not observed at an instant."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError, DataError, ShapeError

Fill = Literal["between", "forward"]


@dataclass(frozen=True)
class Points:
    """t `(n, T)` with T >= 2, x and known `(n, T, channels)`; x has a value everywhere.

    `real` `(n, T)` is False for padding. `known` is True where the value counts as given: observed, or held before a
    channel's first observation or after its last.
    """

    t: Tensor
    x: Tensor
    known: Tensor
    real: Tensor


def read_points(t: Tensor, x: Tensor, observed: Tensor | None, fill: str) -> Points:
    """Check the points and fill their gaps.

    "between": a straight line from a channel's observation before the gap to the one behind it; before the first
    observation and after the last, that one's value. "forward": the last value until the next, and 0 before the first,
    so that nothing is known ahead of its time. A channel that was never observed is 0.
    """
    if fill not in ("between", "forward"):
        raise ConfigError(f"expected fill 'between' or 'forward', got {fill!r}; choose one of these")
    t, x, observed = _checked(t, x, observed)
    real = torch.cat([torch.ones_like(t[:, :1], dtype=torch.bool), t[:, 1:] > t[:, :-1]], 1)
    if x.device.type == "cpu" and observed.all():
        return Points(t, x, observed, real)
    count = x.shape[1]
    place = torch.arange(count, device=x.device)[:, None]
    before = torch.where(observed, place, -1).cummax(1).values
    if fill == "forward":
        filled = torch.where(before >= 0, x.gather(1, before.clamp(min=0)), 0.0)
        return Points(t, filled, real[..., None].expand_as(observed), real)
    after = torch.where(observed, place, count).flip(1).cummin(1).values.flip(1)
    held = (before < 0) | (after == count)
    low = torch.where(before >= 0, before, after).clamp(max=count - 1)
    high = torch.where(after < count, after, before).clamp(min=0)
    times = t[..., None].expand_as(x)
    t_low, x_low = times.gather(1, low), x.gather(1, low)
    gap = times.gather(1, high) - t_low
    part = torch.where(gap > 0, (times - t_low) / torch.where(gap > 0, gap, 1.0), 0.0)
    return Points(t, x_low + part * (x.gather(1, high) - x_low), (observed | held) & real[..., None], real)


def _checked(t: Tensor, x: Tensor, observed: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """t `(n, T)` and the rest, with at least two columns; 0 where nothing was observed."""
    t = t.expand(len(x), -1) if t.ndim == 1 else t
    observed = ~x.isnan() if observed is None else observed
    if x.ndim != 3 or t.shape != x.shape[:2] or observed.shape != x.shape or not t.shape[1]:
        raise ShapeError(f"expected t (T,) or (n, T), x and observed (n, T, channels) with at least one instant, got "
                         f"{tuple(t.shape)}, {tuple(x.shape)} and {tuple(observed.shape)}; one series is a batch of one")  # fmt: skip
    if t.device.type == "cpu":  # elsewhere looking would mean to wait for the device
        ascends = t[:, 1:] > t[:, :-1]
        if not (ascends | ((t[:, 1:] == t[:, :-1]) & ~observed[:, 1:].any(-1))).all() or (ascends[:, 1:] & ~ascends[:, :-1]).any():  # fmt: skip
            raise DataError("expected times that ascend, with nothing observed where padding repeats the last, got others; "
                            "sort the instants of each series, and join those at the same time")  # fmt: skip
    x = torch.where(observed, x, 0.0)
    if t.shape[1] == 1:
        return t.repeat(1, 2), x.repeat(1, 2, 1), torch.cat([observed, torch.zeros_like(observed)], 1)
    return t, x, observed
