"""Likelihood by the probability flow, with an account of its errors.

log p(x_0) = log p_T(x_T) + int tr(d drift/dx) dt along dx/dt = drift = f x - 1/2 g^2 score. On the angle clock the
drift is E[v | y], p_T is standard normal, and x_0 comes in by y = cos(theta_min) z, with z = x_0 standardised: two
constants. The trace is exact or

    tr J = E e'Je for random signs e     (Hutchinson 1990, https://doi.org/10.1080/03610919008812866),

with fixed e along a path, so that each e gives an unbiased estimate of the whole integral and their spread its error.
Whole numbers are dequantised: E_u log p(x + u) bounds log P(x) from below.

Song et al. 2021, https://arxiv.org/abs/2011.13456, section 4.3; Grathwohl et al. 2019, https://arxiv.org/abs/1810.01367;
Theis, van den Oord and Bethge 2016, https://arxiv.org/abs/1511.01844.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pushforward.core.batching import chunks, memory_budget
from pushforward.core.errors import ConfigError, UserError
from pushforward.core.random import RowGenerator
from pushforward.core.registry import device_of
from pushforward.core.shapes import sum_event
from pushforward.parts.diffeq import Dopri5, solve
from pushforward.parts.numerics.divergence import divergence_exact

from .field import flow_field
from .transport import angle_range

if TYPE_CHECKING:
    from .diffusion import Diffusion

_LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class LogProbEstimate:
    """log p(x) in nats, `(*batch,)`, and the standard error of each, with the parts it is made of.

    std_error^2 = probe_error^2 + dequantisation_error^2 + solver_error^2. The first two are standard errors of means
    over draws, infinite where a single draw cannot tell; the last is by how much a coarser solve changes the value.
    An average over rows has the standard error of their spread, and one draw a row is enough for it.
    """

    value: Tensor
    std_error: Tensor
    probe_error: Tensor
    dequantisation_error: Tensor
    solver_error: Tensor


@dataclass(frozen=True)
class Settings:
    """How a likelihood is computed; the fields are arguments of `Diffusion.log_prob_estimate`."""

    probes: int
    exact: bool
    dequantisations: int
    rtol: float
    steps: int | None
    max_solver_error: float

    def __post_init__(self):
        if min(self.probes, self.dequantisations) < 1 or (self.steps is not None and self.steps < 2):
            raise ConfigError(f"expected at least one probe, one dequantisation and two steps, got {self.probes}, {self.dequantisations} "
                              f"and {self.steps}")  # fmt: skip


def estimate(
    model: "Diffusion", x: Tensor, condition: Tensor | None, settings: Settings, generator: RowGenerator
) -> LogProbEstimate:
    """The estimate for rows x `(n, *event)`, so many at a time as fit in memory."""
    if not len(x):
        return LogProbEstimate(*[x.new_empty(0)] * 5)
    size = _rows_with_gradients(model, condition)
    parts = [_estimate(model, x[a:b], None if condition is None else condition[a:b], settings, generator.slice(a, b))
             for a, b in chunks(len(x), size)]  # fmt: skip
    result = LogProbEstimate(*(torch.cat(columns) for columns in zip(*parts)))
    typical = result.solver_error.median().item()  # a row far out of the data may be hard, and its error bar says so
    if not typical <= settings.max_solver_error:
        how = (
            f"steps={settings.steps}; take more steps" if settings.steps else f"rtol={settings.rtol:g}; make it smaller"
        )
        raise UserError(f"expected a median solver error below {settings.max_solver_error:g} nats, got {typical:.3g} with {how}, or raise "
                        "max_solver_error if that is good enough")  # fmt: skip
    return result


def _estimate(
    model: "Diffusion", x: Tensor, condition: Tensor | None, settings: Settings, generator: RowGenerator
) -> tuple[Tensor, ...]:
    values = []
    solver_error = x.new_zeros(len(x))
    for draw in range(settings.dequantisations if model.whole else 1):
        own = generator.fork(draw)
        z = model.to_model_units(x, own)
        e = None if settings.exact else own.rademacher(settings.probes, *model.event_shape, dtype=z.dtype)
        values.append(_log_prob(model, z, condition, e, settings))
        if draw == 0:
            solver_error = (values[0] - _log_prob(model, z, condition, e, settings, coarse=True)).abs().mean(1)
    value, probe, dequantisation = _spread(torch.stack(values), settings.exact, model.whole)
    total = (probe.square() + dequantisation.square() + solver_error.square()).sqrt()
    return value + model.log_scale(), total, probe, dequantisation, solver_error


def _spread(values: Tensor, exact: bool, whole: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, probe error and dequantisation error of values `(draws, n, probes)`: a nested analysis of variance.

    The means of the draws differ by both causes, the probes within a draw by theirs alone.
    """
    draws, _, probes = values.shape
    none = torch.zeros_like(values[0, :, 0])
    unknown = torch.full_like(none, math.inf)
    within = none  # exact; or one probe a draw, whose error is part of the spread of the draws
    if probes > 1:
        within = values.var(2).mean(0) / (draws * probes)
    elif draws == 1 and not exact:
        within = unknown
    between = values.mean(2).var(0) / draws if draws > 1 else none
    rest = (between - within).clamp(min=0) if draws > 1 or not whole else unknown
    return values.mean((0, 2)), within.sqrt(), rest.sqrt()


