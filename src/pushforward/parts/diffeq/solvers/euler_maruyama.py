"""The Euler-Maruyama method (Maruyama, 1955, Continuous Markov processes and stochastic equations).

y1 = y0 + f(t0, y0) h + g(t0, y0) (W(t1) - W(t0)).
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
class EulerMaruyama(Solver):
    """Ito equations with noise of any kind; strong order 1/2, and 1 for additive noise.

    >>> EulerMaruyama().strong_order
    0.5
    """

    order, strong_order, interpretation = 1, 0.5, "ito"
    strong_orders = {"diagonal": 0.5, "additive": 1.0, "scalar": 0.5, "general": 0.5}  # noqa: RUF012
    float_times = True

    def init(self, terms: Sequence[Term], t0: Tensor, y0: Tensor) -> None:
        """Nothing is carried. Raises `ConfigError` for terms that this solver cannot take."""
        check(terms, self)

    def step(self, terms: Sequence[Term], t0: Times, t1: Times, y0: Tensor,
             state: None) -> tuple[Tensor, None, None]:  # fmt: skip
        """y at t1."""
        t, noise = stochastic.time(t0, y0), stochastic.noise_of(terms)
        y1 = stochastic.moved(y0, stochastic.drift(terms, t, y0), t0, t1)
        if noise is not None:
            y1 = noise.added(y1, noise.vector_field(t, y0), noise.path.increment(t0, t1, y0))
        return y1, None, None
