"""The reversible Heun method: Stratonovich equations, and every step can be undone without solving anything.

Two states are carried, y and a companion z, with the fields at z:

    z1 = 2 y0 - z0 + f(t0, z0) h + g(t0, z0) dW,
    y1 = y0 + (1/2) (f(t0, z0) + f(t1, z1)) h + (1/2) (g(t0, z0) + g(t1, z1)) dW,

which is the same rule with the two times exchanged. One evaluation of f and g a step (Kidger, Foster, Li and Lyons, 2021,
Efficient and Accurate Gradients for Neural SDEs, https://arxiv.org/abs/2105.13493, algorithms 1 and 2).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pushforward.core.registry import register
from pushforward.core.solver import Solver
from pushforward.core.term import Term
from pushforward.parts.diffeq.stochastic_terms import check

from . import stochastic
from .stochastic import Times


class Companion(NamedTuple):
    """z and the fields there; a field that is not among the terms is empty."""

    z: Tensor
    f: Tensor
    g: Tensor


@register
class ReversibleHeun(Solver):
    """Stratonovich equations with noise of any kind; strong order 1, and 1/2 for general noise; order 2 without noise.

    The paper proves 1/2, and 1 for additive noise. For diagonal and scalar noise z - y is of size sqrt(h) but changes its
    sign at every step, so that the two fields of a step average it away, and the order measured is 1. For the same reason
    z drifts away from y where an equation contracts fast: then the steps must be small, or StochasticHeun be taken.

    With `gradient="reversible"` the gradients of its steps are exact and cost no memory that grows with their number.

    >>> ReversibleHeun().strong_order
    1.0
    """

    order, strong_order, interpretation = 2, 1.0, "stratonovich"
    strong_orders = {"diagonal": 1.0, "additive": 1.0, "scalar": 1.0, "general": 0.5}  # noqa: RUF012
    float_times = True

    def init(self, terms: Sequence[Term], t0: Tensor, y0: Tensor) -> Companion:
        """z = y at the start. Raises `ConfigError` for terms that this solver cannot take."""
        check(terms, self)
        return fields(terms, t0, y0)

    def step(self, terms: Sequence[Term], t0: Times, t1: Times, y0: Tensor,
             state: Companion) -> tuple[Tensor, None, Companion]:  # fmt: skip
        """y at t1, and what is carried on."""
        dw = increment(terms, t0, t1, y0)
        z1 = added(terms, torch.add(-state.z, y0, alpha=2), t0, t1, state, dw)
        after = fields(terms, stochastic.time(t1, y0), z1)
        y1 = added(terms, added(terms, y0, t0, t1, state, dw, 0.5), t0, t1, after, dw, 0.5)
        return y1, None, after


def fields(terms: Sequence[Term], t: Tensor, z: Tensor) -> Companion:
    """f and g at z."""
    f, noise = stochastic.drift(terms, t, z), stochastic.noise_of(terms)
    empty = z.new_empty(len(z), 0)
    return Companion(z, empty if f is None else f, empty if noise is None else noise.vector_field(t, z))


def increment(terms: Sequence[Term], t0: Times, t1: Times, y: Tensor) -> Tensor | None:
    """dW of the step."""
    noise = stochastic.noise_of(terms)
    return None if noise is None else noise.path.increment(t0, t1, y)


def added(terms: Sequence[Term], y: Tensor, t0: Times, t1: Times, at: Companion, dw: Tensor | None,
          weight: float = 1.0) -> Tensor:  # fmt: skip
    """y + weight (f h + g dW)."""
    noise = stochastic.noise_of(terms)
    drifts = noise is None or len(terms) > 1
    y = stochastic.moved(y, at.f if drifts else None, t0, t1, weight)
    return y if noise is None or dw is None else noise.added(y, at.g, dw, weight)
