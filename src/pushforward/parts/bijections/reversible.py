"""Activations rebuilt instead of kept: memory that does not grow with depth.

Ordinary back-propagation keeps the input of every layer. An invertible layer can compute its input from its output
again, so a stack keeps its last output only; each backward step undoes one layer, runs it once more with a graph of its
own, and drops that graph (Gomez et al. 2017, https://arxiv.org/abs/1707.04585; for flows Dinh et al. 2015, section 3).
The price is about one more forward and one inverse pass, and the rounding of the inverse in the gradients.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor

from pushforward.core.bijection import Bijection

Memory = Literal["ordinary", "reversible"]
State = tuple[Tensor, Tensor | None]
Map = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]


def run_reversibly(
    parts: Sequence[Bijection], value: Tensor, condition: Tensor | None, inverse: bool
) -> tuple[Tensor, Tensor]:
    """Apply `parts`, noise -> data, in the order given, or with `inverse` undo them from the last to the first.

    Values, log dets and first gradients are those of the ordinary loop, up to the rounding of each part's inverse; a
    gradient has no graph of its own, so there are no second ones. Dropout draws the same numbers again.
    """
    order = list(reversed(parts)) if inverse else list(parts)
    rebuilt, states, total = _Rebuilt(condition), list[State](), value.new_zeros(len(value))
    for number, part in enumerate(order):
        state = _random_state(value)
        states.append(states[-1] if states and _equal(state, states[-1]) else state)
        given = None if part.condition_shape is None else condition
        parameters = [p for p in part.parameters() if p.requires_grad]
        last = number == len(order) - 1
        value, log_det = _Step.apply(part, inverse, states[-1], rebuilt, last, parameters, value, given, *parameters)
        total = total + log_det
    return value, total


class _Rebuilt:
    """What the layers of a stack share: the condition, and in the backward pass the output that the layer after left there."""

    def __init__(self, condition: Tensor | None):
        self.condition = None if condition is None else condition.detach()
        self.output: Tensor | None = None


class _Step(torch.autograd.Function):
    """One layer. It saves nothing, unless it is the last; its gradients go out before the next layer's are computed."""

    @staticmethod
    def forward(
        ctx: Any, part: Bijection, inverse: bool, state: State, rebuilt: _Rebuilt, last: bool, parameters: list[Tensor],
        value: Tensor, condition: Tensor | None, *_: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        ctx.part, ctx.inverse, ctx.state, ctx.rebuilt, ctx.last, ctx.parameters = (
            part,
            inverse,
            state,
            rebuilt,
            last,
            parameters,
        )
        value, log_det = _maps(part, inverse)[0](value, condition)
        if last:
            ctx.save_for_backward(value)
        return value, log_det

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor, log_det_gradient: Tensor) -> tuple[Tensor | None, ...]:
        value = ctx.saved_tensors[0] if ctx.last else ctx.rebuilt.output
        condition = None if ctx.part.condition_shape is None else ctx.rebuilt.condition
        do, undo = _maps(ctx.part, ctx.inverse)
        with _replayed(ctx.state, value):
            before = undo(value, condition)[0].detach().requires_grad_()
        wanted = [before, *ctx.parameters]
        if condition is not None and ctx.needs_input_grad[7]:
            condition = condition.detach().requires_grad_()
            wanted.append(condition)
        with _replayed(ctx.state, value), torch.enable_grad():
            after, log_det = do(before, condition)
        roots = [(o, g) for o, g in ((after, gradient), (log_det, log_det_gradient)) if o.requires_grad]
        found = torch.autograd.grad(
            [o for o, _ in roots], wanted, [g.expand_as(o) for o, g in roots], allow_unused=True
        )
        ctx.rebuilt.output = before.detach()
        by_condition = found[-1] if condition is not None and ctx.needs_input_grad[7] else None
        return None, None, None, None, None, None, found[0], by_condition, *found[1 : 1 + len(ctx.parameters)]


def _maps(part: Bijection, inverse: bool) -> tuple[Map, Map]:
    """The direction applied, and the one that undoes it."""
    return (part._inverse, part._forward) if inverse else (part._forward, part._inverse)


def _random_state(value: Tensor) -> State:
    return torch.get_rng_state(), torch.cuda.get_rng_state(value.device) if value.is_cuda else None


def _equal(one: State, other: State) -> bool:
    """Whether nothing was drawn in between: then one copy of some kilobytes serves both."""
    on_device = one[1] is None or other[1] is None or torch.equal(one[1], other[1])
    return torch.equal(one[0], other[0]) and on_device


@contextmanager
def _replayed(state: State, value: Tensor) -> Iterator[None]:
    """PyTorch's global generators as they were when the part was first run, and put back afterwards."""
    with torch.random.fork_rng(devices=[value.device] if value.is_cuda else []):
        torch.set_rng_state(state[0])
        if state[1] is not None:
            torch.cuda.set_rng_state(state[1], value.device)
        yield
