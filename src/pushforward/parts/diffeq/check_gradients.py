"""Compare the gradients of a solve with finite differences, in float64, on the problem at hand."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.core.solver import Solver
from pushforward.core.term import Term

from .captured import Captured, modules_in
from .solve import Gradient, solve
from .solvers.dopri5 import Dopri5
from .step_size import PID
from .terms import as_terms

_DOPRI5 = Dopri5()
TIGHT = 1e-10  # the tolerance of the solves that are subtracted from each other


@dataclass(frozen=True)
class GradientCheck:
    """Derivatives of a random sum of the states at the save times, along random directions.

    `rows` are (with respect to what, by the gradient, by finite differences).
    """

    gradient: str
    rows: tuple[tuple[str, float, float], ...]
    tolerance: float

    @property
    def error(self) -> float:
        """The largest difference, relative to the largest derivative with respect to the same thing."""
        return max((self._relative(what) for what in dict.fromkeys(row[0] for row in self.rows)), default=0.0)

    @property
    def ok(self) -> bool:
        """Whether the error is within the tolerance; NaN never is."""
        return self.error <= self.tolerance

    def _relative(self, what: str) -> float:
        rows = [row[1:] for row in self.rows if row[0] == what]
        errors = [abs(found - measured) for found, measured in rows]
        size = max(abs(measured) for _, measured in rows)
        return float("nan") if any(e != e for e in errors) else max(errors) / max(size, 1e-12)

    def __str__(self) -> str:
        lines = [f"{self.gradient:>14}  {'by gradient':>14}  {'by differences':>14}"]
        lines += [f"{what:>14}  {found:14.7g}  {measured:14.7g}" for what, found, measured in self.rows]
        verdict = "ok" if self.ok else "NOT ok"
        return "\n".join([*lines, f"relative error {self.error:.2g}, allowed {self.tolerance:.2g}: {verdict}"])


def check_gradients(terms: Term | Callable[..., Any] | Sequence[Term | Callable[..., Any]], y0: Tensor,
                    t: Tensor | Sequence[float], *, gradient: Gradient = "adjoint", solver: Solver = _DOPRI5,
                    step_size: float | PID | None = None, rtol: float = 1e-7, atol: float = 1e-9,
                    parameters: Sequence[Tensor] | None = None, directions: int = 3, tolerance: float = 1e-4,
                    seed: int = 0) -> GradientCheck:  # fmt: skip
    """Compare the gradients that `solve` gives with central differences of fourth order, in float64.

    With respect to y0, to t (unless save times coincide) and to `parameters`: leaf tensors that the field uses, by
    default all that are found. Modules and parameters are turned to float64 for the duration and back again; whatever
    else the field closes over should be float64 already. With adaptive steps the differences are of solves at a
    tolerance of 1e-10, so that the error includes that of rtol and atol.

    >>> report = check_gradients(lambda t, y: -y**3, torch.ones(2, 1), [0.0, 0.5, 1.0], gradient="adjoint")
    >>> report.ok
    True
    """
    read, start = as_terms(terms), y0.detach().double()
    times = torch.as_tensor(t, dtype=torch.float64, device=start.device).detach()
    networks = list(modules_in(terms))
    own = list(parameters) if parameters is not None else None
    with _in_double(networks, own or []):
        each = times.expand(len(start), times.shape[-1])
        found = Captured(read, each[:, 0], each[:, -1], start).tensors
        leaves = own if own is not None else [tensor for tensor in found if tensor.is_leaf]
        if any(not leaf.is_leaf or not leaf.requires_grad for leaf in leaves):
            raise ConfigError("expected parameters that are leaf tensors with requires_grad, got others; pass what an "
                              "optimiser would take")  # fmt: skip
        options: dict[str, Any] = {"gradient": gradient, "solver": solver, "step_size": step_size}
        tight = {**options, "rtol": min(rtol, TIGHT), "atol": min(atol, TIGHT)}
        adaptive = solver.adaptive and not isinstance(step_size, float | int)
        random = torch.Generator(device=start.device).manual_seed(seed)
        probe = torch.randn(times.shape[-1], *start.shape, generator=random, dtype=start.dtype, device=start.device)

        def loss(y: Tensor, t: Tensor, how: dict[str, Any]) -> Tensor:
            return (solve(read, y, t, **how).y * probe).sum()

        y, s = start.clone().requires_grad_(), times.clone().requires_grad_()
        with torch.enable_grad():
            value = loss(y, s, {**options, "rtol": rtol, "atol": atol})
            gradients = torch.autograd.grad(value, [y, s, *leaves], allow_unused=True)
        gap = float(times.diff(dim=-1).abs().min())
        length = 1e-3 if adaptive else 1e-6  # of a difference: adaptive solves are smooth up to their tolerance only
        groups = [("y0", [y], gradients[:1], length)]
        groups += [("t", [s], gradients[1:2], min(length, 0.1 * gap))] if gap > 0 else []
        groups += [("parameters", leaves, gradients[2:], length)] if leaves else []
        rows = []
        for what, tensors, slopes, h in groups:
            for _ in range(directions):
                moves = [torch.randn(x.shape, generator=random, dtype=x.dtype, device=x.device) for x in tensors]
                scale = max(float(move.abs().max()) for move in moves)
                moves = [move / scale for move in moves]
                by_gradient = sum(float((g * m).sum()) for g, m in zip(slopes, moves) if g is not None)
                rows.append((what, by_gradient, _difference(lambda: loss(y, s, tight), tensors, moves, h)))
    return GradientCheck(gradient, tuple(rows), tolerance)


@torch.no_grad()
def _difference(loss: Callable[[], Tensor], tensors: Sequence[Tensor], moves: Sequence[Tensor], h: float) -> float:
    """(8 (L(h) - L(-h)) - (L(2h) - L(-2h))) / 12 h along the moves."""
    kept, values = [tensor.clone() for tensor in tensors], []
    for step in (1, -1, 2, -2):
        for tensor, old, move in zip(tensors, kept, moves):
            tensor.copy_(old + step * h * move)
        values.append(float(loss()))
    for tensor, old in zip(tensors, kept):
        tensor.copy_(old)
    return (8 * (values[0] - values[1]) - (values[2] - values[3])) / (12 * h)


@contextmanager
def _in_double(networks: Sequence[nn.Module], leaves: Sequence[Tensor]) -> Iterator[None]:
    """Everything floating in float64, and afterwards as it was."""
    tensors = {id(x): x for network in networks for x in (*network.parameters(), *network.buffers())}
    tensors.update({id(x): x for x in leaves})
    kept = [(x, x.data) for x in tensors.values() if x.is_floating_point()]
    try:
        for x, data in kept:
            x.data = data.double()
        yield
    finally:
        for x, data in kept:
            x.data = data
