"""Heun's method for Stratonovich equations (Kloeden and Platen, 1992, Numerical Solution of SDEs; Rumelin, 1982).

z = y0 + f(t0, y0) h + g(t0, y0) dW,    y1 = y0 + (1/2) (f(t0, y0) + f(t1, z)) h + (1/2) (g(t0, y0) + g(t1, z)) dW.
"""

from collections.abc import Sequence

from torch import Tensor

from pushforward.core.registry import register
from pushforward.core.solver import Solver
from pushforward.core.term import Term
from pushforward.parts.diffeq.stochastic_terms import check

from . import stochastic
from .stochastic import Times


@register
class StochasticHeun(Solver):
    """Stratonovich equations with noise of any kind; strong order 1, and 1/2 for general noise.

    >>> StochasticHeun().interpretation
    'stratonovich'
    """

    order, strong_order, interpretation = 2, 1.0, "stratonovich"
    strong_orders = {"diagonal": 1.0, "additive": 1.0, "scalar": 1.0, "general": 0.5}  # noqa: RUF012
    float_times = True

    def init(self, terms: Sequence[Term], t0: Tensor, y0: Tensor) -> None:
        """Nothing is carried. Raises `ConfigError` for terms that this solver cannot take."""
        check(terms, self)

    def step(self, terms: Sequence[Term], t0: Times, t1: Times, y0: Tensor,
             state: None) -> tuple[Tensor, None, None]:  # fmt: skip
        """y at t1."""
        start, end, noise = stochastic.time(t0, y0), stochastic.time(t1, y0), stochastic.noise_of(terms)
        f0 = stochastic.drift(terms, start, y0)
        z = stochastic.moved(y0, f0, t0, t1)
        if noise is None:
            f1 = stochastic.drift(terms, end, z)
            return stochastic.moved(stochastic.moved(y0, f0, t0, t1, 0.5), f1, t0, t1, 0.5), None, None
        g0, dw = noise.vector_field(start, y0), noise.path.increment(t0, t1, y0)
        z = noise.added(z, g0, dw)
        f1, g1 = stochastic.drift(terms, end, z), noise.vector_field(end, z)
        f = None if f0 is None or f1 is None else f0 + f1
        return noise.added(stochastic.moved(y0, f, t0, t1, 0.5), g0 + g1, dw, 0.5), None, None
