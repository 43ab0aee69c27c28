"""The Milstein method, of strong order one (Milstein, 1975, https://doi.org/10.1137/1119062).

y1 = y0 + f h + g dW + (1/2) g g' (dW^2 - |h|) for an Ito equation; without the |h| for one of Stratonovich. The derivative
along g is a difference, (g(t0, y0 + g sqrt|h|) - g) / sqrt|h| (Kloeden and Platen, 1992, Numerical Solution of Stochastic
Differential Equations, section 11.1), or comes by forward-mode autodiff. The difference is wrong by a multiple of sqrt|h|, which
costs nothing where it meets dW^2 - |h|, of mean zero; where it meets dW^2 alone, the difference is a symmetric one.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register
from pushforward.core.shapes import expand_right
from pushforward.core.solver import Solver
from pushforward.core.term import Term
from pushforward.parts.diffeq.stochastic_terms import DiffusionTerm, Interpretation, check

from . import stochastic
from .stochastic import Times

Derivative = Literal["difference", "autodiff"]


@register
class Milstein(Solver):
    """Strong order 1, for noise whose double integrals are known: diagonal, scalar and additive.

    `interpretation` says which equation it solves, `derivative` how g' g is found: by one more evaluation of g, or by
    autodiff. For additive noise, where g' is zero, it is the Euler-Maruyama method.

    >>> Milstein().strong_order, Milstein("stratonovich").interpretation
    (1.0, 'stratonovich')
    """

    order, strong_order = 1, 1.0
    strong_orders = {"diagonal": 1.0, "additive": 1.0, "scalar": 1.0}  # noqa: RUF012
    float_times = True

    def __init__(self, interpretation: Interpretation = "ito", derivative: Derivative = "difference"):
        if interpretation not in get_args(Interpretation) or derivative not in get_args(Derivative):
            raise ConfigError(f"expected interpretation ito or stratonovich and derivative difference or autodiff, "
                              f"got {interpretation!r} and {derivative!r}")  # fmt: skip
        self.interpretation, self.derivative = interpretation, derivative

    def init(self, terms: Sequence[Term], t0: Tensor, y0: Tensor) -> None:
        """Nothing is carried. Raises `ConfigError` for terms that this solver cannot take."""
        check(terms, self)

    def step(self, terms: Sequence[Term], t0: Times, t1: Times, y0: Tensor,
             state: None) -> tuple[Tensor, None, None]:  # fmt: skip
        """y at t1."""
        t, noise = stochastic.time(t0, y0), stochastic.noise_of(terms)
        y1 = stochastic.moved(y0, stochastic.drift(terms, t, y0), t0, t1)
        if noise is None:
            return y1, None, None
        g, dw = noise.vector_field(t, y0), noise.path.increment(t0, t1, y0)
        y1 = noise.added(y1, g, dw)
        if noise.noise == "additive":
            return y1, None, None
        h = stochastic.length(t0, t1, dw)
        double = dw.square() - h if self.interpretation == "ito" else dw.square()
        if self.derivative == "autodiff":
            slope, size = torch.func.jvp(lambda y: noise.vector_field(t, y), (y0.contiguous(),), (g,))[1], 1.0
        else:
            slope, size = self._difference(noise, t, y0, g, stochastic.root(h))
        return torch.addcmul(y1, slope, expand_right(double, slope), value=0.5 / size), None, None

    def _difference(self, noise: DiffusionTerm, t: Tensor, y: Tensor, g: Tensor,
                    root: Tensor | float) -> tuple[Tensor, float]:  # fmt: skip
        """g' g and what is left to divide it by: exact to the first power of sqrt|h| where its factor has mean zero, else the second."""
        both = self.interpretation == "stratonovich"
        if isinstance(root, Tensor):
            step = expand_right(root, g)
            ahead, behind = noise.vector_field(t, y + g * step), noise.vector_field(t, y - g * step) if both else g
            return (ahead - behind) / step, 1.0 + both
        ahead = noise.vector_field(t, torch.add(y, g, alpha=root))
        behind = noise.vector_field(t, torch.add(y, g, alpha=-root)) if both else g
        return ahead - behind, root * (1 + both)
