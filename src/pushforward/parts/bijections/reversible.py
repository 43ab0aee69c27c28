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
Map = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]


def run_reversibly(
    parts: Sequence[Bijection], value: Tensor, condition: Tensor | None, inverse: bool
) -> tuple[Tensor, Tensor]:
    """Apply `parts`, noise -> data, in the order given, or with `inverse` undo them from the last to the first.

    Values, log dets and first gradients are those of the ordinary loop, up to the rounding of each part's inverse; a
    gradient has no graph of its own, so there are no second ones. Dropout draws the same numbers again.
    """
    order = list(reversed(parts)) if inverse else list(parts)
    parameters = list(dict.fromkeys(p for part in order for p in part.parameters() if p.requires_grad))
    return _Rebuilt.apply(order, inverse, parameters, value, condition, *parameters)


class _Rebuilt(torch.autograd.Function):
    """The stack as one operation of the graph, with its parameters among the inputs."""

    @staticmethod
    def forward(
        ctx: Any, order: list[Bijection], inverse: bool, parameters: list[Tensor], value: Tensor,
        condition: Tensor | None, *_: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        ctx.order, ctx.inverse, ctx.parameters, ctx.states = order, inverse, parameters, []
        total = value.new_zeros(len(value))
        for part in order:
            state = _random_state(value)
            # Five kilobytes a part, were it kept where nothing was drawn.
            same = ctx.states and all(
                a is b or torch.equal(a, b) for a, b in zip(state, ctx.states[-1]) if a is not None
            )
            ctx.states.append(ctx.states[-1] if same else state)
            value, log_det = _maps(part, inverse)[0](value, _given(part, condition))
            total = total + log_det
        ctx.save_for_backward(value, condition)
        return value, total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor, log_det_gradient: Tensor) -> tuple[Tensor | None, ...]:
        value, condition = ctx.saved_tensors
        sums: dict[Tensor, Tensor] = {}
        wants_condition = condition is not None and ctx.needs_input_grad[4]
        if condition is not None and wants_condition:
            condition = condition.detach().requires_grad_()
        for part, state in zip(reversed(ctx.order), reversed(ctx.states)):
            do, undo = _maps(part, ctx.inverse)
            given = _given(part, condition)
            with _replayed(state, value):
                value = undo(value, given)[0].detach()
            before = value.requires_grad_()
            with _replayed(state, value), torch.enable_grad():
                after, log_det = do(before, given)
            wanted = [before, *(p for p in part.parameters() if p.requires_grad)]
            wanted += [given] if wants_condition and given is not None else []
            roots = [(o, g) for o, g in ((after, gradient), (log_det, log_det_gradient)) if o.requires_grad]
            found = torch.autograd.grad(
                [o for o, _ in roots], wanted, [g.expand_as(o) for o, g in roots], allow_unused=True
            )
            gradient = torch.zeros_like(before) if found[0] is None else found[0]
            for source, own in zip(wanted[1:], found[1:]):
                if own is not None:
                    sums[source] = sums[source] + own if source in sums else own
            value = before.detach()
        given_gradient = sums.get(condition) if condition is not None and wants_condition else None
        return None, None, None, gradient, given_gradient, *(sums.get(p) for p in ctx.parameters)


def _maps(part: Bijection, inverse: bool) -> tuple[Map, Map]:
    """The direction applied, and the one that undoes it."""
    return (part._inverse, part._forward) if inverse else (part._forward, part._inverse)


def _given(part: Bijection, condition: Tensor | None) -> Tensor | None:
    return None if part.condition_shape is None else condition


def _random_state(value: Tensor) -> tuple[Tensor, Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state(value.device) if value.is_cuda else None


@contextmanager
def _replayed(state: tuple[Tensor, Tensor | None], value: Tensor) -> Iterator[None]:
    """PyTorch's global generators as they were when the part was first run, and put back afterwards."""
    with torch.random.fork_rng(devices=[value.device] if value.is_cuda else []):
        torch.set_rng_state(state[0])
        if state[1] is not None:
            torch.cuda.set_rng_state(state[1], value.device)
        yield
