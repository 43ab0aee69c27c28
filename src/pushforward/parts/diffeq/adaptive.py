"""Adaptive steps, each sample with a time and a step size of its own.

All samples try a step at once; each accepts or rejects its own, so none depends on which others share the batch. A
sample that has arrived, or has failed, tries steps of length zero from where it is until the last one is done. The loop
never waits for the device within a step: it looks at how things stand every few steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pushforward.core.shapes import expand_right
from pushforward.core.term import Term

from .checkpointed import Log
from .dense import DenseSolver, Record, Saves, interpolate
from .events import Crossings, Event, Watch
from .fixed import select
from .solution import Status
from .step_size import PID, Norm, first_step

CHECK_EVERY = 8  # steps between two looks at a device that computes on its own; on the CPU looking costs nothing


@dataclass(frozen=True)
class Outcome:
    """A finished solve; `wild` says whether any trial step had an error that was infinite or NaN."""

    y: Tensor
    status: Tensor
    accepted: Tensor
    rejected: Tensor
    last_t: Tensor
    last_y: Tensor
    wild: bool
    event_t: Tensor | None = None
    event_y: Tensor | None = None


class Adaptive:
    """One solve: y0 `(n, *event)` along t `(n, T)`, ascending or descending.

    With gradients, a trial step that is thrown away stays in the graph with weight zero. That is harmless until such a
    step is infinite, since zero times infinity is NaN; `careful` solves keep thrown-away steps out of the graph, at
    twice the evaluations.
    """

    def __init__(self, terms: Sequence[Term], y0: Tensor, t: Tensor, solver: DenseSolver, pid: PID, norm: Norm, *,
                 forward: bool, careful: bool = False, event: Event | None = None,
                 log: Log | None = None):  # fmt: skip
        self.terms, self.y0, self.solver, self.pid, self.norm, self.careful = terms, y0, solver, pid, norm, careful
        self.forward, self.log = forward, log
        self.nearer, self.farther = (torch.minimum, torch.maximum) if forward else (torch.maximum, torch.minimum)
        self.t, self.y, self.t_end, self.goal = t[:, 0], y0, t[:, -1], t[:, -1].detach()
        self.state = solver.init(terms, self.t, y0)
        if hasattr(self.state, "norm"):
            self.state = self.state._replace(norm=norm)
        self.saves = Saves(t, forward, solver.dense)
        self.watch = None if event is None else Watch(event, terms, self.t, y0)
        self.event_t = None if event is None else torch.full_like(self.goal, torch.inf if forward else -torch.inf)
        self.crossings = None if event is None or event.terminal else Crossings()
        self.keep = self.saves.wanted or event is not None  # stages, for dense output
        self.record = Record(y0, len(solver.dense), self.keep)
        with torch.no_grad():
            span = self.goal - self.t
            self.reach = t.abs().amax(1)
            self._set_floor()
            self.h = self.farther(self._first(span), self.least)
            self.memory = pid.start(self.h)
            self.status = torch.zeros_like(self.h, dtype=torch.long)
            self.accepted, self.rejected = torch.zeros_like(self.status), torch.zeros_like(self.status)
        self.control = torch.no_grad()(self._control) if torch.is_grad_enabled() else self._control
        self.wild = False

    def run(self, max_steps: int) -> Outcome:
        """Step until every sample has arrived or failed, or has tried `max_steps` steps."""
        every = 1 if self.y.device.type == "cpu" else CHECK_EVERY
        for count in range(1, max_steps + 1):
            self.trial()
            arrived = count % every == 0 and torch.equal(self.t, self.t_end)
            if arrived or self.record.full or count == max_steps:
                self.look()
                if torch.equal(self.t, self.t_end):
                    break
        out_of_steps = (self.t != self.t_end) & (self.status == Status.SUCCESS)
        status = torch.where(out_of_steps, int(Status.MAX_STEPS), self.status)
        y = self.saves.assemble(self.y0, self.y)
        event_t, event_y = self.event_t, None
        if self.crossings is not None and event_t is not None:
            event_t, event_y = self.crossings.assemble(event_t, self.y)
        return Outcome(y, status, self.accepted, self.rejected, self.t, self.y, self.wild, event_t, event_y)

    def trial(self) -> None:
        """Try one step with every sample."""
        t0, y0, h, state0, record = self.t, self.y, self.h, self.state, self.record
        t1 = self.nearer(t0 + self.h, self.t_end)
        if self.careful:
            with torch.no_grad():
                trial, error, _ = self.solver.step(self.terms, t0, t1, y0, self.state)
            norm, accept = self.control(error, y0, trial, t0, t1)
            y1, _, state, stages = self._step(t0, torch.where(accept, t1, t0), y0)
        else:
            y1, error, state, stages = self._step(t0, t1, y0)
            norm, accept = self.control(error, y0, y1, t0, t1)
        if self.log is not None:
            self.log.note(y0, t0, t1, state0, h, accept)
        record.t0.append(t0)
        record.t1.append(t1)
        record.y0.append(y0)
        record.norms.append(norm)
        record.accepts.append(accept)
        if self.keep and record.memory is None:
            record.stages.append(stages)
        self.t = torch.where(accept, t1, t0)
        mask = expand_right(accept, y0)
        self.y = torch.where(mask, y1, y0)
        self.state = select(mask, state, self.state)
        if self.watch is not None:
            crossed = self.watch.crossed(self.t, self.y, accept & (t0 != t1))
            record.crossed.append(crossed)
            if self.crossings is None:
                self.t_end = torch.where(crossed, self.t, self.t_end)  # it waits there until the next look

    def _step(self, t0: Tensor, t1: Tensor, y0: Tensor) -> tuple[Tensor, Tensor, Any, Any]:
        """A step, with what dense output needs of it only where there is any."""
        if self.keep:
            return self.solver.step_dense(self.terms, t0, t1, y0, self.state, self.record.workspace())
        y1, error, state = self.solver.step(self.terms, t0, t1, y0, self.state)
        return y1, error, state, None

    def _control(self, error: Tensor, y0: Tensor, y1: Tensor, t0: Tensor, t1: Tensor) -> tuple[Tensor, Tensor]:
        """The norm of the error, whether it is small enough, and (kept) the step to try next."""
        norm = self.norm(error, y0, y1)
        accept = norm <= 1
        factor, self.memory = self.pid.next(norm, accept, self.memory, self.solver.order)
        self.h = self.farther((t1 - t0) * factor, self.least)
        return norm, accept

    def look(self) -> None:
        """Count what happened since the last look, stop the samples that cannot go on, fill the save times passed."""
        record = self.record
        with torch.no_grad():
            t0, t1 = torch.stack(record.t0), torch.stack(record.t1)
            norms, accepts = torch.stack(record.norms), torch.stack(record.accepts)
            running = t0 != self.t_end
            stuck = running & ~accepts & ((t1 - t0).abs() <= 1.25 * self.floor)
            running &= stuck.cumsum(0) <= stuck  # after its first hopeless step a sample only repeats it
            self.accepted += (running & accepts).sum(0)
            self.rejected += (running & ~accepts).sum(0)
            infinite = running & ~norms.isfinite()
            self.wild = self.wild or bool(infinite.any())
            failed = stuck.any(0)
            kind = torch.where((stuck & infinite).any(0), int(Status.NON_FINITE), int(Status.STEP_UNDERFLOW))
            self.status = torch.where(failed, kind, self.status)
            self._set_floor()
        self.t_end = torch.where(failed, self.t, self.t_end)
        if self.watch is not None:
            if self.crossings is None:
                self._end_at_events(self.watch)
            else:
                self._note_crossings(self.watch, self.crossings)
        if self.saves.wanted:
            self.saves.collect(record, self.t)
        record.clear()

    def _end_at_events(self, watch: Watch) -> None:
        """Move the samples that wait behind an event back to it."""
        record, n = self.record, len(self.t)
        crossed = torch.stack(record.crossed)
        rows, step, column = crossed.any(0), crossed.long().argmax(0), torch.arange(n, device=self.t.device)
        if not rows.any():
            return
        t, y = self._crossing(watch, rows, step, column)
        self.t, self.t_end = torch.where(rows, t, self.t), torch.where(rows, t, self.t_end)
        self.y = torch.where(expand_right(rows, y), y, self.y)
        self.event_t = t if self.event_t is None else torch.where(rows, t, self.event_t)
        self.status = torch.where(rows, int(Status.EVENT), self.status)

    def _note_crossings(self, watch: Watch, crossings: Crossings) -> None:
        """Find the crossings of the recorded steps, step by step, since a condition may have numbers of its own for each sample."""
        column = torch.arange(len(self.t), device=self.t.device)
        for step, rows in enumerate(self.record.crossed):
            if rows.any():
                crossings.add(*self._crossing(watch, rows, torch.full_like(column, step), column), rows)

    def _crossing(self, watch: Watch, rows: Tensor, step: Tensor, column: Tensor) -> tuple[Tensor, Tensor]:
        """Time and state of the crossing within the recorded `step` `(n,)` of each of the samples `rows`."""
        record = self.record
        start, end = torch.stack(record.t0)[step, column], torch.stack(record.t1)[step, column]
        y0, stages = torch.stack(record.y0)[step, column], record.stacked_stages().transpose(1, 2)[step, column]
        stages = torch.where(expand_right(rows, stages), stages, 0.0)  # no event, and perhaps no finite step
        return watch.crossing(start, end, lambda theta: interpolate(self.solver.dense, theta, y0, stages), rows)

    def _set_floor(self) -> None:
        """The shortest step that makes sense here: eight spacings of floating-point times, above their rounding."""
        grain = 8 * torch.finfo(self.t.dtype).eps
        self.floor = grain * torch.maximum(self.t.abs(), grain * self.reach).clamp(min=torch.finfo(self.t.dtype).tiny)
        self.least = self.floor if self.forward else -self.floor

    def _first(self, span: Tensor) -> Tensor:
        """The first step to try, with the sign of `span`."""
        if self.pid.first_step is not None:
            return span.sign() * span.abs().clamp(max=self.pid.first_step)
        first = getattr(self.state, "first", None)  # what the solver has evaluated already
        f0 = first[0] if first else self.terms[0].vector_field(self.t, self.y0)
        return first_step(self.terms[0].vector_field, self.t, span, self.y0, f0, self.solver.order, self.norm)
