"""The divergence of a field f, tr(df/dx): the trace of its Jacobian, not of f; exact, or estimated with random probes.

Exactly, one backward pass for each dimension gives a row of the Jacobian, of which the diagonal entry is kept. By
Hutchinson's estimator, tr(J) = E[v' J v] for any v with E[v v'] = I: one backward pass for each probe, whatever the
dimension (Hutchinson, 1990, https://doi.org/10.1080/03610919008812866; for densities Grathwohl et al., 2019, FFJORD,
https://arxiv.org/abs/1810.01367).
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.random import RowGenerator

Probe = Literal["rademacher", "gaussian"]


def divergence_exact(f: Callable[[Tensor], Tensor], x: Float[Tensor, "n *event"], *,
                     differentiable: bool | None = None,
                     ) -> tuple[Float[Tensor, "n *event"], Float[Tensor, " n"]]:  # fmt: skip
    """f(x) and sum_i df_i/dx_i for each row, in as many backward passes as the event has numbers.

    `f` maps `(n, *event)` to `(n, *event)` row by row, and may use any differentiable operation. `differentiable` keeps
    the graph, so that both results have gradients; None keeps it where gradients are enabled. Correct under
    `torch.no_grad` and `torch.inference_mode` too.
    Raises `ShapeError` if f changes the shape.

    >>> fx, trace = divergence_exact(lambda x: x**2, torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    >>> trace.tolist()
    [6.0, 14.0]
    """
    keep = torch.is_grad_enabled() if differentiable is None else differentiable
    with _graph(f, x, keep) as (fx, x):
        columns = fx.reshape(len(x), math.prod(x.shape[1:]))
        trace = x.new_zeros(len(x))
        for i in range(columns.shape[1]):
            row = _pull(columns[:, i], x, torch.ones_like(columns[:, i]), keep, last=i == columns.shape[1] - 1)
            trace = trace + row.reshape(columns.shape)[:, i]
    return (fx, trace) if keep else (fx.detach(), trace.detach())


def divergence_hutchinson(
    f: Callable[[Tensor], Tensor], x: Float[Tensor, "n *event"], probes: Float[Tensor, "k n *event"], *,
    differentiable: bool | None = None,
) -> tuple[Float[Tensor, "n *event"], Float[Tensor, " n"], Float[Tensor, " n"]]:  # fmt: skip
    """f(x), the mean of v' (df/dx) v over the k probes v, and the standard error of that mean, for each row.

    One backward pass a probe. The standard error is infinite for one probe, which cannot tell it, and carries no
    gradient. `f` and `differentiable` are as in `divergence_exact`; `probes` come from `draw_probes`, and must be the
    same ones at every time of a solve. Raises `ShapeError` if f changes the shape.

    >>> probes = draw_probes(RowGenerator(0, 2), 3, (2,))
    >>> fx, mean, error = divergence_hutchinson(lambda x: x**2, torch.tensor([[1.0, 2.0], [3.0, 4.0]]), probes)
    >>> mean.tolist(), error.tolist()  # exact here: the Jacobian is diagonal and the probes are signs
    ([6.0, 14.0], [0.0, 0.0])
    """
    keep = torch.is_grad_enabled() if differentiable is None else differentiable
    k, estimates = len(probes), []
    with _graph(f, x, keep) as (fx, x):
        for i, v in enumerate(probes.unbind(0)):
            estimates.append(
                (_pull(fx, x, v, keep, last=i == k - 1) * v).reshape(len(x), math.prod(x.shape[1:])).sum(1)
            )
        if not estimates:
            raise ShapeError("expected at least one probe, got none; draw some with draw_probes")
        each = torch.stack(estimates)
        mean = each.mean(0)
        scatter = (each - mean).detach().square().sum(0)
        error = (scatter / (k * (k - 1))).sqrt() if k > 1 else torch.full_like(scatter, math.inf)
    return (fx, mean, error) if keep else (fx.detach(), mean.detach(), error)


def pulled(f: Callable[[Tensor], Tensor], x: Float[Tensor, "n *event"], vectors: Float[Tensor, "k n *event"],
           ) -> tuple[Float[Tensor, "n *event"], Float[Tensor, "k n *event"]]:  # fmt: skip
    """f(x) and v' (df/dx) for each of the k vectors v, one backward pass a vector; with a graph where gradients are enabled.

    >>> pulled(lambda x: x**2, torch.tensor([[1.0, 2.0]]), torch.ones(1, 1, 2))[1].tolist()
    [[[2.0, 4.0]]]
    """
    keep, rows = torch.is_grad_enabled(), list[Tensor]()
    with _graph(f, x, keep) as (fx, x):
        for i, v in enumerate(vectors.unbind(0)):
            rows.append(_pull(fx, x, v, keep, last=i == len(vectors) - 1))
        moved = torch.stack(rows)
    return (fx, moved) if keep else (fx.detach(), moved.detach())


def draw_probes(generator: RowGenerator, count: int, event_shape: tuple[int, ...], *, kind: Probe = "rademacher",
                dtype: torch.dtype | None = None) -> Float[Tensor, "k n *event"]:  # fmt: skip
    """`count` probes for each row of the generator: signs (least variance) or standard normal numbers.

    >>> draw_probes(RowGenerator(0, 5), 4, (3,), kind="gaussian").shape
    torch.Size([4, 5, 3])
    """
    if kind not in get_args(Probe):
        raise ConfigError(f"expected probes among {', '.join(get_args(Probe))}, got {kind!r}")
    draw = generator.rademacher if kind == "rademacher" else generator.normal
    return draw(count, *event_shape, dtype=dtype).transpose(0, 1)


@contextmanager
def _graph(f: Callable[[Tensor], Tensor], x: Tensor, keep: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """f(x) and the x that it was computed from, with a graph between them whatever the mode outside."""
    with torch.inference_mode(False), torch.enable_grad():
        if not (keep and x.requires_grad):
            x = (x.clone() if x.is_inference() else x.detach()).requires_grad_()
        fx = f(x)
        if fx.shape != x.shape:
            raise ShapeError(
                f"expected f(x) of the shape of x, {tuple(x.shape)}, got {tuple(fx.shape)}; the Jacobian must be square"
            )
        yield fx, x


def _pull(fx: Tensor, x: Tensor, v: Tensor, keep: bool, last: bool) -> Tensor:
    """v' (df/dx), zero where f does not depend on x."""
    if not fx.requires_grad:
        return torch.zeros_like(x)
    (pulled,) = torch.autograd.grad(fx, x, v, retain_graph=keep or not last, create_graph=keep, materialize_grads=True)
    return pulled
