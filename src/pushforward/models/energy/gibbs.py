r"""Gibbs sampling of Boltzmann machines: each number, or each layer, from its distribution given all others.

Spins: p(y_i = 1 | rest) = sigmoid(2 (W y + b)_i), one after the other. Layers: p(h_j = 1 | v) = sigmoid((v W + c)_j) and
p(v_i = 1 | h) = sigmoid((W h + b)_i), a whole layer at once. Geman and Geman 1984, https://doi.org/10.1109/TPAMI.1984.4767596
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pushforward.core.kernel import Info, Kernel, State
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register

if TYPE_CHECKING:
    from .boltzmann_machine import BoltzmannMachine
    from .restricted_boltzmann_machine import RestrictedBoltzmannMachine


@register
@dataclass(frozen=True)
class SpinGibbs(Kernel):
    """One sweep through the spins of a `BoltzmannMachine`, in order; x are rows of -1 and +1, `(n, d)`, as many chains at once.

    Each step reports `flipped`, the share of the spins that changed.
    """

    machine: "BoltzmannMachine"

    def init(self, x: Tensor) -> State:
        """Begin at x, `(n, d)`."""
        return State(x)

    @torch.no_grad()
    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """Draw every spin once."""
        u = generator.uniform(state.x.shape[1], dtype=state.x.dtype)
        x = sweep(state.x, self.machine.weights, self.machine.field, u)
        return State(x, state.step + 1), Info({"flipped": (x != state.x).to(x.dtype).mean(1)})


@register
@dataclass(frozen=True)
class BlockGibbs(Kernel):
    """Hidden bits given the visible, then visible given hidden: one step of a `RestrictedBoltzmannMachine` on x `(n, d)` of 0 and 1.

    The hidden bits that were drawn are the state's memory.
    """

    machine: "RestrictedBoltzmannMachine"

    def init(self, x: Tensor) -> State:
        """Begin at visible bits x, `(n, d)`."""
        return State(x)

    @torch.no_grad()
    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """Draw both layers once."""
        m, x = self.machine, state.x
        h = (generator.uniform(m.hidden, dtype=x.dtype) < m.hidden_given(x)).to(x.dtype)
        v = (generator.uniform(x.shape[1], dtype=x.dtype) < m.visible_given(h)).to(x.dtype)
        return State(v, state.step + 1, h), Info({"flipped": (v != x).to(x.dtype).mean(1)})


def sweep(y: Tensor, weights: Tensor, field: Tensor, u: Tensor) -> Tensor:
    """Draw the spins y `(n, d)` one after the other, from uniform u `(n, d)`; y itself is left alone."""
    y = y.clone()
    local = y @ weights + field  # kept up to date: a change of one spin adds a multiple of its row
    for i in range(y.shape[1]):
        new = torch.where(u[:, i] < torch.sigmoid(2 * local[:, i]), 1.0, -1.0).to(y.dtype)
        local += (new - y[:, i])[:, None] * weights[i]
        y[:, i] = new
    return y
