"""`Solver`: one step of a differential equation. What it declares, the laws measure."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor

from .term import Term


class Solver:
    """Takes y at t0 to y at t1, every sample with times of its own.

    `order` is the order of the global error for an ODE; `strong_order` that of E|error| for an SDE (None where the
    solver is for ODEs only); `interpretation` says which stochastic integral it converges to.
    """

    order: int
    strong_order: float | None = None
    interpretation: Literal["ito", "stratonovich"] | None = None
    adaptive: bool = False  # does step return an error estimate?

    @abstractmethod
    def init(self, terms: Sequence[Term], t0: Tensor, y0: Tensor) -> Any:
        """What is carried from step to step (a first stage to reuse, say); `(n, ...)` tensors, or None."""

    @abstractmethod
    def step(
        self, terms: Sequence[Term], t0: Tensor, t1: Tensor, y0: Tensor, state: Any
    ) -> tuple[Tensor, Tensor | None, Any]:
        """Return `(y1, error, state)`; `error` estimates the local error `(n, *event)`, or is None."""
