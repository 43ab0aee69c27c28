"""Generation by queues: one instant of a `WaveStack` at a time, each layer remembering the states that it will need again.

A layer of dilation d needs its state of d instants ago and no other, so a ring of d states is all there is to keep: the work
of an instant falls from the number of instants in the receptive field to one. Le Paine et al. 2016, "Fast WaveNet Generation
Algorithm", https://arxiv.org/abs/1611.09482.
"""

import numpy as np
import torch
from torch import Tensor

from .wave_stack import WaveStack


class WaveQueue:
    """The state of `rows` sequences that begin now; no gradients, and the weights are those of the moment it is made.

    >>> stack = WaveStack(1, 5, width=8, skip=8, dilations=[1, 2, 4])
    >>> queue, x = WaveQueue(stack, 2), torch.randn(2, 7 + 3, 1)
    >>> step_by_step = torch.stack([queue.step(x[:, t]) for t in range(10)], 1)
    >>> bool(torch.allclose(step_by_step[:, 7:], stack(x), atol=1e-5))
    True
    """

    @torch.no_grad()
    def __init__(self, stack: WaveStack, rows: int, given: Tensor | None = None):
        width, layers = stack.width, len(stack.dilations)
        weight = torch.stack([conv.linear.weight for conv in stack.gates])  # type: ignore[union-attr]
        bias = torch.stack([conv.linear.bias for conv in stack.gates])[:, None]  # type: ignore[union-attr]
        # sigmoid(g) = (1 + tanh(g / 2)) / 2: one tanh for both halves, z = (F + F G) / 2, and the half goes into the weights.
        half = torch.ones_like(bias)
        half[..., width:] = 0.5
        self.old, self.new = (weight[..., s] * half.mT for s in (slice(0, width), slice(width, None)))
        self.old, self.new = self.old.mT.contiguous(), list(self.new.mT.contiguous())
        self.bias, self.half = bias * half, half
        self.given = torch.stack([own.weight for own in stack.given]).mT if len(stack.given) else None  # type: ignore[union-attr]
        self.residuals = [(own.weight.T / 2).contiguous() for own in stack.residuals]  # type: ignore[union-attr]
        self.front = stack.front.weight.T.contiguous(), stack.front.bias
        self.tail = [(stack.skips.weight.T / 2).contiguous(), stack.skips.bias]
        self.hidden, self.out = stack.hidden, stack.out
        self.period = torch.tensor(stack.dilations, device=bias.device)
        self.first = self.period.cumsum(0) - self.period
        self.time = 0
        self.rings = bias.new_zeros(stack.past, rows, width)
        self.before = bias.new_empty(layers, rows, width)
        self.states = bias.new_empty(layers, rows, width)
        self.gates = bias.new_empty(layers, rows, 2 * width)
        self.z = bias.new_empty(rows, layers * width)
        # Views are made once: an operation on a row of a few numbers costs no more than the view itself.
        self.halves = [self.gates[..., own] for own in (slice(0, width), slice(width, None))]
        parts = self.z.split(width, 1)
        self.views = list(zip(self.states, self.gates, *self.halves, parts))
        self.base = self.bias.expand(layers, rows, 2 * width)
        # On a CPU an operation of numpy on a few numbers takes a tenth of the time that one of torch takes.
        self.arrays = _Arrays(self) if bias.device.type == "cpu" else None
        if given is not None:
            self.condition(given)

    @torch.no_grad()
    def condition(self, given: Tensor) -> None:
        """Set the condition `(rows, condition)` from now on."""
        assert self.given is not None
        self.base = self.bias + (given @ self.given) * self.half

    @torch.no_grad()
    def advance(self, x: Tensor) -> None:
        """Take the inputs `(rows, inputs)` of one more instant."""
        if self.arrays is not None:
            self.arrays.advance(x.numpy(), self.base.numpy(), self.time)
            self.time += 1
            return
        at = self.first + self.time % self.period
        torch.index_select(self.rings, 0, at, out=self.before)
        torch.baddbmm(self.base, self.before, self.old, out=self.gates)
        torch.addmm(self.front[1], x, self.front[0], out=self.states[0])
        last = len(self.views) - 1
        for layer, (state, both, f, g, z) in enumerate(self.views):
            both.addmm_(state, self.new[layer]).tanh_()
            torch.addcmul(f, f, g, out=z)
            if layer < last:
                torch.addmm(state, z, self.residuals[layer], out=self.views[layer + 1][0])
        self.rings.index_copy_(0, at, self.states)
        self.time += 1

    @torch.no_grad()
    def step(self, x: Tensor) -> Tensor:
        """Take the inputs `(rows, inputs)` of one more instant and return its outputs `(rows, outputs)`."""
        self.advance(x)
        if self.arrays is not None:
            return torch.from_numpy(self.arrays.outputs())
        return self.out(self.hidden(torch.addmm(self.tail[1], self.z, self.tail[0]).relu_()).relu_())


class _Arrays:
    """The same memory and the same steps as numpy sees them."""

    def __init__(self, queue: WaveQueue):
        self.old, self.new = queue.old.numpy(), [own.numpy() for own in queue.new]
        self.residuals = [own.numpy() for own in queue.residuals]
        self.front = [own.detach().numpy() for own in queue.front]
        heads = [(queue.hidden.weight.T, queue.hidden.bias), (queue.out.weight.T, queue.out.bias)]
        self.tail = [tuple(own.detach().numpy() for own in pair) for pair in (tuple(queue.tail), *heads)]
        self.first, self.period = queue.first.numpy(), queue.period.numpy()
        self.rings, self.before, self.states = queue.rings.numpy(), queue.before.numpy(), queue.states.numpy()
        self.gates, self.z, self.here = queue.gates.numpy(), queue.z.numpy(), queue.gates[0].numpy().copy()
        self.views = [tuple(own.numpy() for own in views) for views in queue.views]
        self.gated = np.empty_like(self.states[0])

    def advance(self, x: np.ndarray, base: np.ndarray, time: int) -> None:
        at = self.first + time % self.period
        np.take(self.rings, at, axis=0, out=self.before, mode="clip")  # "raise", the default, copies twice
        np.matmul(self.before, self.old, out=self.gates)
        np.add(self.gates, base, out=self.gates)
        state, here, gated = self.states[0], self.here, self.gated
        np.add(x @ self.front[0], self.front[1], out=state)
        last = len(self.views) - 1
        for layer, (state, both, f, g, z) in enumerate(self.views):
            np.dot(state, self.new[layer], out=here)
            np.add(both, here, out=both)
            np.tanh(both, out=both)
            np.multiply(f, g, out=gated)
            np.add(gated, f, out=gated)
            z[...] = gated
            if layer < last:
                after = self.views[layer + 1][0]
                np.dot(gated, self.residuals[layer], out=after)
                np.add(after, state, out=after)
        self.rings[at] = self.states

    def outputs(self) -> np.ndarray:
        h = self.z
        for i, (weight, bias) in enumerate(self.tail):
            h = (np.maximum(h, 0) if i else h) @ weight + bias
        return h
