"""What samplers share: a model and a condition bound to a table of numbers, one row a step.

On the angle clock (`parts/paths/angle.py`) y = cos(theta) data + sin(theta) noise on every path, and every
first-order sampler is y <- a y + b prediction + c z, with a, b, c known before the first step. So a step is one
network, two products and a sum.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

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


def attached(walk: "Walk | None", name: str) -> Walk:
    """The walk, or a sentence that says how to get one."""
    if walk is None:
        raise ConfigError(f"expected {name} attached to a model, got it alone; use model.sample(..., sampler=sampler) or "
                          "sampler.on(model, condition)")  # fmt: skip
    return walk


def table_of(path: Path, predict: Prediction, times: Iterable[float], updates: Iterable[Row]) -> tuple[Row, ...]:
    """Turn updates (from_y, from_data, from_noise) into rows for what the network really predicts."""
    t = torch.tensor(list(times), dtype=torch.float64)
    from_x, from_prediction = conversion(path, predict, "data", t)
    data_from = zip((from_x * scale(path, t)).tolist(), from_prediction.tolist())
    rows = tuple((from_y + d * c, d * p, z) for (from_y, d, z), (c, p) in zip(updates, data_from))
    if not all(math.isfinite(number) for row in rows for number in row):
        raise ConfigError(
            f"expected a path on which {predict} determines the data, got {path}; its t_max must leave alpha above 0"
        )
    return rows
