"""What samplers share: a model and a condition bound to a table of numbers, one row a step.

On the angle clock (`parts/paths/angle.py`) y = cos(theta) data + sin(theta) noise on every path, and every
first-order sampler is y <- a y + b prediction + c z, with a, b, c known before the first step. So a step is one
network, two products and a sum.
"""

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.kernel import Info, State
from pushforward.core.path import Path, Prediction
from pushforward.core.random import RowGenerator
from pushforward.models.diffusion.denoiser import Denoiser
from pushforward.parts.paths.angle import scale
from pushforward.parts.paths.coefficients import conversion

Row = tuple[float, float, float]
W = TypeVar("W")


@dataclass(frozen=True)
class Walk:
    """A model and a condition; the times at which it is asked; for every step (from_y, from_prediction, from_noise).

    `log_variances` of every step, (of the posterior, beta), are for a model that has learned where between them it is.
    """

    model: Denoiser
    condition: Tensor | None
    times: tuple[float, ...]
    table: tuple[Row, ...]
    log_variances: tuple[tuple[float, float], ...] = ()

    def begin(self, x: Tensor) -> State:
        """Times as `(n,)` tensors, made once and not at every step."""
        times = torch.tensor(self.times[: len(self.table)], dtype=x.dtype, device=x.device)
        return State(x, 0, times[:, None].expand(-1, len(x)).unbind())

    def advance(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """y <- from_y y + from_prediction prediction + from_noise z."""
        step, y = state.step, state.x
        if step >= len(self.table):
            raise ConfigError(
                f"expected at most {len(self.table)} steps, got one more; this walk is at its end, which is data"
            )
        from_y, from_prediction, from_noise = self.table[step]
        if self.log_variances and from_noise:
            prediction, share = self.model.prediction_and_share(y, state.memory[step], self.condition)  # type: ignore[attr-defined]
            low, high = self.log_variances[step]
            noise = generator.normal(*y.shape[1:], dtype=y.dtype).mul_((0.5 * (low + share * (high - low))).exp())
            y = torch.add(y * from_y, prediction, alpha=from_prediction).add_(noise)
            return State(y, step + 1, state.memory), Info({"time": self.times[step + 1]})
        y = torch.add(y * from_y, self.model(y, state.memory[step], self.condition), alpha=from_prediction)
        if from_noise:
            y = torch.add(y, generator.normal(*y.shape[1:], dtype=y.dtype), alpha=from_noise)
        return State(y, step + 1, state.memory), Info({"time": self.times[step + 1]})


def attached(walk: W | None, name: str) -> W:
    """The walk, or a sentence that says how to get one."""
    if walk is None:
        raise ConfigError(f"expected {name} attached to a model, got it alone; use model.sample(..., sampler=sampler) or "
                          "sampler.on(model, condition)")  # fmt: skip
    return walk


@runtime_checkable
class Tabulated(Protocol):
    """A sampler that is a table: for every step (from_y, from_data, from_noise), whatever the model."""

    def rows(self, path: Path) -> tuple[tuple[float, ...], tuple[Row, ...]]:
        """Times, one more than steps; and the rows."""
        ...


@functools.lru_cache(maxsize=256)
def tabulated(sampler: Tabulated, path: Path, predict: Prediction) -> tuple[tuple[float, ...], tuple[Row, ...]]:
    """Times and the table of a sampler that is not attached, for what the network predicts; remembered."""
    times, updates = sampler.rows(path)
    return times, table_of(path, predict, times[:-1], updates)


def data_of(path: Path, predict: Prediction, times: Iterable[float]) -> tuple[tuple[float, float], ...]:
    """(c, d) with data = c y + d prediction, at every time."""
    t = torch.tensor(list(times), dtype=torch.float64)
    from_x, from_prediction = conversion(path, predict, "data", t)
    pairs = tuple(zip((from_x * scale(path, t)).tolist(), from_prediction.tolist()))
    if not all(math.isfinite(number) for pair in pairs for number in pair):
        raise ConfigError(
            f"expected a path on which {predict} determines the data, got {path}; its t_max must leave alpha above 0"
        )
    return pairs


def table_of(path: Path, predict: Prediction, times: Iterable[float], updates: Iterable[Row]) -> tuple[Row, ...]:
    """Turn updates (from_y, from_data, from_noise) into rows for what the network really predicts."""
    data_from = data_of(path, predict, times)
    return tuple((from_y + d * c, d * p, z) for (from_y, d, z), (c, p) in zip(updates, data_from))
