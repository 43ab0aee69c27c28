"""What the samplers of inverse problems share: ancestral steps whose predicted data can be looked at."""

import math
from dataclasses import dataclass

from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.models.diffusion.denoiser import Denoiser
from pushforward.models.diffusion.samplers.ancestral import posterior
from pushforward.models.diffusion.samplers.grid import grid
from pushforward.models.diffusion.samplers.walk import Row, table_of

Level = tuple[float, float]


@dataclass(frozen=True)
class Steps:
    """A model and a condition; the times at which it is asked; the data as (from_y, from_prediction) there; (cos, sin) of all angles."""

    model: Denoiser
    condition: Tensor | None
    times: tuple[float, ...]
    data_from: tuple[Row, ...]
    levels: tuple[Level, ...]

    @classmethod
    def of(cls, model: Denoiser, condition: Tensor | None, steps: int) -> "Steps":
        """Even angles from the most noise to clean data, (1, 0)."""
        angles, times = grid(model.path, steps, "angle")
        levels = tuple((math.cos(a), math.sin(a)) for a in angles[:-1])
        rows = table_of(model.path, model.predict, times[:-1], [(0.0, 1.0, 0.0)] * steps)
        return cls(model, condition, times, rows, (*levels, (1.0, 0.0)))

    def data(self, y: Tensor, step: int) -> Tensor:
        """E[data | y] at the beginning of a step."""
        from_y, from_prediction, _ = self.data_from[step]
        condition = self.condition
        if condition is not None and not y.is_inference():
            condition = condition.clone()  # one that was made in inference mode cannot be kept for a gradient
        return y * from_y + from_prediction * self.model(y, y.new_full((len(y),), self.times[step]), condition)

    def row(self, step: int) -> Row:
        """(from_y, from_data, from_noise) of an ancestral step."""
        return posterior(*self.levels[step], *self.levels[step + 1])


def attached(steps: "Steps | None", name: str, step: int = 0) -> Steps:
    """The steps, or a sentence that says what is wrong."""
    if steps is None:
        raise ConfigError(f"expected {name} attached to a model, got it alone; use model.sample(..., sampler=sampler) or "
                          "sampler.on(model, condition)")  # fmt: skip
    if step >= len(steps.data_from):
        raise ConfigError(f"expected at most {len(steps.data_from)} steps, got one more; this walk is at its end, which is data")  # fmt: skip
    return steps
