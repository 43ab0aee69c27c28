"""Terms in dW: dy = f(t, y) dt + g(t, y) dW, with the kind of noise and the stochastic integral declared.

The Ito integral takes g at the start of each short step, the Stratonovich integral the mean of its two ends. They differ by a
drift: g o dW = g dW + (1/2) sum_jk g_jk (d g_ik / d y_j) dt (Kloeden and Platen, 1992, Numerical Solution of Stochastic
Differential Equations, section 4.9).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, cast, get_args, runtime_checkable

import torch
from torch import Size, Tensor

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.registry import register
from pushforward.core.shapes import expand_right
from pushforward.core.solver import Solver
from pushforward.core.term import Term

from .terms import Field, ODETerm
from .wiener import Place

Noise = Literal["diagonal", "additive", "scalar", "general"]
Interpretation = Literal["ito", "stratonovich"]


@runtime_checkable
class NoisePath(Protocol):
    """What a `DiffusionTerm` asks of its noise: `WienerIncrements` and `BrownianPath` have it."""

    shape: Size

    def begin(self, low: float, high: float, step: float | None) -> None:
        """A solve starts, between these times and with steps of this length."""
        ...

    def seek(self, place: Place | None) -> None:
        """This step comes; None when the solve is over."""
        ...

    def increment(self, t0: Tensor | float, t1: Tensor | float, like: Tensor) -> Tensor:
        """W(t1) - W(t0), `(n, *shape)`."""
        ...

    def increment_and_area(self, t0: Tensor | float, t1: Tensor | float, like: Tensor) -> tuple[Tensor, Tensor]:
        """The same, and the space-time area."""
        ...


@register
class DiffusionTerm(Term):
    """g(t, y) dW for a Brownian path, in the sense of Ito or of Stratonovich.

    `noise` says what g is, and the path must have the shape of dW:

    - "diagonal": g `(n, *event)`, a noise of its own for every number of y, dW `(n, *event)`; g_i is a function of y_i for
      the solvers of order above 1/2 to have their order;
    - "additive": as diagonal, or a matrix as general, and no function of y;
    - "scalar": g `(n, *event)`, one noise for the whole sample, dW `(n,)`;
    - "general": g `(n, *event, m)`, m noises, dW `(n, m)`.

    Raises `ShapeError` for a g or a path of another shape.

    >>> import pushforward as pf
    >>> term = DiffusionTerm(lambda t, y: 0.1 * y, pf.diffeq.WienerIncrements(2, seed=0))
    >>> solver, drift = pf.diffeq.EulerMaruyama(), lambda t, y: -y
    >>> pf.diffeq.solve([drift, term], torch.ones(3, 2), [0.0, 1.0], solver=solver, step_size=0.1).last_y.shape
    torch.Size([3, 2])
    """

    def __init__(self, g: Field, path: NoisePath, noise: Noise = "diagonal", interpretation: Interpretation = "ito"):
        if noise not in get_args(Noise) or interpretation not in get_args(Interpretation):
            raise ConfigError(f"expected noise {', '.join(get_args(Noise))} and interpretation ito or stratonovich, "
                              f"got {noise!r} and {interpretation!r}")  # fmt: skip
        self.g, self.path = g, path
        self.noise: Noise = noise
        self.interpretation: Interpretation = interpretation

    def vector_field(self, t: Tensor, y: Tensor) -> Tensor:
        """g(t, y), `(n, *event)` or `(n, *event, m)`."""
        g, shape = self.g(t, y), self.path.shape
        if g.shape == y.shape and self.noise != "general":
            expected = Size() if self.noise == "scalar" else y.shape[1:]
        elif g.shape[:-1] == y.shape and self.noise in ("general", "additive"):
            expected = g.shape[-1:]
        else:
            raise ShapeError(
                f"expected g(t, y) of {self.noise} noise of shape {self._described(y)}, got {tuple(g.shape)}"
            )
        if shape != expected:
            raise ShapeError(f"expected a path of shape {tuple(expected)} for {self.noise} noise and g of shape {tuple(g.shape)}, "
                             f"got {tuple(shape)}; pass shape={tuple(expected)} to it")  # fmt: skip
        if g.dtype != y.dtype:
            if not g.is_floating_point() or torch.promote_types(g.dtype, y.dtype) != y.dtype:
                raise ShapeError(
                    f"expected g(t, y) of dtype {y.dtype}, got {g.dtype}; convert the constants in g, or the state"
                )
            g = g.to(y.dtype)  # which autocast may have narrowed
        return g

    def control(self, t0: Tensor, t1: Tensor) -> Tensor:
        """W(t1) - W(t0), `(n, *shape)`."""
        return self.path.increment(t0, t1, t0)

    def product(self, f: Tensor, increment: Tensor) -> Tensor:
        """g dW, `(n, *event)`."""
        if f.ndim == increment.ndim or self.noise == "scalar":
            return f * expand_right(increment, f)
        rows, noises = f.shape[0], f.shape[-1]
        product = torch.bmm(f.reshape(rows, math.prod(f.shape[1:-1]), noises), increment.unsqueeze(-1))
        return product.reshape(f.shape[:-1])

    def added(self, y: Tensor, g: Tensor, increment: Tensor, weight: float = 1.0) -> Tensor:
        """y + weight g dW, in one operation where the noise is no matrix."""
        if g.shape == y.shape:
            same = increment if increment.ndim == g.ndim else expand_right(increment, g)
            return torch.addcmul(y, g, same, value=weight)
        return torch.add(y, self.product(g, increment), alpha=weight)

    def _described(self, y: Tensor) -> str:
        alone, matrix = str(tuple(y.shape)), str((*y.shape, "m"))
        return {"general": matrix, "additive": f"{alone} or {matrix}"}.get(self.noise, alone)


def parts(terms: Sequence[Term]) -> tuple[list[Term], DiffusionTerm | None]:
    """The terms in dt, and the one in dW."""
    drifts, noise = [], None
    for term in terms:
        if isinstance(term, DiffusionTerm):
            noise = term
        else:
            drifts.append(term)
    return drifts, noise


def is_sde(terms: Sequence[Term]) -> bool:
    """Whether there is a term in dW."""
    return any(isinstance(term, DiffusionTerm) for term in terms)


def seek(terms: Sequence[Term], place: Place | None) -> None:
    """Tell the noise which step comes."""
    for term in terms:
        if isinstance(term, DiffusionTerm):
            term.path.seek(place)


def check(terms: Sequence[Term], solver: Solver) -> None:
    """Raise `ConfigError` when the solver cannot take these terms: their integral, their noise, their number."""
    noises = [term for term in terms if isinstance(term, DiffusionTerm)]
    others = [term for term in terms if not isinstance(term, DiffusionTerm | ODETerm)]
    name = type(solver).__name__
    orders = cast("Mapping[str, float] | None", getattr(solver, "strong_orders", None))
    if orders is None:
        if noises:
            taken = "EulerMaruyama" if noises[0].interpretation == "ito" else "StochasticHeun"
            raise ConfigError(
                f"expected a solver of stochastic differential equations for a DiffusionTerm, got {name}; take {taken}"
            )
        return
    if others:
        raise ConfigError(
            f"expected terms in dt and a DiffusionTerm for {name}, got {type(others[0]).__name__}; use its as_ode()"
        )
    if len(noises) > 1:
        raise ConfigError(
            f"expected one DiffusionTerm, got {len(noises)}; put them side by side as one with general noise"
        )
    if not noises:
        return
    noise = noises[0]
    if noise.noise not in orders:
        raise ConfigError(f"expected {' or '.join(orders)} noise for {name}, got {noise.noise}, whose double integrals it does not "
                          "have; take EulerMaruyama (Ito) or StochasticHeun (Stratonovich)")  # fmt: skip
    if noise.interpretation != solver.interpretation and noise.noise != "additive":  # where both integrals are the same
        remedy = "EulerMaruyama or Milstein" if noise.interpretation == "ito" else "StochasticHeun or ReversibleHeun"
        helper = "ito_to_stratonovich" if noise.interpretation == "ito" else "stratonovich_to_ito"
        raise ConfigError(f"expected a {str(solver.interpretation).capitalize()} equation for {name}, got one in the sense of "
                          f"{noise.interpretation.capitalize()}; take {remedy}, or turn the equation with {helper}")  # fmt: skip


def ito_to_stratonovich(drift: Term | Field, noise: DiffusionTerm) -> list[Term]:
    """The same process with its noise in the sense of Stratonovich: f - (1/2) sum_jk g_jk (d g_ik / d y_j).

    Derivatives are by forward-mode autodiff: one for scalar noise, m for general noise, and for diagonal noise one for
    each number of y.

    >>> from pushforward.parts.diffeq import BrownianPath
    >>> path = BrownianPath(0.0, 1.0, shape=1)
    >>> terms = ito_to_stratonovich(lambda t, y: y, DiffusionTerm(lambda t, y: 0.4 * y, path))
    >>> terms[0].vector_field(torch.zeros(1), torch.ones(1, 1))
    tensor([[0.9200]])
    """
    return _turned(drift, noise, "ito", "stratonovich", -0.5)


def stratonovich_to_ito(drift: Term | Field, noise: DiffusionTerm) -> list[Term]:
    """The same process with its noise in the sense of Ito: f + (1/2) sum_jk g_jk (d g_ik / d y_j).

    >>> from pushforward.parts.diffeq import BrownianPath
    >>> path = BrownianPath(0.0, 1.0, shape=1)
    >>> noise = DiffusionTerm(lambda t, y: 0.4 * y, path, interpretation="stratonovich")
    >>> stratonovich_to_ito(lambda t, y: y, noise)[0].vector_field(torch.zeros(1), torch.ones(1, 1))
    tensor([[1.0800]])
    """
    return _turned(drift, noise, "stratonovich", "ito", 0.5)


def _turned(
    drift: Term | Field, noise: DiffusionTerm, of: Interpretation, to: Interpretation, sign: float
) -> list[Term]:
    if noise.interpretation != of:
        raise ConfigError(
            f"expected a term in the sense of {of.capitalize()}, got {noise.interpretation.capitalize()}; it is there already"
        )
    f = drift if isinstance(drift, Term) else ODETerm(drift)
    if not isinstance(f, ODETerm):
        raise ConfigError(f"expected a drift in dt, got {type(f).__name__}; pass a function f(t, y) or an ODETerm")
    turned = DiffusionTerm(noise.g, noise.path, noise.noise, to)
    if noise.noise == "additive":
        return [f, turned]
    return [ODETerm(lambda t, y: f.vector_field(t, y) + sign * spread(noise, t, y)), turned]


def spread(noise: DiffusionTerm, t: Tensor, y: Tensor) -> Tensor:
    """sum_jk g_jk d g_ik / d y_j, `(n, *event)`."""

    def along(pick: Any, direction: Tensor) -> Tensor:
        # Of a state in memory of its own: forward-mode derivatives refuse numbers that samples share.
        return torch.func.jvp(lambda y: pick(noise.vector_field(t, y)), (y.contiguous(),), (direction.contiguous(),))[1]

    g = noise.vector_field(t, y)
    if noise.noise == "scalar":
        return along(lambda g: g, g)
    if noise.noise == "general":
        columns = [along(lambda g, k=k: g[..., k], g[..., k]) for k in range(g.shape[-1])]
        return torch.stack(columns).sum(0)
    flat, made = y.reshape(len(y), -1), []
    for i in range(flat.shape[1]):  # the noise of y_i moves y_i alone: only the diagonal of the Jacobian counts
        unit = torch.zeros_like(flat)
        unit[:, i] = 1
        made.append(along(lambda g, i=i: g.reshape(len(y), -1)[:, i], unit.reshape(y.shape)))
    return torch.stack(made, 1).reshape(y.shape) * g
