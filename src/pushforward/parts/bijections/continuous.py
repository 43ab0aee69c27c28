"""Continuous flow: x = z(1) along dz/dt = f(t, z) from z(0), a density carried by a vector field.

The log density along a path changes by minus the trace of the Jacobian, and of nothing else,

    d log p(z(t)) / dt = -tr(df/dz),    so    log abs det dx/dz = int_0^1 tr(df/dz) dt,

which is solved as one more state beside z. The trace is exact, or v' (df/dz) v for a random v with E[v v'] = I, one and
the same along a path (Hutchinson 1990, https://doi.org/10.1080/03610919008812866). Chen et al. 2018, Neural ordinary
differential equations, https://arxiv.org/abs/1806.07366; Grathwohl et al. 2019, FFJORD, https://arxiv.org/abs/1810.01367.
The energies int |f|^2 dt and int |df/dz|_F^2 dt are those that Finlay et al. 2020, https://arxiv.org/abs/2002.02798, keep small.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Size, Tensor, nn

from pushforward.core.batching import memory_budget
from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import register
from pushforward.core.shapes import sum_event
from pushforward.core.solver import Solver
from pushforward.parts.diffeq import Dopri5, solve
from pushforward.parts.diffeq.compact import TABLEAUX, solve_rows
from pushforward.parts.numerics.divergence import Probe, divergence_exact, pulled
from pushforward.parts.numerics.log_det_series import probes_of_rows

Trace = Literal["auto", "exact", "hutchinson"]
Rate = Callable[..., Tensor]
Gradients = Literal["auto", "direct", "checkpointed", "adjoint", "reversible"]
TRAINED, EVALUATED = (
    4,
    16,
)  # numbers of an event up to which "auto" is exact where the exact trace costs a pass for each
EVALUATIONS = 100  # of the field in a solve, a guess, to tell whether a graph of all of them fits in memory


@register
class Continuous(Bijection):
    """x = z(1) where dz/dt = field(t, z, condition) and z(0) = z; the inverse solves from t = 1 to 0.

    `field` has an `event_shape`, takes t `(n,)`, z `(n, *event)` and, where its attribute `condition` is a width above 0, a
    condition. `VelocityMLP`, `VelocityConvNet` and `PlanarField` give their divergence in the same pass; any other field is
    differentiated.

    `trace` is "exact", "hutchinson" (an unbiased estimate by `probes` random vectors, "rademacher" or "gaussian" ones) or "auto":
    exact where the field has its trace in closed form, or for events of up to 4 numbers, in evaluation mode up to 16;
    otherwise estimated. In training mode probes are fresh ones from PyTorch's global generator; in evaluation mode they
    are a function of the row that comes in, so that a row has one score in every batch. Where evaluations are
    estimated, `log_det_kind` is "estimate".

    `solver` (by default `Dopri5`), `rtol`, `atol` and `step_size` are those of `solve`: both directions are as good as the tolerance.
    `gradient` is that of `solve`. "auto" replays the accepted steps one at a time (`parts/diffeq/compact.py`), or, on a GPU and
    for steps of given size, is "direct" as long as the steps fit in memory, then "checkpointed".

    Raises `ConfigError` for an unknown `trace`, `probe` or `gradient`, or no probes; `SolveError` for a field that no step
    is short enough for.

    >>> from pushforward.parts.nn import VelocityMLP
    >>> part = Continuous(VelocityMLP(2, (16, 16), zero_last=False))
    >>> z = torch.randn(5, 2)
    >>> x, log_det = part(z)
    >>> bool(torch.allclose(part.inverse(x)[0], z, atol=1e-3))
    True
    """

    def __init__(self, field: nn.Module, trace: str = "auto", probe: str = "rademacher", probes: int = 1,
                 solver: Solver | None = None, rtol: float = 1e-5, atol: float = 1e-5, step_size: float | None = None,
                 gradient: str = "auto"):  # fmt: skip
        super().__init__()
        for name, value, known in (("trace", trace, Trace), ("probe", probe, Probe), ("gradient", gradient, Gradients)):
            if value not in get_args(known):
                raise ConfigError(f"expected {name} among {', '.join(get_args(known))}, got {value!r}; choose one")
        if probes < 1:
            raise ConfigError(f"expected at least 1 probe, got {probes}; 1 is usual in training")
        shape, width = getattr(field, "event_shape", None), getattr(field, "condition", 0)
        if shape is None:
            raise ConfigError(f"expected a field with an event_shape, got {type(field).__name__}; VelocityMLP has one")
        self.event_shape = self.output_shape = Size(shape)
        self.condition_shape = Size((width,)) if width else None
        self.field, self.trace, self.probe, self.probes = field, trace, probe, probes
        self.solver, self.rtol, self.atol, self.step_size, self.gradient = solver, rtol, atol, step_size, gradient
        self.inverse_kind = "iterative"
        self.log_det_kind = "exact" if self._exactly(training=False) else "estimate"

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return self._carried(z, condition, [0.0, 1.0])[:2]

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return self._carried(x, condition, [1.0, 0.0])[:2]

    def inverse_with_energies(self, x: Tensor, condition: Tensor | None, jacobian: bool = True) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
        """z, log abs det dz/dx, int |f|^2 dt and int |df/dz|_F^2 dt of rows x `(n, *event)`; the last three `(n,)`.

        Where the trace is estimated so is the last, by E |J v|^2 = E |v'J|^2 = |J|_F^2. Without `jacobian` it is 0.
        """
        z, log_det, kinetic, roughness = self._carried(x, condition, [1.0, 0.0], 2 if jacobian else 1)
        return z, log_det, -kinetic, -roughness  # time ran backwards

    def _exactly(self, training: bool) -> bool:
        if self.trace != "auto":
            return self.trace == "exact"
        return bool(getattr(self.field, "closed_trace", False)) or self.event_shape.numel() <= (
            TRAINED if training else EVALUATED
        )

    def _carried(self, value: Tensor, condition: Tensor | None, times: list[float],
                 energies: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
        """Value, trace and energies at the end of a solve from `value` `(n, *event)`."""
        n, d = len(value), self.event_shape.numel()
        rate = self._rate(value, condition, energies)
        start = torch.cat([value.reshape(n, d), value.new_zeros(n, 1 + energies)], 1)
        y, *sums = self._solved(rate, start, times, condition).split([d, *[1] * (1 + energies)], 1)
        sums = [column[:, 0] for column in sums]
        sums += [torch.zeros_like(sums[0])] * (3 - len(sums))
        return y.reshape(value.shape), sums[0], sums[1], sums[2]

    def _solved(self, rate: Rate, start: Tensor, times: list[float], condition: Tensor | None) -> Tensor:
        solver = self.solver or Dopri5()
        if not len(start):
            return start + rate(start.new_zeros(0), start, None)  # nothing to solve, but a graph to the weights
        if self.gradient == "auto" and self.step_size is None and start.device.type == "cpu":
            tensors = [*self.field.parameters(), *([] if condition is None else [condition])]
            # Weights put in place for a call, as functional_call does, are gone in the backward pass.
            if type(solver) in TABLEAUX and all(p.is_leaf for p in self.field.parameters()):
                y = solve_rows(rate, start, times[0], times[1], tensors, solver=solver, rtol=self.rtol, atol=self.atol)
                if y is not None:
                    return y
        return solve(partial(rate, rows=None), start, times, solver=solver, step_size=self.step_size, rtol=self.rtol,
                     atol=self.atol, gradient=self._gradient(start)).last_y  # fmt: skip

    def _rate(self, value: Tensor, given: Tensor | None, energies: int) -> Rate:
        """The right-hand side for the state [z, trace, energies], `(m, d + 1 + energies)`, of some rows or of all (None)."""
        d, shape = self.event_shape.numel(), value.shape
        exact, field = self._exactly(self.training), self.field
        closed = getattr(field, "value_and_trace", None) if exact else None
        drawn = None if exact and energies < 2 else self._unit(value) if exact else self._probes(value)
        share = 1.0 if exact else 1 / self.probes

        def rate(t: Tensor, y: Tensor, rows: Tensor | None) -> Tensor:
            all_rows = rows is None or len(rows) == len(value)
            condition = given if given is None or all_rows else given[rows]
            z, extra = y[:, :d].reshape(len(y), *shape[1:]), []
            if drawn is not None:
                vectors = drawn if all_rows else drawn[:, rows]
                f, moved = self._moved(t, z, vectors, condition)
                moved, probes = moved.reshape(len(vectors), len(y), d), vectors.reshape(len(vectors), len(y), d)
                trace = (moved * probes).sum((0, 2)) * share
                extra = [moved.square().sum((0, 2)) * share]
            elif closed is not None:
                f, trace = closed(t, z, condition)
            else:
                f, trace = divergence_exact(self._own(t, condition), z)
            columns = [trace, *([sum_event(f.square())] if energies else []), *extra][: 1 + energies]
            return torch.cat([f.reshape(len(y), d), *[column.unsqueeze(1) for column in columns]], 1)

        return rate

    def _own(self, t: Tensor, condition: Tensor | None) -> Callable[[Tensor], Tensor]:
        return lambda z: self.field(t, z) if condition is None else self.field(t, z, condition)

    def _moved(self, t: Tensor, z: Tensor, vectors: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """f and J v for each of the vectors; or v'J, which serves as well, for a field without tangents of its own."""
        carried = getattr(self.field, "value_and_tangents", None)
        if carried is not None:
            return carried(t, z, vectors, condition)
        return pulled(self._own(t, condition), z, vectors)

    def _unit(self, value: Tensor) -> Tensor:
        d = self.event_shape.numel()
        unit = torch.eye(d, dtype=value.dtype, device=value.device)
        return unit.unsqueeze(1).expand(d, len(value), d).reshape(d, *value.shape)

    def _probes(self, value: Tensor) -> Tensor:
        if not self.training:
            return probes_of_rows(value, self.probes)
        shape = (self.probes, *value.shape)
        if self.probe == "gaussian":
            return torch.randn(shape, dtype=value.dtype, device=value.device)
        return 2.0 * torch.randint(2, shape, dtype=value.dtype, device=value.device) - 1

    def _gradient(self, value: Tensor) -> Any:
        if self.gradient != "auto":
            return self.gradient
        if not torch.is_grad_enabled():
            return "direct"
        numbers = getattr(self.field, "numbers", 64 * self.event_shape.numel())
        passes = 1 if self._exactly(self.training) else 1 + self.probes
        kept = len(value) * numbers * passes * EVALUATIONS * value.element_size()
        return "direct" if kept <= memory_budget(value.device) else "checkpointed"
