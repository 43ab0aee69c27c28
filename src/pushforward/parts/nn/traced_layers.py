"""One or two hidden layers with the trace of their Jacobian in closed form, and the gradients of both by hand.

With f = W3 a(W2 a(W1 z + b1) + b2) + b3 and p_l = a'(.) in layer l the Jacobian is W3 diag(p2) W2 diag(p1) W1, and

    tr(df/dz) = p2' A p1,    A = W2 * (W1 W3)'    (elementwise; for one layer tr = p1' diag(W1 W2)),

so that the exact trace costs one product of matrices as large as a hidden layer, however many numbers an event has.
Carrying d tangents through the layers (or d backward passes) would cost d of them. Every layer sees the time t too, as
one more input; its column of a weight moves no trace.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

SMOOTH = ("tanh", "softplus")


def activate(name: str, a: Tensor) -> tuple[Tensor, Tensor]:
    """The activation and its slope at `a`, which is overwritten."""
    if name == "softplus":
        return functional.softplus(a), torch.sigmoid(a)
    h = torch.tanh(a)
    return h, torch.addcmul(torch.ones_like(h), h, h, value=-1)


def bend(name: str, h: Tensor, p: Tensor) -> Tensor:
    """The second derivative of the activation from its value and its slope."""
    return p - p * p if name == "softplus" else (h * p).mul_(-2)


def traced_layers(
    x: Tensor, features: int, name: str, layers: Sequence[tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor]:
    """f `(n, features)` and tr(df/dz) `(n,)` for x = [z, anything else, t]; two or three pairs of weight and bias.

    The last column of every weight is that of t. Gradients are of first order only.

    >>> one = torch.ones(1, 2), torch.zeros(1)
    >>> f, trace = traced_layers(torch.tensor([[0.3, 0.2]]), 1, "tanh", [one, one])
    >>> bool(torch.isclose(f[0, 0], torch.tensor(0.5).tanh() + 0.2)), bool(torch.isclose(trace[0], 1 - torch.tensor(0.5).tanh() ** 2))
    (True, True)
    """
    flat = [tensor for layer in layers for tensor in layer]
    if not torch.is_grad_enabled():
        return _evaluate(x, features, name, flat)[:2]
    return _Traced.apply(x, features, name, *flat)  # pyright: ignore[reportReturnType]


def _evaluate(x: Tensor, d: int, name: str, layers: Sequence[Tensor]) -> tuple[Tensor, Tensor, list[Tensor]]:
    """f, its trace, and what the backward pass wants to know."""
    t, last, bias = x[:, -1:], layers[-2], layers[-1]
    h, p = activate(name, torch.addmm(layers[1], x, layers[0].t()))
    kept, inward = [x, h, p], layers[0][:, :d]
    if len(layers) == 4:
        trace = torch.mv(p, (inward * last[:, :-1].t()).sum(1))
    else:
        inner = layers[2][:, :-1]
        a = torch.addmm(torch.addcmul(layers[3], t, layers[2][:, -1]), h, inner.t())
        h, slope = activate(name, a)
        q = torch.mm(p, inner.t() * torch.mm(inward, last[:, :-1]))
        trace, kept = torch.linalg.vecdot(slope, q), [*kept, h, slope, q]
    return torch.addmm(torch.addcmul(bias, t, last[:, -1]), h, last[:, :-1].t()), trace, kept


class _Traced(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, d: int, name: str, *layers: Tensor) -> tuple[Tensor, Tensor]:
        f, trace, kept = _evaluate(x, d, name, layers)
        ctx.save_for_backward(*kept, *layers)
        ctx.name, ctx.d, ctx.kept = name, d, len(kept)
        return f, trace

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, to_f: Tensor, to_trace: Tensor) -> tuple[Tensor | None, ...]:
        kept, layers = ctx.saved_tensors[: ctx.kept], ctx.saved_tensors[ctx.kept :]
        name, d, x, h, p = ctx.name, ctx.d, *kept[:3]
        w, last, to_f = layers[0], layers[-2], to_f.contiguous()
        inward, outward, column = w[:, :d], last[:, :-1], to_trace.unsqueeze(1)
        clock = torch.stack([x[:, -1], torch.ones_like(to_trace)], 1)  # what t and the bias are multiplied by
        top = kept[3] if len(layers) == 6 else h
        to_last, side = torch.mm(to_f.t(), top), torch.mm(to_f.t(), clock)
        to_top = torch.mm(to_f, outward)
        to_t = torch.mv(to_f, last[:, -1])
        if len(layers) == 4:
            to_p = column * (inward * outward.t()).sum(1)
            ones = torch.mv(p.t(), to_trace).unsqueeze(1)  # dL/d diag(W1 W2)
            to_inward, to_last = ones * outward.t(), to_last.add_((ones * inward).t())
            found = [None, None]
        else:
            _, slope, q = kept[3:]
            inner, both = layers[2][:, :-1], torch.mm(inward, outward)
            to_q = column * slope
            to_a = (to_top * slope).addcmul_(bend(name, top, slope), column * q)
            to_matrix, to_p = torch.mm(p.t(), to_q), torch.mm(to_q, inner * both.t())  # transposed: (H1, H2)
            to_inner = torch.mm(to_a.t(), h).addcmul_(to_matrix.t(), both.t())
            to_both = to_matrix.mul_(inner.t())
            to_inward, to_last = torch.mm(to_both, outward.t()), to_last.addmm_(inward.t(), to_both)
            aside = torch.mm(to_a.t(), clock)
            found = [torch.cat([to_inner, aside[:, :1]], 1), aside[:, 1]]
            to_t = to_t.addmv_(to_a, layers[2][:, -1])
            to_top = torch.mm(to_a, inner)
        to_first = (to_top * p).addcmul_(bend(name, h, p), to_p)
        to_w = torch.mm(to_first.t(), x)
        to_w[:, :d] += to_inward
        to_x = torch.mm(to_first, w)
        to_x[:, -1] += to_t
        found = [to_w, torch.mv(to_first.t(), clock[:, 1]), *found[: len(layers) - 4]]
        return to_x, None, None, *found, torch.cat([to_last, side[:, :1]], 1), side[:, 1]