def _log_prob(model: "Diffusion", z: Tensor, condition: Tensor | None, e: Tensor | None, settings: Settings, *,
              coarse: bool = False) -> Tensor:  # fmt: skip
    """log p of z in model units, one estimate a probe: `(n, probes)`; the coarse one by half the steps, or ten times rtol."""
    least, most = angle_range(model)
    velocity = flow_field(model, condition)
    probes = 1 if e is None else e.shape[1]

    def field(theta: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return _with_traces(lambda y: velocity(theta, y), state[0], e)

    start = (z * math.cos(least), z.new_zeros(len(z), probes))
    if settings.steps is None:
        tolerance = settings.rtol * (10 if coarse else 1)
        solution = solve(field, start, [least, most], solver=Dopri5(), rtol=tolerance, atol=tolerance)
    else:
        steps = settings.steps // 2 if coarse else settings.steps
        solution = solve(field, start, [least, most], solver=Dopri5(), step_size=(most - least) / steps)
    y, trace = solution.last_y
    dimensions = y[0].numel()
    prior = -0.5 * (sum_event(y.square()) + dimensions * _LOG_2PI)
    return prior[:, None] + trace + dimensions * math.log(math.cos(least))


def _with_traces(f: Callable[[Tensor], Tensor], y: Tensor, e: Tensor | None) -> tuple[Tensor, Tensor]:
    """f(y) and the trace of its Jacobian: exact, `(n, 1)`, or e'Je for all probes e `(n, probes, *event)`: `(n, probes)`."""
    if e is None:
        value, trace = divergence_exact(f, y, differentiable=False)
        return value, trace[:, None]
    # Not divergence_hutchinson: the probes are kept apart to the end of the path, where their spread is the error.
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        value = f(y)
        last = e.shape[1] - 1
        pulled = [torch.autograd.grad(value, y, one, retain_graph=i < last)[0] for i, one in enumerate(e.unbind(1))]
    return value.detach(), torch.stack([(p * one).flatten(1).sum(1) for p, one in zip(pulled, e.unbind(1))], 1)


def _rows_with_gradients(model: "Diffusion", condition: Tensor | None) -> int:
    """How many rows to differentiate at once: the outputs of all submodules are kept, and about as much in between."""
    numbers = 0

    def note(_module: nn.Module, _inputs: object, outputs: object) -> None:
        nonlocal numbers
        numbers += outputs.numel() if isinstance(outputs, Tensor) else 0

    handles = [part.register_forward_hook(note) for part in model.modules()]
    try:
        with torch.no_grad():
            model._probe(None if condition is None else condition[:1])
    finally:
        for handle in handles:
            handle.remove()
    return max(1, min(4096, memory_budget(device_of(model)) // (3 * 8 * max(numbers, 1))))
