"""Exponential moving average of the weights (Polyak and Juditsky 1992): what is evaluated, kept and saved."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """Average of parameters and floating buffers with decay min(decay, (1 + step) / (10 + step)).

    The second term lets the average forget the random start in a short run. With decay 0 it is the model itself.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.live = dict(model.state_dict(keep_vars=True))
        self.averaged = {name: value.detach().clone() for name, value in self.live.items()} if decay else {}
        # Lists made once: at every step they would cost more than the averaging.
        floating = [name for name in self.averaged if self.live[name].is_floating_point()]
        self._averaged, self._live = [self.averaged[n] for n in floating], [self.live[n].detach() for n in floating]
        self._others = [name for name in self.averaged if not self.live[name].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the weights after `step` (0-based)."""
        if not self.decay:
            return
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averaged, self._live, weight)
        for name in self._others:
            self.averaged[name].copy_(self.live[name])

    def weights(self) -> dict[str, Tensor]:
        """The weights to evaluate and keep, by name; not copies."""
        return self.averaged if self.decay else {name: value.detach() for name, value in self.live.items()}

    @torch.no_grad()
    def put(self, weights: dict[str, Tensor]) -> None:
        """Write `weights` into the model."""
        for name, value in weights.items():
            self.live[name].copy_(value)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """The model carries the average inside the `with`, and its own weights again after it."""
        if not self.decay:
            yield
            return
        own = {name: value.detach().clone() for name, value in self.live.items()}
        self.put(self.averaged)
        try:
            yield
        finally:
            self.put(own)
