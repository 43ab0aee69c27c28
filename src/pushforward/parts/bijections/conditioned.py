"""A layer of a flow as one operation: the network, the elementwise map that it feeds, and the gradients of both by hand.

Taken apart, a coupling is some twenty operations with a gradient each, and a sixth of a training step goes into carrying
them: here it is one. From the gradients of the output and of log abs det the map gives those of its value and of its
parameters; the parameters' go back through the network, and what arrives at its input joins the value's.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from pushforward.parts.nn.relu_layers import evaluate, gradient, plain
from pushforward.parts.numerics.tangents import tangents_of


@runtime_checkable
class Pulled(Protocol):
    """An elementwise map that can say its own gradient."""

    size: int

    def evaluate(self, value: Tensor, parameters: Tensor, inverse: bool) -> tuple[Tensor, ...]:
        """The map or its inverse, its log derivative, then what `pull` reads; differentiable as it stands."""
        ...

    def pull(self, bar: Tensor, log_bar: Tensor, kept: Sequence[Tensor], inverse: bool) -> tuple[Tensor, Tensor]:
        """Gradients of the value and of the parameters from those of the first two results; fresh tensors both."""
        ...


class Layout(NamedTuple):
    """Which features the network sees: the first `passing` ones of `parted`, the rest is mapped; or it sees and maps all.

    `order` undoes `parted`.
    """

    passing: int
    parted: Tensor
    order: Tensor


def relu_network(conditioner: nn.Module) -> tuple[list[Tensor], list[Tensor]] | None:
    """Weights and biases where a conditioner is, at this moment, a plain network with ReLU, and gradients are recorded.

    None where it is not, and under the transforms of `torch.func`, which want to see single operations.

    >>> from pushforward.parts.nn import MLP
    >>> relu_network(MLP(2, 3, activation="tanh")) is None, [len(w) for w in relu_network(MLP(2, 3, [4], "relu"))[0]]
    (True, [4, 3])
    """
    layers: Callable[[], Any] | None = getattr(conditioner, "relu_parameters", None)
    if layers is None or not torch.is_grad_enabled() or torch._C._are_functorch_transforms_active():
        return None
    return layers()


def conditioned(value: Tensor, condition: Tensor | None, transformer: Pulled, inverse: bool, layout: Layout | None,
                network: tuple[list[Tensor], list[Tensor]]) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The mapped value `(n, features)` and log abs det `(n,)`, for a network as `relu_network` gives it.

    Differentiable as often as wanted, in reverse and forward mode.
    """
    weights, biases = network
    found: Any = _Conditioned.apply(transformer, inverse, layout, len(weights), value, condition, *weights, *biases)
    rows, log_det = found
    return rows.T, log_det


def _joined(a: Tensor, condition: Tensor | None) -> Tensor:
    if condition is None:
        return a.T
    return torch.cat([a.T, condition], 1) if len(a) else condition


def _plain(transformer: Pulled, inverse: bool, layout: Layout | None, count: int, value: Tensor,
           condition: Tensor | None, *parameters: Tensor) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The same in single operations, which autograd can differentiate again."""
    a = b = value.T
    if layout is not None:
        a, b = a.index_select(0, layout.parted).tensor_split([layout.passing])
    raw = plain(_joined(a, condition), parameters[:count], parameters[count:], True)
    out, log_derivative = transformer.evaluate(b, raw.reshape(transformer.size, *b.shape), inverse)[:2]
    return out if layout is None else torch.cat([a, out]).index_select(0, layout.order), log_derivative.sum(0)


class _Conditioned(torch.autograd.Function):
    """`conditioned` with its first derivative; further derivatives come from autograd.

    Written in the older form, one `forward` with its context: the newer one, which `torch.func` wants, costs a twentieth
    of a step in bookkeeping.
    """

    @staticmethod
    def forward(ctx: Any, transformer: Pulled, inverse: bool, layout: Layout | None, count: int, value: Tensor,
                condition: Tensor | None, *parameters: Tensor) -> tuple[Tensor, Tensor]:  # fmt: skip
        a = b = value.T
        if layout is not None:
            a, b = a.index_select(0, layout.parted).tensor_split([layout.passing])
        x = _joined(a, condition)
        raw, hidden = evaluate(x, parameters[:count], parameters[count:], True)
        out, log_derivative, *kept = transformer.evaluate(b, raw.view(transformer.size, *b.shape), inverse)
        if layout is not None:
            out = torch.cat([a, out]).index_select(0, layout.order)
        given = (value, *parameters) if condition is None else (value, condition, *parameters)
        ctx.fixed, ctx.given = (transformer, inverse, layout, count), len(given)
        ctx.save_for_backward(*given, x, *hidden, *kept)
        ctx.save_for_forward(*given)
        ctx.set_materialize_grads(False)
        return out, log_derivative.sum(0)

    @staticmethod
    def backward(ctx: Any, bar: Tensor | None, log_bar: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        transformer, inverse, layout, count = ctx.fixed
        saved, skipped = ctx.saved_tensors, ctx.given - 1 - 2 * count
        given, (x, *kept) = saved[: ctx.given], saved[ctx.given :]
        if bar is None:
            bar = torch.zeros_like(given[0].T)
        if log_bar is None:
            log_bar = bar.new_zeros(bar.shape[1])
        if torch.is_grad_enabled():
            first, *rest = torch.func.vjp(_pair(ctx), *given)[1]((bar, log_bar))
            return None, None, None, None, first, *(rest if skipped else (None, *rest))
        hidden, kept, weights = kept[: count - 1], kept[count - 1 :], given[1 + skipped :][:count]
        needs_value, needs_condition, *needs = ctx.needs_input_grad[4:]
        if layout is None:
            seen, a_bar, b_bar = len(bar), None, bar
        else:
            seen = layout.passing
            a_bar, b_bar = bar.index_select(0, layout.parted).tensor_split([seen])
        value_bar, raw_bar = transformer.pull(b_bar, log_bar.expand_as(b_bar), kept, inverse)
        needs = [needs_value or needs_condition, *needs]
        x_bar, *found = gradient(raw_bar.flatten(0, 1).T, x, hidden, weights, needs)
        by_value = by_condition = None
        if x_bar is not None and needs_value:
            by_input = x_bar[:, :seen].T
            if layout is not None and a_bar is not None:
                by_value = torch.cat([a_bar.add_(by_input), value_bar]).index_select(0, layout.order).T
            else:
                by_value = (by_input + value_bar).T
        if x_bar is not None and needs_condition:
            by_condition = x_bar[:, seen:]
        return None, None, None, None, by_value, by_condition, *found

    @staticmethod
    def jvp(ctx: Any, *dots: Tensor | None) -> tuple[Tensor, ...]:
        skipped = ctx.given - 1 - 2 * ctx.fixed[-1]
        return tangents_of(_pair(ctx), ctx.saved_tensors, dots[4:] if skipped else (dots[4], *dots[6:]))


def _pair(ctx: Any) -> Callable[..., tuple[Tensor, Tensor]]:
    transformer, inverse, layout, count = ctx.fixed
    has_condition = ctx.given > 1 + 2 * count

    def pair(value: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor]:
        condition, parameters = (rest[0], rest[1:]) if has_condition else (None, rest)
        return _plain(transformer, inverse, layout, count, value, condition, *parameters)

    return pair
