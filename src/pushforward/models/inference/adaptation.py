"""Warm-up: a step size that accepts as often as it should, and a mass that fits the target.

Dual averaging moves log h by the mean gap between the target and the observed acceptance (Nesterov 2009; Hoffman and Gelman 2014,
https://arxiv.org/abs/1111.4246, section 3.2). Variances or a covariance come from windows of draws that double in length and forget
what was before, shrunk towards 1e-3 (Stan reference manual, section 15.2, https://mc-stan.org/docs/reference-manual/mcmc.html).
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError, UserError
from pushforward.core.kernel import Callback, Kernel
from pushforward.core.random import RowGenerator

from .hamiltonian import begin, column, energy_error, evaluate_flat, kinetic, leapfrog, scale_of
from .hmc import HMC
from .mala import MALA
from .nuts import NUTS
from .parallel_tempering import ParallelTempering

Mass = Literal["diagonal", "dense", "none"]
Tunable = HMC | NUTS | MALA
ACCEPTANCE = {"HMC": 0.65, "NUTS": 0.8, "MALA": 0.574}


@dataclass(frozen=True, eq=False)
class Warmed:
    """A tuned kernel, where its chains stand, and what the warm-up saw: mean acceptance and divergences, `(n,)`."""

    kernel: Kernel
    x: Tensor
    acceptance: Tensor
    divergences: Tensor


def warm_up(kernel: Kernel, x: Tensor, *, steps: int = 500, acceptance: float | None = None, mass: Mass = "diagonal", pooled: bool = True,
            generator: torch.Generator | None = None, callback: Callback | None = None) -> Warmed:  # fmt: skip
    """Tune MALA, HMC or NUTS, or one of them inside `ParallelTempering`, while its chains find the target.

    Args:
        kernel: its step size is a first guess, which doubling and halving improve.
        x: start of the chains, `(n, *event)`.
        steps: of the warm-up; below 20 only the step size is tuned.
        acceptance: to aim at; by default 0.574 for MALA, 0.65 for HMC, 0.8 for NUTS.
        mass: what is estimated from the draws of all chains: variances, a covariance, or nothing.
        pooled: one step size for all chains, or one a chain (slower to settle, for chains that stay in different places).
        generator, callback: as elsewhere.

    Chains learn from each other here, so the draws of one depend on how many there are. What `warm_up` returns is fixed, so that
    the chains after it are exact.

    Raises `ConfigError` for a kernel it cannot tune, `UserError` when a start is not finite or nothing was accepted.

    >>> wide = lambda x: -(x / torch.tensor([1.0, 30.0])).square().sum(1) / 2
    >>> found = warm_up(HMC(wide, 1.0), torch.zeros(64, 2), steps=150, generator=torch.Generator().manual_seed(0))
    >>> bool(15 < found.kernel.inverse_mass.sqrt()[1] < 60)
    True
    """
    inner = kernel.kernel if isinstance(kernel, ParallelTempering) else kernel
    if not isinstance(inner, HMC | NUTS | MALA):
        raise ConfigError(
            f"expected MALA, HMC or NUTS to tune, got {type(inner).__name__}; set its step_size by hand, and warm_up=0"
        )
    if steps < 1 or mass not in ("diagonal", "dense", "none"):
        raise ConfigError(f"expected at least 1 step and mass 'diagonal', 'dense' or 'none', got {steps} and {mass!r}")
    aim = ACCEPTANCE[type(inner).__name__] if acceptance is None else acceptance
    if not 0 < aim < 1:
        raise ConfigError(f"expected an acceptance to aim at between 0 and 1, got {aim}")
    x = x.detach()
    rows = RowGenerator.of(generator, len(x), device=x.device)
    inner = first_step(inner, x, rows.fork(1), pooled=pooled)
    state, average = _with(kernel, inner).init(x), _Averaging(inner, aim, pooled, x)
    moments, windows = Moments.empty(x.flatten(1), mass == "dense"), _windows(steps) if mass != "none" else []
    accepted, divergences = torch.zeros(len(x), device=x.device), torch.zeros(len(x), device=x.device)
    opened = windows[0][0] if windows else steps
    ends = {end for _, end in windows}
    for at in range(steps):
        state, info = _with(kernel, inner).step(state, rows)
        seen = info.values["acceptance"]
        accepted, divergences = accepted + seen, divergences + info.values["divergent"]
        inner = replace(inner, step_size=average.update(seen))
        if opened <= at and windows and at < windows[-1][1]:
            moments = moments.add(state.x.flatten(1))
        if at + 1 in ends:
            inner = replace(inner, inverse_mass=moments.regularised(), step_size=average.settled())
            inner = first_step(inner, state.x, rows.fork(2 + at), pooled=pooled)
            average, moments = _Averaging(inner, aim, pooled, x), moments.empty(x.flatten(1), mass == "dense")
        if callback is not None:
            callback(state, info)
    accepted = accepted / steps
    if not bool((accepted > 1e-6).any()):
        raise UserError(f"expected some accepted steps in the warm-up, got none in {len(x)} chains and {steps} steps; check the gradient of "
                        "the log density, begin nearer to where it is high, or give a smaller step_size")  # fmt: skip
    inner = replace(inner, step_size=average.settled())
    return Warmed(_with(kernel, inner), state.x, accepted, divergences)


def first_step(kernel: Tunable, x: Tensor, generator: RowGenerator, *, pooled: bool = True) -> Tunable:
    """Double or halve the step size until a single leapfrog step is accepted about as often as 0.8."""
    value, gradient = begin(kernel.log_density, x)
    flat, scale = x.flatten(1), scale_of(kernel.inverse_mass)
    q = generator.normal(flat.shape[1], dtype=x.dtype)
    evaluate, first = evaluate_flat(kernel.log_density, x), value - kinetic(q)
    h = torch.as_tensor(kernel.step_size, dtype=x.dtype, device=x.device).expand(len(x)).clone()
    h = (2 * h).sqrt() if isinstance(kernel, MALA) else h
    direction = torch.zeros_like(h)
    active = torch.ones_like(h, dtype=torch.bool)
    for _ in range(60):
        _, end, new, _ = leapfrog(evaluate, flat, q, gradient, column(h), None if scale is None else scale.to(x))
        likely = energy_error(new - kinetic(end), first).clamp(max=0).exp()
        likely = likely.mean().expand_as(h) if pooled else likely
        wanted = torch.where(likely > 0.8, 1.0, -1.0).to(h)
        direction = torch.where(direction == 0, wanted, direction)
        active = active & (wanted == direction) & (h < 1e7) & (h > 1e-7)
        if not bool(active.any()):
            break
        h = torch.where(active, h * 2**direction, h)
    h = h**2 / 2 if isinstance(kernel, MALA) else h
    return replace(kernel, step_size=h[0] if pooled else h)


class _Averaging:
    """Dual averaging of log h, with the constants of Hoffman and Gelman."""

    def __init__(self, kernel: Tunable, aim: float, pooled: bool, x: Tensor):
        h = torch.as_tensor(kernel.step_size, dtype=torch.float64, device=x.device)
        self.mu, self.aim, self.pooled, self.dtype = (10 * h).log(), aim, pooled, x.dtype
        self.count, self.gap, self.smooth = 0, torch.zeros_like(h), h.log()

    def update(self, seen: Tensor) -> Tensor:
        """The next step size after the acceptance probabilities `(n,)`."""
        self.count += 1
        t, seen = self.count, (seen.mean() if self.pooled else seen).double()
        self.gap = self.gap + (self.aim - seen - self.gap) / (t + 10)
        log_h = self.mu - self.gap * math.sqrt(t) / 0.05
        weight = t**-0.75
        self.smooth = weight * log_h + (1 - weight) * self.smooth
        return log_h.exp().to(self.dtype)

    def settled(self) -> Tensor:
        """The averaged step size, which is kept."""
        return self.smooth.exp().to(self.dtype)


@dataclass(frozen=True)
class Moments:
    """Count, mean and centred second moments of rows, joined batch by batch (Welford 1962; Chan, Golub, LeVeque 1983)."""

    count: int
    mean: Tensor
    second: Tensor

    @classmethod
    def empty(cls, like: Tensor, dense: bool) -> "Moments":
        """Of no rows; `like` is `(n, d)`."""
        zero = torch.zeros(like.shape[1], dtype=torch.float64, device=like.device)
        return cls(0, zero, torch.diag(zero) if dense else zero)

    def add(self, rows: Tensor) -> "Moments":
        """With the rows `(n, d)`."""
        rows, total = rows.double(), self.count + len(rows)
        mean = rows.mean(0)
        rest, gap = rows - mean, mean - self.mean
        weight = self.count * len(rows) / total
        dense = self.second.ndim == 2
        more = rest.T @ rest if dense else rest.square().sum(0)
        more = more + weight * (torch.outer(gap, gap) if dense else gap.square())
        return Moments(total, self.mean + gap * len(rows) / total, self.second + more)

    def regularised(self) -> Tensor:
        """The variances or the covariance, as if five more rows had said 1e-3."""
        estimate, n = self.second / max(self.count - 1, 1), self.count
        unit = torch.eye(len(self.mean)).to(estimate) if estimate.ndim == 2 else torch.ones_like(estimate)
        return estimate * (n / (n + 5)) + 1e-3 * (5 / (n + 5)) * unit


def _windows(steps: int) -> list[tuple[int, int]]:
    """First and last step of every window, between a beginning and an end that only tune the step size."""
    if steps < 20:
        return []
    first, last, size = (75, 50, 25) if steps >= 150 else (int(0.15 * steps), int(0.1 * steps), int(0.75 * steps))
    found, begin, end = [], first, steps - last
    while begin < end:
        # The last window takes what is left when the one after it would not fit.
        stop = end if begin + 3 * size > end else begin + size
        found.append((begin, stop))
        begin, size = stop, 2 * size
    return found


def _with(kernel: Kernel, inner: Kernel) -> Kernel:
    return replace(kernel, kernel=inner) if isinstance(kernel, ParallelTempering) else inner
