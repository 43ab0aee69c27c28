"""The probability flow as a sampler: a deterministic way from noise to data, by any ODE solver.

dx = [f - 1/2 g^2 score] dt, run on the angle clock (`../field.py`) in steps of even size.
Song et al. 2021, https://arxiv.org/abs/2011.13456, section 4.3.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.kernel import Info, Kernel, State
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.core.solver import Solver
from pushforward.models.diffusion.denoiser import Denoiser
from pushforward.models.diffusion.field import shared_flow_field
from pushforward.parts.diffeq import Heun, ODETerm

from .grid import Spacing, grid


@dataclass(frozen=True)
class _Flow:
    """The field of one model, and where the solver stops."""

    term: ODETerm
    angles: tuple[float, ...]
    times: tuple[float, ...]


@register
@dataclass(frozen=True)
class ProbabilityFlow(Kernel):
    """`steps` steps of an ODE solver of `pf.diffeq`, Heun's method by default (two network evaluations a step).

    The state is that of `Ancestral`. No random number is used but the noise it starts from, so the same noise gives
    the same data at every number of steps, up to the error of the solver; it shrinks as steps^-order.

    >>> ProbabilityFlow(steps=20).steps
    20
    """

    steps: int = 25
    solver: Solver = field(default_factory=Heun)
    spacing: Spacing = "angle"
    flow: _Flow | None = field(default=None, repr=False, compare=False)

    @property
    def order(self) -> float:
        """That of the solver."""
        return self.solver.order

    def on(self, model: Denoiser, condition: Tensor | None = None) -> "ProbabilityFlow":
        """This sampler attached to a model, for rows with this condition `(n, ...)`."""
        angles, times = grid(model.path, self.steps, self.spacing)
        return replace(self, flow=_Flow(ODETerm(shared_flow_field(model, condition)), angles, times))

    def init(self, x: Tensor) -> State:
        """Begin at standard normal noise `(n, *event)`."""
        flow = self._attached()
        return State(x, 0, self.solver.init([flow.term], x.new_full((len(x),), flow.angles[0]), x))

    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """One step of the solver towards the data."""
        flow, step, y = self._attached(), state.step, state.x
        if step >= self.steps:
            raise ConfigError(
                f"expected at most {self.steps} steps, got one more; this walk is at its end, which is data"
            )
        t0: Any = flow.angles[step]
        t1: Any = flow.angles[step + 1]
        if not getattr(self.solver, "float_times", False):  # a solver that wants a time for every row
            t0, t1 = y.new_full((len(y),), t0), y.new_full((len(y),), t1)
        y, _, memory = self.solver.step([flow.term], t0, t1, y, state.memory)
        if step + 1 == self.steps:
            y = y / math.cos(flow.angles[-1])  # y = cos(theta) data + little noise
        return State(y, step + 1, memory), Info({"time": flow.times[step + 1]})

    def _attached(self) -> _Flow:
        if self.flow is None:
            raise ConfigError("expected ProbabilityFlow attached to a model, got it alone; use model.sample(..., sampler=sampler) or "
                              "sampler.on(model, condition)")  # fmt: skip
        return self.flow
