"""What multistep samplers share: a table of numbers for the data predicted now and at the steps before.

With past predictions of the data at hand, a step is y <- a y + b_0 data_i + b_1 data_{i-1} + ... + c z, and a corrector moves y_i itself,
once its own prediction is known: y_i <- a' y_{i-1} + b'_0 data_i + b'_1 data_{i-1} + .... All numbers are known before the first step,
and a step costs one network evaluation whatever its order.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.kernel import Info, State
from pushforward.core.path import Path, Prediction
from pushforward.core.random import RowGenerator
from pushforward.models.diffusion.denoiser import Denoiser

from .walk import data_of


@dataclass(frozen=True)
class HistoryRow:
    """One step: of y and of the data, newest first; and the correction that comes before it, where there is one."""

    from_y: float
    from_data: tuple[float, ...]
    from_noise: float = 0.0
    corrected_from_y: float = 0.0
    corrected_from_data: tuple[float, ...] = ()


@dataclass(frozen=True)
class HistoryWalk:
    """A model and a condition; times; (c, d) of data = c y + d prediction at each; and the rows."""

    model: Denoiser
    condition: Tensor | None
    times: tuple[float, ...]
    data: tuple[tuple[float, float], ...]
    table: tuple[HistoryRow, ...]

    def begin(self, x: Tensor) -> State:
        """The memory: times as `(n,)` tensors, the corrected y before, and past data, newest first."""
        times = torch.tensor(self.times[: len(self.table)], dtype=x.dtype, device=x.device)
        return State(x, 0, (times[:, None].expand(-1, len(x)).unbind(), x, ()))

    def advance(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """One network evaluation, the correction if there is one, and the step."""
        step, y = state.step, state.x
        if step >= len(self.table):
            raise ConfigError(
                f"expected at most {len(self.table)} steps, got one more; this walk is at its end, which is data"
            )
        times, before, past = state.memory
        row, (c, d) = self.table[step], self.data[step]
        prediction = self.model(y, times[step], self.condition)
        data = torch.add(prediction * d, y, alpha=c) if c else prediction if d == 1 else prediction * d
        known = (data, *past)
        if row.corrected_from_data:
            y = weighted(before, row.corrected_from_y, known, row.corrected_from_data)
        moved = weighted(y, row.from_y, known, row.from_data)
        if row.from_noise:
            moved = torch.add(moved, generator.normal(*y.shape[1:], dtype=y.dtype), alpha=row.from_noise)
        keep = max((len(r.corrected_from_data or r.from_data) for r in self.table[step + 1 : step + 2]), default=1)
        return State(moved, step + 1, (times, y, known[: max(keep, len(row.from_data))])), Info(
            {"time": self.times[step + 1]}
        )


def weighted(y: Tensor, from_y: float, known: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """from_y y + sum_j weights_j known_j."""
    total = y * from_y
    for data, weight in zip(known, weights):
        total = torch.add(total, data, alpha=weight) if weight else total
    return total


@runtime_checkable
class Multistep(Protocol):
    """A sampler that is such a table, whatever the model."""

    def rows(self, path: Path) -> tuple[tuple[float, ...], tuple[HistoryRow, ...]]:
        """Times, one more than steps; and the rows."""
        ...


Tabulated = tuple[tuple[float, ...], tuple[tuple[float, float], ...], tuple[HistoryRow, ...]]


@functools.lru_cache(maxsize=256)
def tabulated(sampler: Multistep, path: Path, predict: Prediction) -> Tabulated:
    """Times, how the prediction gives the data, and the rows of a sampler that is not attached; remembered."""
    times, rows = sampler.rows(path)
    return times, data_of(path, predict, times[:-1]), rows


def log_snr(angles: Sequence[float]) -> list[float]:
    """lambda = log(alpha / sigma) = -log tan(theta)."""
    return [-math.log(math.tan(theta)) for theta in angles]
