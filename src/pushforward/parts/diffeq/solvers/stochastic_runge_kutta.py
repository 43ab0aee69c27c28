"""Stochastic Runge-Kutta methods of strong order 3/2: SRI1W1 for diagonal and scalar noise, SRA1 for additive noise.

With the increment I_1 = W(t1) - W(t0) and the integral I_10 = int_{t0}^{t1} (W(s) - W(t0)) ds = h (I_1 / 2 + H) of the path,
I_11 = (I_1^2 - h) / 2 and I_111 = (I_1^3 - 3 h I_1) / 6, stages of the drift and of the noise,

    Y_i = y0 + sum_j A0_ij f(t0 + c0_j h, Y_j) h + sum_j B0_ij g(t0 + c1_j h, Z_j) I_10 / h,
    Z_i = y0 + sum_j A1_ij f(t0 + c0_j h, Y_j) h + sum_j B1_ij g(t0 + c1_j h, Z_j) sqrt(h),
    y1 = y0 + sum_i a_i f(t0 + c0_i h, Y_i) h
            + sum_i (b1_i I_1 + b2_i I_11 / sqrt(h) + b3_i I_10 / h + b4_i I_111 / h) g(t0 + c1_i h, Z_i)

(Roessler, 2010, Runge-Kutta methods for the strong approximation of solutions of stochastic differential equations,
https://doi.org/10.1137/09076636X, equation 6.1 and tables 6.1 and 6.2, with the zeros left out).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pushforward.core.registry import register
from pushforward.core.shapes import expand_right
from pushforward.core.solver import Solver
from pushforward.core.term import Term
from pushforward.parts.diffeq.stochastic_terms import DiffusionTerm, check

from . import stochastic
from .stochastic import Times


@register
class StochasticRungeKutta(Solver):
    """Ito equations of strong order 3/2: two evaluations of f and two (additive) or four of g in a step.

    Diagonal noise has the order if g_i is a function of y_i.

    >>> StochasticRungeKutta().strong_order
    1.5
    """

    order, strong_order, interpretation = 2, 1.5, "ito"
    strong_orders = {"diagonal": 1.5, "additive": 1.5, "scalar": 1.5}  # noqa: RUF012
    float_times = True

    def init(self, terms: Sequence[Term], t0: Tensor, y0: Tensor) -> None:
        """Nothing is carried. Raises `ConfigError` for terms that this solver cannot take."""
        check(terms, self)

    def step(self, terms: Sequence[Term], t0: Times, t1: Times, y0: Tensor,
             state: None) -> tuple[Tensor, None, None]:  # fmt: skip
        """y at t1."""
        noise, start = stochastic.noise_of(terms), stochastic.time(t0, y0)
        f0 = stochastic.drift(terms, start, y0)
        if noise is None:
            return _drifted(terms, t0, t1, y0, f0, None, None, y0)[0], None, None
        w, area = noise.path.increment_and_area(t0, t1, y0)
        mean = 0.5 * w + area  # I_10 / h
        if noise.noise == "additive":
            g0, g1 = noise.vector_field(start, y0), noise.vector_field(stochastic.time(t1, y0), y0)
            y1 = _drifted(terms, t0, t1, y0, f0, noise, g1, mean)[0]
            return noise.added(noise.added(y1, g1, w - mean), g0, mean), None, None
        return _diagonal(terms, noise, t0, t1, y0, f0, w, mean), None, None


def _drifted(terms: Sequence[Term], t0: Times, t1: Times, y0: Tensor, f0: Tensor | None, noise: DiffusionTerm | None,
             g: Tensor | None, mean: Tensor) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """y0 + (f0 + 2 f1) h / 3 and f1 = f(t0 + 3 h / 4, y0 + 3/4 f0 h + 3/2 g I_10 / h)."""
    if f0 is None:
        return y0, None
    y = stochastic.moved(y0, f0, t0, t1, 0.75)
    if noise is not None and g is not None:
        y = noise.added(y, g, mean, 1.5)
    f1 = stochastic.drift(terms, stochastic.between(t0, t1, 0.75, y0), y)
    return stochastic.moved(stochastic.moved(y0, f0, t0, t1, 1 / 3), f1, t0, t1, 2 / 3), f1


def _diagonal(terms: Sequence[Term], noise: DiffusionTerm, t0: Times, t1: Times, y0: Tensor, f0: Tensor | None, w: Tensor,
              mean: Tensor) -> Tensor:  # fmt: skip
    """The step of SRI1W1."""
    h = stochastic.length(t0, t1, w)
    root = stochastic.root(h)
    first, quarter, last = (stochastic.between(t0, t1, c, y0) for c in (0.0, 0.25, 1.0))

    def shift(y: Tensor, g: Tensor, weight: float) -> Tensor:
        """y + weight g sqrt(h)."""
        if isinstance(root, Tensor):
            return torch.addcmul(y, g, expand_right(root, g), value=weight)
        return torch.add(y, g, alpha=weight * root)

    g0 = noise.vector_field(first, y0)
    y1, _ = _drifted(terms, t0, t1, y0, f0, noise, g0, mean)
    g1 = noise.vector_field(quarter, shift(stochastic.moved(y0, f0, t0, t1, 0.25), g0, 0.5))
    g2 = noise.vector_field(last, shift(stochastic.moved(y0, f0, t0, t1, 1.0), g0, -1.0))
    # The drift in the last stage stands at the third Y, which is y0 at t0: f0 again.
    z3 = shift(shift(shift(stochastic.moved(y0, f0, t0, t1, 0.25), g0, -5.0), g1, 3.0), g2, 0.5)
    g3 = noise.vector_field(quarter, z3)
    double, triple = 0.5 * (w.square() - h) / root, (w.square() / h - 3) * w / 6  # I_11 / sqrt(h) and I_111 / h
    y1 = noise.added(y1, g0, 2 * mean - w - double - 2 * triple)
    y1 = noise.added(y1, g1, 4 / 3 * (w + double - mean) + 5 / 3 * triple)
    y1 = noise.added(y1, g2, 2 / 3 * (w - mean - triple) - double / 3)
    return noise.added(y1, g3, triple)
