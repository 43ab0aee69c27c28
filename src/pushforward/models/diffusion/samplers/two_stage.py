"""What samplers of two evaluations a step share: a table of numbers for a trial step and for the step itself.

A step may begin with noise (y <- a_0 y + c_0 z'); the trial is y_1 = a y + b data_0 + c z; with the data predicted there, the step is
y <- a' y + b'_0 data_0 + b'_1 data_1 + c z, with the same z. All numbers are known before the first step.
"""

import functools
from collections.abc import Callable
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
class Stages:
    """One step. `there` is the time of the second evaluation, None for a step without one."""

    here: float
    trial: tuple[float, float]
    there: float | None = None
    final: tuple[float, float, float] = (0.0, 0.0, 0.0)
    noise: float = 0.0
    lift: tuple[float, float] = (1.0, 0.0)


@dataclass(frozen=True)
class TwoStageWalk:
    """A model and a condition; the steps; and (c, d) of data = c y + d prediction at both evaluations of each."""

    model: Denoiser
    condition: Tensor | None
    table: tuple[Stages, ...]
    data: tuple[tuple[tuple[float, float], tuple[float, float]], ...]

    def begin(self, x: Tensor) -> State:
        """The memory: both times of every step as `(n,)` tensors, made once."""
        pairs = [(s.here, s.here if s.there is None else s.there) for s in self.table]
        times = torch.tensor(pairs, dtype=x.dtype, device=x.device)
        return State(x, 0, times[..., None].expand(-1, -1, len(x)).unbind())

    def advance(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """The noise before it, if any, the trial, and the step."""
        step, y = state.step, state.x
        if step >= len(self.table):
            raise ConfigError(
                f"expected at most {len(self.table)} steps, got one more; this walk is at its end, which is data"
            )
        row, times = self.table[step], state.memory[step]
        draw: Callable[[], Tensor] = functools.partial(generator.normal, *y.shape[1:], dtype=y.dtype)
        if row.lift[1]:
            y = torch.add(y * row.lift[0], draw(), alpha=row.lift[1])
        first = self._data(y, times[0], *self.data[step][0])
        z = draw().mul_(row.noise) if row.noise else None
        moved = torch.add(y * row.trial[0], first, alpha=row.trial[1])
        moved = moved if z is None else moved.add_(z)
        if row.there is not None:
            second = self._data(moved, times[1], *self.data[step][1])
            moved = torch.add(y * row.final[0], first, alpha=row.final[1]).add_(second, alpha=row.final[2])
            moved = moved if z is None else moved.add_(z)
        after = self.table[step + 1].here if step + 1 < len(self.table) else 0.0
        return State(moved, step + 1, state.memory), Info({"time": after})

    def _data(self, y: Tensor, t: Tensor, c: float, d: float) -> Tensor:
        prediction = self.model(y, t, self.condition)
        return torch.add(prediction * d, y, alpha=c) if c or d != 1 else prediction


@runtime_checkable
class Staged(Protocol):
    """A sampler that is such a table, whatever the model."""

    def rows(self, path: Path) -> tuple[Stages, ...]:
        """The steps."""
        ...


@functools.lru_cache(maxsize=256)
def staged(sampler: Staged, path: Path, predict: Prediction,
           ) -> tuple[tuple[Stages, ...], tuple[tuple[tuple[float, float], tuple[float, float]], ...]]:  # fmt: skip
    """The steps of a sampler that is not attached, and how predictions give the data; remembered."""
    rows = sampler.rows(path)
    here = data_of(path, predict, [s.here for s in rows])
    there = data_of(path, predict, [s.here if s.there is None else s.there for s in rows])
    return rows, tuple(zip(here, there))
