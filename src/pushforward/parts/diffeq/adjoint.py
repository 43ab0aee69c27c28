"""Gradients of a solve by the adjoint equation, solved backwards: memory that does not grow with the number of steps.

With a(t) = dL/dy(t), for dy/dt = f(t, y, theta) from t_0 to t_1,

    da/dt = -a' df/dy,        dL/dtheta = -int_{t_1}^{t_0} a' df/dtheta dt,

solved from the last save time to the first together with y, which no one has kept. At a save time a jumps by the
gradient of the loss to the state there, and y starts again from the state that the forward pass gave. A save time t_k
moves its state along the field, so dL/dt_k = dL/dy(t_k)' f(t_k, y(t_k)); the start moves everything after it,
dL/dt_0 = -a(t_0)' f(t_0, y_0) (Chen, Rubanova, Bettencourt, Duvenaud, 2018, https://arxiv.org/abs/1806.07366).

The parameter integral does not feed back into y and a, so its error need not steer the steps (Kidger, Chen, Lyons, 2021,
https://arxiv.org/abs/2009.09457): it is a quadrature at the stages that the solver visits anyway, with the solver's own
weights. Every sample has backward steps of its own. A step's share of the parameter integral is a sum over samples, so
it is taken when it is known which samples accept the step: the graphs of its stages wait until then.
"""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.shapes import expand_right
from pushforward.core.solver import Solver
from pushforward.core.term import Term

from .attached import add
from .captured import Captured
from .fixed import SLIVER
from .plan import Plan
from .solution import SolveError
from .solvers.runge_kutta import Carry
from .step_size import Norm, error_norm, first_step
from .terms import ODETerm, is_ode

MISS = 0.05  # how far, relative to its size, the state solved backwards may be from the one it should meet

Stage = tuple[Tensor, Tensor]  # f with its graph, and a


