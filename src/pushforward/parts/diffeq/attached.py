"""States that were computed without a graph, with a rule for their gradients attached."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError

from .captured import Captured

# (y, dL/dy at all save times, whether t wants a gradient) -> dL/dy0, dL/dt, dL/d(each captured tensor)
Rule = Callable[[Tensor, Tensor, bool], tuple[Tensor, Tensor | None, Sequence[Tensor | None]]]


def attach(y: Tensor, rule: Rule, y0: Tensor, t: Tensor, captured: Captured) -> Tensor:
    """`y`, `(T, n, *event)`, whose gradients to y0 `(n, *event)`, t `(n, T)` and the captured tensors `rule` computes.

    The rule runs under the autocast setting of this call. Its results have no graph: there are no second derivatives.
    """
    return _Attached.apply([y], rule, y0, t, *captured.tensors)  # pyright: ignore[reportReturnType]


class _Attached(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, holder: list[Tensor], rule: Rule, y0: Tensor, t: Tensor, *tensors: Tensor) -> Tensor:
        y = holder.pop()
        ctx.rule, device = rule, y.device.type
        ctx.autocast = device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)
        ctx.save_for_backward(
            y, t, *tensors
        )  # so that one which is changed in place before the backward pass is noticed
        return y

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        y = ctx.saved_tensors[0]
        device, dtype, enabled = ctx.autocast
        with torch.autocast(device, dtype=dtype, enabled=enabled), torch.no_grad():
            to_y0, to_t, to_tensors = ctx.rule(y, cotangent, ctx.needs_input_grad[3])
        found = [to_y0, to_t, *to_tensors]
        if torch.is_grad_enabled():  # create_graph=True: without this, second derivatives would be zero in silence
            found = [None if x is None else _Once.apply(x.detach().requires_grad_()) for x in found]
        return None, None, *found  # pyright: ignore[reportReturnType]


class _Once(torch.autograd.Function):
    """A gradient without a graph, which says so when it is differentiated."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> Tensor:
        raise ConfigError(
            'expected gradient="direct" for second derivatives of a solve, got another rule, which has none; pass '
            'gradient="direct"'
        )


def add(total: list[Tensor | None], more: Sequence[Tensor | None]) -> None:
    """Add gradients up in place; None is zero."""
    for i, value in enumerate(more):
        if value is not None:
            total[i] = value if total[i] is None else total[i] + value  # pyright: ignore[reportOptionalOperand]
