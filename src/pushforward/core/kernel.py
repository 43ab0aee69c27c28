"""`Kernel`: everything that takes a random state to the next. MCMC and diffusion samplers alike."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from .random import RowGenerator


@dataclass(frozen=True)
class State:
    """Where the chains are: positions `x`, `(n, *event)`, the step number, and what the kernel remembers."""

    x: Tensor
    step: int = 0
    memory: Any = None


@dataclass(frozen=True)
class Info:
    """What a step tells about itself: named `(n,)` tensors or numbers, such as acceptance."""

    values: Mapping[str, Any] = field(default_factory=dict)


Callback = Callable[[State, Info], None]


class Kernel:
    """A transition rule, pure: the same state and generator give the same next state.

    `n` chains are a batch dimension. `generator` has one stream per row, so chain 17 is the same whatever runs beside it.
    """

    @abstractmethod
    def init(self, x: Tensor) -> State:
        """Begin at `x`, `(n, *event)`."""

    @abstractmethod
    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """Move every chain once."""

    def run(self, x: Tensor, steps: int, generator: RowGenerator, callback: Callback | None = None) -> State:
        """Begin at `x` and step `steps` times; `callback(state, info)` sees each."""
        state = self.init(x)
        for _ in range(steps):
            state, info = self.step(state, generator)
            if callback is not None:
                callback(state, info)
        return state