class Backsolve:
    """The gradient rule of one solve along `t` `(n, T)`, up to the time `last_t` `(n,)` that each sample reached.

    Raises `ConfigError` for terms that are not in dt, and for a solver whose step is not a weighted sum of evaluations;
    its call raises `SolveError` where the state solved backwards does not come back to where it came from.
    """

    def __init__(self, terms: Sequence[Term], plan: Plan, captured: Captured, t: Tensor, last_t: Tensor):
        if not is_ode(terms):
            raise ConfigError(
                'expected terms in dt for gradient="adjoint", got a control; pass the term\'s as_ode(), or gradient="reversible"'
            )
        self.term, self.plan, self.captured = terms[0], plan, captured
        self.weights = stage_weights(plan.solver)
        sign = 1 if plan.forward else -1
        self.nearer, self.farther = (torch.maximum, torch.minimum) if plan.forward else (torch.minimum, torch.maximum)
        reached = last_t.detach().unsqueeze(1)
        self.held = t.detach() * sign > reached * sign  # save times after a failure, which show the last good state
        self.t = torch.where(self.held, reached, t.detach())
        self.backwards = -sign

    def __call__(self, y: Tensor, cotangent: Tensor, with_t: bool) -> tuple[Tensor, Tensor | None, list[Tensor | None]]:
        """Gradients of sum(cotangent * y) to y0, t and the captured tensors."""
        n = y.shape[1]
        # The equation is linear in a: in units of its largest jump, no scaling of the loss changes the steps.
        scale = cotangent.transpose(0, 1).reshape(n, -1).abs().amax(1)
        scale = expand_right(torch.where(scale > 0, scale, 1.0), y[0])
        a, to_tensors = self._integrate(y, cotangent / scale, scale)
        to_y0 = (a + cotangent[0] / scale) * scale
        if not with_t:
            return to_y0, None, to_tensors
        to_t = torch.zeros_like(self.t)
        with self.captured.evaluation():
            for column, times in enumerate(self.t.unbind(1)):
                weight = cotangent[column] if column else -a * scale
                slope = self.term.vector_field(times.contiguous(), y[column])
                to_t[:, column] = (weight * slope).reshape(n, -1).sum(1)
        return to_y0, to_t.masked_fill(self.held, 0.0), to_tensors

    def _integrate(self, y: Tensor, jumps: Tensor, scale: Tensor) -> tuple[Tensor, list[Tensor | None]]:
        """a just after the first time, in units of `scale`, and the parameter integrals."""
        n, plan, t = y.shape[1], self.plan, self.t
        row, size = torch.arange(n, device=y.device), y.reshape(len(y), n, -1).square().mean(2).amax(0).sqrt()
        # A sample begins where the loss looks at it for the last time: after that a is zero.
        places = torch.arange(len(y), device=y.device).unsqueeze(1)
        begin = torch.where((jumps != 0).reshape(len(y), n, -1).any(2), places, 0).amax(0)
        goal = begin - 1  # every sample's next save time; -1 when it is through
        time, state = t[row, begin], torch.cat([y[begin, row].reshape(n, -1), jumps[begin, row].reshape(n, -1)], 1)
        state[:, state.shape[1] // 2 :] *= (begin > 0).unsqueeze(1)  # the jump at the start is added by the caller
        norm = error_norm(plan.rtol, plan.atol, state)
        totals: list[Tensor | None] = [None] * len(self.captured.tensors)
        miss, h, memory, carry, tried = torch.zeros_like(time), None, None, None, 0
        stages: list[Stage] = []
        field = ODETerm(lambda t, ya: self._field(t, ya, stages, y.shape[1:]))
        while bool((goal >= 0).any()):
            through = goal < 0
            target = torch.where(through, time, t[row, goal.clamp(min=0)])
            carry = plan.solver.init([field], time, state) if carry is None else carry
            if plan.pid is not None and h is None:
                h, memory = self._first(time, t[:, 0] - time, state, norm, y.shape[1:]), plan.pid.start(time)
            t1 = self._end(time, h, target)
            y1, error, after = plan.solver.step([field], time, t1, state, carry)
            if tried == 0:
                self.captured.check([stages[-1][0]], self._own)
            if plan.pid is None:
                accept, stuck = torch.ones_like(through), ~y1.isfinite().all(1)
            else:
                assert error is not None
                assert h is not None
                accept, stuck, h, memory = self._judge(norm(error, state, y1), time, t1, target, h, memory)
            moved = (accept & ~stuck).to(time.dtype) * (t1 - time)
            clean, all_accept, failed = torch.stack([y1.isfinite().all(), accept.all(), stuck.any()]).tolist()
            if failed:
                self._fail(stuck, time)
            if not clean:  # zero times infinity: what is thrown away must not enter the sum with weight zero
                stages.clear()
                plan.solver.step([field], time, time + moved, state, plan.solver.init([field], time, state))
            self._gather(totals, stages, moved, scale)
            last = stages[-1]
            stages.clear()
            tried += 1
            arrived = accept & (t1 == target) & ~through
            time = torch.where(accept, t1, time)
            state = torch.where(accept.unsqueeze(1), y1, state)
            if bool(arrived.any()):
                state, miss = self._jump(state, y, jumps, goal, arrived, miss, size)
                goal = goal - arrived.long()
                carry = None
            elif all_accept and clean and isinstance(after, Carry) and after.first is not None:
                carry = after
                stages.append(last)  # the first stage of the next step
            else:
                carry = None
            if tried >= plan.max_steps and plan.pid is not None:
                self._fail(goal >= 0, time)
        if bool((miss > MISS).any()):
            self._missed(miss)
        return state[:, state.shape[1] // 2 :].reshape(y.shape[1:]), totals

    def _judge(self, measure: Tensor, time: Tensor, t1: Tensor, target: Tensor, h: Tensor,
               memory: Any) -> tuple[Tensor, Tensor, Tensor, Any]:  # fmt: skip
        """Which samples accept the step, which can go no further, the step to try next, and what the controller keeps."""
        assert self.plan.pid is not None
        accept, floor = measure <= 1, self._floor(time)
        factor, memory = self.plan.pid.next(measure, accept, memory, self.plan.solver.order)
        proposed = (t1 - time) * factor
        # A step that was cut short to hit a save time says little about how long the next may be.
        proposed = torch.where(accept & (t1 == target), self.farther(proposed, h), proposed)
        stuck = ~accept & ((t1 - time).abs() <= 1.25 * floor)
        return accept, stuck, self.farther(proposed, self.backwards * floor), memory

    def _field(self, t: Tensor, ya: Tensor, stages: list[Stage], shape: torch.Size) -> Tensor:
        """(f, -a' df/dy), and the graph of f kept for the parameters."""
        half = ya.shape[1] // 2
        a = ya[:, half:].reshape(shape)
        with torch.enable_grad(), self.captured.evaluation():
            y = ya[:, :half].reshape(shape).detach().requires_grad_()
            own_t = t.detach()
            f = self.term.vector_field(own_t, y)
        self._own = [y, own_t]
        slope = None
        if f.requires_grad:
            (slope,) = torch.autograd.grad(f, y, a, retain_graph=bool(self.captured.inputs), allow_unused=True)
        stages.append((f, a))
        slope = torch.zeros_like(a) if slope is None else slope
        return torch.cat([f.detach().reshape(len(ya), half), -slope.reshape(len(ya), half)], 1)

    def _gather(self, totals: list[Tensor | None], stages: list[Stage], moved: Tensor, scale: Tensor) -> None:
        """Add the step's share of dL/dtheta = -int a' df/dtheta dt, where `moved` is the step, 0 if it is rejected."""
        if not self.captured.inputs:
            return
        weight = expand_right(moved, scale) * scale
        pairs = [(f, -w * weight * a) for (f, a), w in zip(stages, self.weights, strict=True) if w and f.requires_grad]
        if pairs:
            values, cotangents = zip(*pairs)
            add(totals, torch.autograd.grad(values, self.captured.inputs, cotangents, allow_unused=True))

    def _jump(self, state: Tensor, y: Tensor, jumps: Tensor, goal: Tensor, arrived: Tensor, miss: Tensor,
              size: Tensor) -> tuple[Tensor, Tensor]:  # fmt: skip
        """At save times: y as the forward pass gave it, a with the gradient of the loss to the state there."""
        n, half = len(state), state.shape[1] // 2
        row, place = torch.arange(n, device=state.device), goal.clamp(min=0)
        true, jump = y[place, row].reshape(n, half), jumps[place, row].reshape(n, half)
        jump = torch.where((goal > 0).unsqueeze(1), jump, 0.0)  # that at the start is added by the caller
        found = (state[:, :half] - true).square().mean(1).sqrt() / size.clamp(min=1000 * self.plan.atol)
        miss = torch.where(arrived, torch.maximum(miss, found), miss)
        return torch.where(arrived.unsqueeze(1), torch.cat([true, state[:, half:] + jump], 1), state), miss

    def _end(self, time: Tensor, h: Tensor | None, target: Tensor) -> Tensor:
        step = self.plan.step
        if h is not None:
            return self.nearer(time + h, target)
        if step is None:
            return target
        end = time + self.backwards * step
        close = (target - time).abs() <= (1 + SLIVER) * step
        return torch.where(close, target, end)

    def _first(self, time: Tensor, span: Tensor, state: Tensor, norm: Norm,
               shape: torch.Size) -> Tensor:  # fmt: skip
        """A first backward step, with the sign of `span`."""
        longest = self.plan.pid.first_step if self.plan.pid is not None else None
        if longest is not None:
            h = span.sign() * span.abs().clamp(max=longest)
        else:
            probe = partial(self._field, stages=[], shape=shape)
            h = first_step(probe, time, span, state, probe(time, state), self.plan.solver.order, norm)
        return self.farther(h, self.backwards * self._floor(time))

    def _floor(self, time: Tensor) -> Tensor:
        grain = 8 * torch.finfo(time.dtype).eps
        return grain * torch.maximum(time.abs(), grain * self.t.abs().amax(1)).clamp(min=torch.finfo(time.dtype).tiny)

    def _fail(self, rows: Tensor, time: Tensor) -> None:
        row = int(rows.nonzero()[0])
        raise SolveError(
            f"expected the adjoint equation to be solved back to t = {float(self.t[row, 0]):g}, got {int(rows.sum())} of "
            f"{len(rows)} samples that are not; the first, sample {row}, stopped at t = {float(time[row]):g}: raise "
            'rtol, atol or max_steps, or pass gradient="checkpointed"'
        )

    def _missed(self, miss: Tensor) -> None:
        row = int(miss.argmax())
        raise SolveError(
            "expected the state solved backwards to come back to the states of the forward pass, got sample "
            f"{row} off by {100 * float(miss[row]):.2g} % of its size; an equation that forgets where it came from cannot "
            'be solved backwards: add save times, lower rtol and atol, or pass gradient="checkpointed"'
        )


@lru_cache(maxsize=64)
def stage_weights(solver: Solver) -> tuple[float, ...]:
    """How much each evaluation of the field counts in a step of the solver, those of `init` included.

    A field that is 1 in its own component at each evaluation shows the weights. Raises `ConfigError` if the step is
    not such a sum, as that of an implicit solver is not.
    """
    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)

    def run(field: Any, y0: Tensor) -> Tensor:
        term = [ODETerm(field)]
        return solver.step(term, zero, one, y0, solver.init(term, zero, y0))[0]

    def bend(t: Tensor, y: Tensor) -> Tensor:
        bent.append(-(y**2) * (1 + t.unsqueeze(1)))
        return bent[-1]

    with torch.no_grad():
        bent: list[Tensor] = []
        start = torch.full((1, 1), 0.5, dtype=torch.float64)
        end, count = run(bend, start), len(bent)
        turn = iter(torch.eye(count, dtype=torch.float64))
        weights = run(lambda t, y: next(turn, y.new_zeros(count)).unsqueeze(0), zero.new_zeros(1, count))[0]
        linear = start + sum(w * f for w, f in zip(weights, bent))
    if not torch.allclose(end, linear, rtol=0, atol=1e-12) or abs(float(weights.sum()) - 1) > 1e-9:
        raise ConfigError(
            f'expected an explicit solver for gradient="adjoint", got {type(solver).__name__}; '
            'take Dopri5 or Tsit5, or pass gradient="checkpointed"'
        )
    return tuple(weights.tolist())
