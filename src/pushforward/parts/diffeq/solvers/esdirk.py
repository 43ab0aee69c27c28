"""One step of any ESDIRK method: implicit stages with one number gamma on the diagonal, the first stage explicit.

F_i = f(t0 + c_i h, y0 + h sum_{j<i} a_ij F_j + gamma h F_i),    y1 = y0 + h sum_i b_i F_i = the state of the last stage.

Each stage is found by a simplified Newton iteration, (I - gamma h J) dF = f(...) - F, with the Jacobian J = df/dy of the
start of the step and one LU factorisation for all stages (Hairer and Wanner, 1996, Solving Ordinary Differential
Equations II, section IV.8), every sample on its own. A sample whose iteration does not converge gets an infinite state,
which adaptive steps reject and fixed steps report.

Gradients do not go through the iteration. By the implicit function theorem dF = (I - gamma h J_i)^-1 d[f] with the
Jacobian J_i at the solution, so a stage costs one linear solve in the backward pass.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pushforward.core.errors import ConfigError
from pushforward.core.shapes import expand_right
from pushforward.core.term import Term
from pushforward.parts.diffeq.step_size import Norm, error_norm
from pushforward.parts.diffeq.terms import ODETerm

from .runge_kutta import Row, Tableau, Workspace

ITERATIONS = 10  # of Newton's method, at most; a step that needs more is better cut
PATIENCE = 50  # the same where steps cannot be cut
CHECK_EVERY = 5  # iterations between two looks at a device that computes on its own
ACCURACY = 0.01  # of a stage, in units of the tolerance of a step
GRAIN = 16  # roundings of the state below which an iteration cannot improve


@dataclass(frozen=True, eq=False)
class Implicit:
    """A tableau whose rows of `a` include the diagonal: 0 first, then gamma. The last row is b, the one before b_hat."""

    a: tuple[Row, ...]
    quartic: Row | None = None  # numbers of a fourth-order dense output, as in `runge_kutta.Tableau`

    @property
    def gamma(self) -> float:
        """The number on the diagonal."""
        return self.a[-1][-1]

    @property
    def b(self) -> Row:
        """The weights of the stages."""
        return self.a[-1]

    @property
    def c(self) -> Row:
        """The nodes."""
        return tuple(1.0 if i > 0 and len(self.a) - i <= 2 else math.fsum(row) for i, row in enumerate(self.a))

    @property
    def e(self) -> Row:
        """b - b_hat."""
        return tuple(x - y for x, y in zip(self.a[-1], (*self.a[-2], 0.0)))

    def dense(self) -> tuple[Row, ...]:
        """Dense output, as that of an explicit method that is first same as last: it is built from the same facts."""
        return Tableau(self.a, self.b, self.c, self.e, self.quartic).dense()


class ImplicitCarry(NamedTuple):
    """The field at the start of a step, and what a step's error is measured by (None: the dtype's own precision)."""

    first: tuple[Tensor, ...]
    norm: Norm | None = None


def methods(tableau: Implicit) -> tuple[Callable[..., ImplicitCarry], Callable[..., Any], Callable[..., Any]]:
    """`init`, `step` and `step_dense` of the solver of a tableau, to be the methods of its class."""

    def init(self: Any, terms: Sequence[Term], t0: Tensor, y0: Tensor) -> ImplicitCarry:
        """The field at the start."""
        return ImplicitCarry((_only(terms).vector_field(t0, y0),))

    def step(self: Any, terms: Sequence[Term], t0: Tensor, t1: Tensor, y0: Tensor,
             state: ImplicitCarry) -> tuple[Tensor, Tensor, ImplicitCarry]:  # fmt: skip
        """y at t1, and an estimate of the local error; infinite for samples whose stages were not found."""
        return _step(tableau, _only(terms), t0, t1, y0, state)[:3]

    def step_dense(self: Any, terms: Sequence[Term], t0: Tensor, t1: Tensor, y0: Tensor, state: ImplicitCarry,
                   workspace: Workspace | None = None) -> tuple[Tensor, Tensor, ImplicitCarry, Any]:  # fmt: skip
        """`step`, and the stages that dense output combines."""
        y1, error, after, stages = _step(tableau, _only(terms), t0, t1, y0, state)
        if workspace is None:
            return y1, error, after, stages
        for row, stage in zip(workspace.rows, stages):
            row.copy_(stage)
        return y1, error, after, workspace.stages

    return init, step, step_dense


def _only(terms: Sequence[Term]) -> Term:
    if len(terms) != 1 or not isinstance(terms[0], ODETerm):
        raise ConfigError(
            "expected terms in dt for an implicit solver, got a control; use an explicit one, or the term's as_ode()"
        )
    return terms[0]


def _step(tableau: Implicit, term: Term, t0: Tensor, t1: Tensor, y0: Tensor,
          carry: ImplicitCarry) -> tuple[Tensor, Tensor, ImplicitCarry, list[Tensor]]:  # fmt: skip
    """Return `(y1, error, carry, stages)` with the stages k_i = h F_i."""
    times = torch.lerp(t0, t1, torch.tensor(tableau.c, dtype=t0.dtype, device=t0.device).unsqueeze(1)).unbind(0)
    h = expand_right(t1 - t0, y0)
    newton = Newton(term, t0, (t1 - t0) * tableau.gamma, y0, carry.norm)
    first = carry.first[0]
    fields, stages, state = [first], [first * h], y0
    for i in range(1, len(tableau.a)):
        base = y0
        for number, stage in zip(tableau.a[i], stages):
            base = base if number == 0 else base.add(stage, alpha=number)
        fields.append(newton.stage(times[i], base, fields[-1]))
        stages.append(fields[-1] * h)
        state = base.add(stages[-1], alpha=tableau.gamma)
    error = sum((stage * number for number, stage in zip(tableau.e, stages) if number), torch.zeros_like(y0))
    y1 = torch.where(expand_right(newton.found, y0), state, math.inf)
    return y1, error, ImplicitCarry((fields[-1],), carry.norm), stages


class Newton:
    """The implicit stages of one step: F = f(t, base + g F) with g = gamma h, `(n,)`, sample by sample."""

    def __init__(self, term: Term, t0: Tensor, g: Tensor, y0: Tensor, norm: Norm | None):
        self.term, self.g = term, expand_right(g, y0)
        self.y0 = y0.detach()
        with torch.no_grad():
            eps = torch.finfo(y0.dtype).eps
            self.most = PATIENCE if norm is None else ITERATIONS
            self.norm = norm or error_norm(1e3 * eps, 1e3 * eps, y0)
            self.factors = torch.linalg.lu_factor_ex(_matrix(term, t0, self.y0, g.detach()))[:2]
            self.grain = GRAIN * eps
            self.found = torch.ones_like(g, dtype=torch.bool)

    def stage(self, t: Tensor, base: Tensor, guess: Tensor) -> Tensor:
        """The field F at the stage; `found` turns False for samples without one."""
        with torch.no_grad():
            solved = self._iterate(t, base, guess)
        if not torch.is_grad_enabled():
            return solved
        field = self.term.vector_field(t, torch.addcmul(base, self.g, solved))
        if not field.requires_grad:
            return solved
        return _Solved.apply(field, solved, lambda: self._matrix_at(t, base, solved))  # pyright: ignore[reportReturnType]

    def _iterate(self, t: Tensor, base: Tensor, guess: Tensor) -> Tensor:
        field, before = guess, None
        done = torch.zeros_like(self.found)
        hopeless = torch.zeros_like(self.found)
        rounding = self.norm(self.grain * torch.maximum(self.y0.abs(), base.abs()), self.y0, self.y0)
        every = 1 if base.device.type == "cpu" else CHECK_EVERY
        for count in range(1, self.most + 1):
            residual = self.term.vector_field(t, torch.addcmul(base, self.g, field)) - field
            change = torch.linalg.lu_solve(*self.factors, residual.flatten(1).unsqueeze(2) if residual.ndim > 1
                                           else residual.reshape(-1, 1, 1)).reshape(residual.shape)  # fmt: skip
            field = torch.where(expand_right(done, field), field, field + change)
            size = self.norm(self.g * change, self.y0, self.y0)
            # What is left of a geometric series after this term; nothing is known of the first one's rate.
            rate = torch.full_like(size, 0.5) if before is None else size / before
            left = torch.where(rate < 1, size * rate / (1 - rate), size.new_full((), math.inf))
            done |= (left <= ACCURACY) | (size <= rounding)
            hopeless |= ~size.isfinite() | (rate > 2)
            before = size
            if count % every == 0 and bool((done | hopeless).all()):
                break
        self.found = self.found & done
        return field

    def _matrix_at(self, t: Tensor, base: Tensor, field: Tensor) -> Tensor:
        g = self.g.detach().reshape(-1)
        return _matrix(self.term, t, torch.addcmul(base.detach(), self.g.detach(), field.detach()), g)


class _Solved(torch.autograd.Function):
    """The solution F, with the gradient (I - g J)^-T of F = f + g J F."""

    @staticmethod
    def forward(ctx: Any, field: Tensor, solved: Tensor, matrix: Callable[[], Tensor]) -> Tensor:  # type: ignore[override]
        """The solution as it is."""
        ctx.matrix = matrix
        return solved.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        """One linear solve with the transposed matrix at the solution."""
        right = gradient.reshape(len(gradient), -1, 1)
        return torch.linalg.solve_ex(ctx.matrix().mT, right)[0].reshape(gradient.shape), None, None


def _matrix(term: Term, t: Tensor, y: Tensor, g: Tensor) -> Tensor:
    """I - g df/dy, `(n, D, D)`."""
    jacobian = field_jacobian(term, t, y)
    return torch.eye(jacobian.shape[-1], dtype=y.dtype, device=y.device) - g.reshape(-1, 1, 1) * jacobian


def field_jacobian(term: Term, t: Tensor, y: Tensor) -> Tensor:
    """df/dy, `(n, D, D)`, by one call of the field and D products with its transposed Jacobian.

    >>> from pushforward.parts.diffeq import ODETerm
    >>> field_jacobian(ODETerm(lambda t, y: y**2), torch.zeros(1), torch.tensor([[1.0, 3.0]]))
    tensor([[[2., 0.],
             [0., 6.]]])
    """
    n, event = len(y), y.shape[1:]
    size = math.prod(event)
    with torch.inference_mode(False), torch.enable_grad():
        start = y.detach().clone().requires_grad_()
        field = term.vector_field(t.detach(), start)
        if not field.requires_grad or not size:
            return y.new_zeros(n, size, size)
        basis = torch.eye(size, dtype=y.dtype, device=y.device).reshape(size, 1, *event).expand(size, n, *event)
        if size <= 4:  # few products: cheaper apart
            found = [torch.autograd.grad(field, start, row, retain_graph=True, allow_unused=True)[0] for row in basis]
            if found[0] is None:
                return y.new_zeros(n, size, size)
            rows = torch.stack(found)
        else:
            rows = torch.autograd.grad(field, start, basis, is_grads_batched=True, allow_unused=True)[0]
            if rows is None:
                return y.new_zeros(n, size, size)
    return rows.reshape(size, n, size).transpose(0, 1)
