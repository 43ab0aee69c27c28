"""A ReLU network as one operation with its gradient written by hand: the conditioner of most flows, several times a step.

The arithmetic of a small network is little; what costs is memory traffic and products in unlucky layouts. Here the
nonlinearity and its gradient are done in place, and each of the five kinds of product is written in the form that BLAS
runs at full speed: with few inputs, `(x' g)'` and `(W' g')'` take a fifth of the time of `g' x` and `g W`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pushforward.parts.numerics.tangents import tangents_of

FEW = 32  # columns below which the transposed product is the fast one


def relu_layers(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], columns: bool) -> Tensor:
    """W_k relu(... relu(W_1 x + b_1) ...) + b_k for x `(n, inputs)`: `(n, outputs)`, or `(outputs, n)` with `columns`.

    Differentiable as often as wanted, in reverse and forward mode.
    """
    run = _ReluLayers.apply if torch.is_grad_enabled() else _ReluLayers.forward
    return run(len(weights), columns, x, *weights, *biases)[0]


def plain(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], columns: bool) -> Tensor:
    """The same in single operations, which autograd can differentiate again."""
    for w, b in zip(weights[:-1], biases[:-1]):
        x = torch.relu(torch.addmm(b, x, w.T))
    return torch.addmm(biases[-1][:, None], weights[-1], x.T) if columns else torch.addmm(biases[-1], x, weights[-1].T)


def evaluate(
    x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], columns: bool
) -> tuple[Tensor, list[Tensor]]:
    """The output, and the hidden layers that `gradient` reads."""
    hidden = []
    for w, b in zip(weights[:-1], biases[:-1]):
        x = torch.addmm(b, x, w.T).relu_()
        hidden.append(x)
    last = torch.addmm(biases[-1][:, None], weights[-1], x.T) if columns else torch.addmm(biases[-1], x, weights[-1].T)
    return last, hidden


def gradient(g: Tensor, x: Tensor, hidden: Sequence[Tensor], weights: Sequence[Tensor],
             wanted: Sequence[bool]) -> list[Tensor | None]:  # fmt: skip
    """Gradients of x, of every weight and of every bias, where `wanted`, from that of the output, `(n, outputs)`."""
    count, layers = len(weights), [x, *hidden]
    found: list[Tensor | None] = [None] * (1 + 2 * count)
    for i in range(count - 1, -1, -1):
        if wanted[1 + i]:
            found[1 + i] = (layers[i].T @ g).T if layers[i].shape[1] < FEW else g.T @ layers[i]
        if wanted[1 + count + i]:
            found[1 + count + i] = g.sum(0)
        if i:
            g = g @ weights[i]
            # In place: `g` is ours alone, and hidden units are positive exactly where their gradient passes.
            torch.ops.aten.threshold_backward.grad_input(g, hidden[i - 1], 0, grad_input=g)
        elif wanted[0]:
            found[0] = (weights[0].T @ g.T).T if weights[0].shape[1] < FEW else g @ weights[0]
    return found


class _ReluLayers(torch.autograd.Function):
    """`relu_layers` with its first derivative; further derivatives come from autograd."""

    generate_vmap_rule = True

    @staticmethod
    def forward(count: int, columns: bool, x: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        last, hidden = evaluate(x, parameters[:count], parameters[count:], columns)
        return last, *hidden

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.count, ctx.columns = inputs[:2]
        ctx.save_for_backward(*inputs[2:], *output[1:])
        ctx.save_for_forward(*inputs[2:])
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, bar: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        count = ctx.count
        if bar is None:
            return (None,) * (3 + 2 * count)
        inputs, hidden = ctx.saved_tensors[: 1 + 2 * count], ctx.saved_tensors[1 + 2 * count :]
        if torch.is_grad_enabled():
            return None, None, *torch.func.vjp(_whole(ctx), *inputs)[1]((bar,))
        g = bar.T if ctx.columns else bar
        return None, None, *gradient(g, inputs[0], hidden, inputs[1 : 1 + count], ctx.needs_input_grad[2:])

    @staticmethod
    def jvp(ctx: Any, *dots: Any) -> tuple[Tensor | None, ...]:
        return *tangents_of(_whole(ctx), ctx.saved_tensors, dots[2:]), *[None] * (ctx.count - 1)


def _whole(ctx: Any) -> Any:
    count, columns = ctx.count, ctx.columns
    return lambda x, *parameters: (plain(x, parameters[:count], parameters[count:], columns),)
