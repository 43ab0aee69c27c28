"""When a loss becomes NaN or infinite: back to the last good weights, at half the rate, and say so."""

import warnings
from typing import Any

import torch
from torch import Tensor

from pushforward.core.errors import UserError

MOST_ROLLBACKS = 10


class Guard:
    """Keeps a copy of everything the optimiser changes, and puts it back."""

    def __init__(self, tensors: list[Tensor], optimiser: torch.optim.Optimizer):
        self.tensors, self.optimiser = tensors, optimiser
        self.step, self.rate, self.rollbacks = 0, 1.0, 0
        self._kept: list[Tensor] = []
        self._live: list[Tensor] = []

    @torch.no_grad()
    def keep(self, step: int) -> None:
        """Remember the state after `step` steps as good."""
        live = [t.detach() for t in self.tensors] + [
            v for s in self.optimiser.state.values() for v in s.values() if isinstance(v, Tensor)
        ]
        if len(self._kept) != len(live):  # the optimiser makes its state at the first step
            self._kept = [t.clone() for t in live]
        else:
            torch._foreach_copy_(self._kept, live)
        self._live, self.step = live, step

    @torch.no_grad()
    def roll_back(self, step: int) -> dict[str, Any]:
        """Put the good state back and halve the rate; raises `UserError` after too many times."""
        self.rollbacks += 1
        if self.rollbacks > MOST_ROLLBACKS:
            raise UserError(f"expected a finite loss, got NaN or infinity {self.rollbacks} times up to step {step} although the learning rate was halved each time; "
                            "look at the data for extreme values, or lower learning_rate")  # fmt: skip
        torch._foreach_copy_(self._live, self._kept)
        for state in list(self.optimiser.state):
            if not any(value is kept for value in self.optimiser.state[state].values() for kept in self._live):
                self.optimiser.state.pop(state)  # made after the copy: it starts afresh
        self.rate /= 2
        message = (
            f"the loss was not finite before step {step}: back to the weights of step {self.step}, learning rate halved"
        )
        warnings.warn(message, stacklevel=3)
        return {"step": step, "rolled_back_to": self.step, "message": message}
