"""Events: the time t* at which g(t*, y(t*)) = 0, for each sample its own.

A step over which g changes its sign holds an event; its time is the root of g along the dense output of that step,
found by bisection and secants. Gradients do not go through the search: by the implicit function theorem

    dt* = -(dg|_t) / (g_t + g_y f),    dy* = dy|_t + f dt*,

where |_t means at fixed time (Chen, Amos and Nickel, 2021, Learning neural event functions for ordinary differential
equations, https://arxiv.org/abs/2011.03902).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.shapes import expand_right, sum_event
from pushforward.core.term import Term

ROUNDS = 40  # of one secant and one halving: the bracket is 2^-40 of a step at worst, and a rounding as a rule


@dataclass(frozen=True)
class Event:
    """Ends the solve of a sample where `condition` g(t, y), `(n,)`, crosses zero; not `terminal`, notes all crossings and goes on.

    `direction` 1 counts only crossings upwards in the sense of the solve, -1 only downwards, 0 both. A sample that
    starts at g = 0 has no event there: it first has to leave. Two crossings within one step cancel and are not seen,
    since g is looked at between steps only.

    >>> Event(lambda t, y: y[:, 0], direction=-1).direction
    -1
    """

    condition: Callable[[Tensor, Any], Tensor]
    direction: int = 0
    terminal: bool = True

    def __post_init__(self):
        if self.direction not in (-1, 0, 1) or not callable(self.condition):
            raise ConfigError(
                f"expected a function condition(t, y) and direction -1, 0 or 1, got {self.condition!r} and "
                f"{self.direction!r}"
            )


class Crossings:
    """The crossings of an event that does not end the solve, as they are found: steps in order, each of some of the samples."""

    def __init__(self) -> None:
        self.t: list[Tensor] = []
        self.y: list[Tensor] = []
        self.rows: list[Tensor] = []

    def add(self, t: Tensor, y: Tensor, rows: Tensor) -> None:
        """One crossing of each of the samples `rows`."""
        self.t.append(t)
        self.y.append(y)
        self.rows.append(rows)

    def assemble(self, never: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Times `(n, k)`, those of `never` `(n,)` behind the last, and states `(k, n, *event)`, there `last`; k of the busiest sample."""
        if not self.t:
            return never.unsqueeze(1)[:, :0], last.unsqueeze(0)[:0]
        rows = torch.stack(self.rows)
        order = rows.long().sort(dim=0, descending=True, stable=True).indices[: int(rows.sum(0).max())]
        real = rows.gather(0, order)
        t = torch.where(real, torch.stack(self.t).gather(0, order), never)
        y = torch.stack(self.y).gather(0, expand_right(order, last.unsqueeze(0)).expand(len(order), *last.shape))
        return t.T, torch.where(expand_right(real, y), y, last)


class Watch:
    """The condition of one solve, and on which side of zero each sample is."""

    def __init__(self, event: Event, terms: Sequence[Term], t0: Tensor, y0: Tensor):
        self.event, self.terms = event, terms
        self.side = self.value(t0, y0, check=True).sign()

    @torch.no_grad()
    def value(self, t: Tensor, y: Tensor, check: bool = False) -> Tensor:
        """g(t, y), `(n,)`."""
        g = self.event.condition(t, y)
        if check and g.shape != t.shape:
            raise ShapeError(
                f"expected an event's condition(t, y) of shape {tuple(t.shape)}, one number a sample, got {tuple(g.shape)}"
            )
        return g

    @torch.no_grad()
    def crossed(self, t: Tensor, y: Tensor, accept: Tensor) -> Tensor:
        """Which samples came to zero or to its other side by the step they took just now, to y at t."""
        side = torch.where(accept, self.value(t, y).sign(), self.side)
        crossed = (side != self.side) & (self.side != 0) & ~side.isnan()
        if self.event.direction:
            crossed &= self.side == -self.event.direction
        self.side = side
        return crossed

    @torch.no_grad()
    def search(self, start: Tensor, end: Tensor, path: Callable[[Tensor], Tensor]) -> Tensor:
        """The part of each step, `(n,)` in [0, 1], at which g along `path` is zero, given that its sign changes."""
        low, high = torch.zeros_like(start), torch.ones_like(start)
        g_low, g_high = (self.value(torch.lerp(start, end, part), path(part)) for part in (low, high))
        for turn in range(2 * ROUNDS):
            middle = 0.5 * (low + high)
            if turn % 2 == 0:
                secant = low - g_low * (high - low) / (g_high - g_low)
                middle = torch.where((secant > low) & (secant < high), secant, middle)
            g = self.value(torch.lerp(start, end, middle), path(middle))
            left = (g.sign() == g_low.sign()) & (g != 0)  # the root is to the right
            low, g_low = torch.where(left, middle, low), torch.where(left, g, g_low)
            high, g_high = torch.where(left, high, middle), torch.where(left, g_high, g)
            if (
                start.device.type == "cpu"
                and not ((high - low) > torch.finfo(start.dtype).eps).logical_and(g != 0).any()
            ):
                break
        return high

    def crossing(
        self, start: Tensor, end: Tensor, path: Callable[[Tensor], Tensor], rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Time and state, with their gradients, at which g is zero along `path` from start to end; elsewhere than at `rows` of no meaning."""
        with torch.no_grad():
            at = torch.lerp(start, end, self.search(start, end, path))
        length = torch.where(rows, end - start, torch.ones_like(start))
        return self.attach(at, path(torch.where(rows, (at - start) / length, 0.0)), rows)

    def attach(self, t: Tensor, y: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The same time and state, with the gradients of the event's; `rows` are the samples that have one."""
        if not torch.is_grad_enabled():
            return t, y
        with torch.no_grad():
            field = self.terms[0].vector_field(t.detach(), y.detach())
        fixed, state = t.detach().requires_grad_(), y.detach().requires_grad_()
        with torch.enable_grad():
            g = self.event.condition(fixed, state)
            parts = torch.autograd.grad(g.sum(), (fixed, state), allow_unused=True)
        by_t, by_y = (torch.zeros_like(x) if part is None else part for part, x in zip(parts, (fixed, state)))
        rate = torch.where(rows, by_t + sum_event(by_y * field), torch.ones_like(t))
        # y is the state at the fixed time t.detach(); its change, and that of g's own parameters, move the time.
        shift = -self.event.condition(t.detach(), y) / rate
        shift = torch.where(rows, shift - shift.detach(), torch.zeros_like(shift))
        return t.detach() + shift, y + field * expand_right(shift, y)
