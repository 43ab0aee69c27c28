"""The no-U-turn sampler: HMC that stops where the trajectory begins to come back, for many chains in lockstep.

A trajectory is doubled, forwards or backwards at random, until its ends approach each other: until rho . v <= 0 at either end,
with rho the sum of its momenta; the same is asked of every balanced subtree. The next state is drawn from the points in
proportion to exp(-H), with a bias for the later half. Instead of a recursion, eight leapfrog steps are taken in a row and judged
together; a row k of a larger subtree is compared with the few earlier rows that begin a subtree which ends at k: the trailing ones
of k in binary. Hoffman and Gelman 2014,
https://arxiv.org/abs/1111.4246; Betancourt 2017, https://arxiv.org/abs/1701.02434, appendix A;
iterative: Phan, Pradhan, Jankowiak 2019, https://arxiv.org/abs/1912.11554, appendix A
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.kernel import Info, Kernel, State
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register

from .density import Density
from .hamiltonian import (
    DIVERGENT,
    Evaluate,
    Motion,
    begin,
    check_step,
    column,
    energy_error,
    evaluate_flat,
    kinetic,
    out_of_numbers,
    scale_of,
)

ROW = 8  # leapfrog steps that are judged together


@register
@dataclass(frozen=True, eq=False)
class NUTS(Kernel):
    """The no-U-turn sampler with multinomial choice: no length of trajectory to set.

    Args:
        log_density: a distribution with an exact log_prob, a `Target`, or a function of x `(n, *event)` that returns `(n,)`.
        step_size: of a leapfrog step, in units of x (after the mass); a number or one a chain `(n,)`. `warm_up` finds it.
        inverse_mass: variances `(d,)` or a covariance `(d, d)` of the target.
        max_depth: a trajectory has at most 2^max_depth points.

    All chains take a leapfrog step at once, and those that have turned wait for the longest. A step reports `acceptance` (the mean over
    the trajectory), `log_density`, `energy`, `divergent`, `depth` and `leapfrogs`, each `(n,)`.

    Raises `ConfigError` for impossible settings.

    >>> from pushforward.core.random import RowGenerator
    >>> chains = NUTS(lambda x: -x.square().sum(1) / 2, step_size=0.5)
    >>> abs(chains.run(torch.zeros(2000, 1), 20, RowGenerator(0, 2000)).x.var() - 1) < 0.15
    tensor(True)
    """

    log_density: Density
    step_size: float | Tensor
    inverse_mass: Tensor | Sequence[float] | None = None
    max_depth: int = 10

    def __post_init__(self):
        check_step(self.step_size)
        if not 1 <= self.max_depth <= 20:
            raise ConfigError(f"expected a max_depth of 1 to 20, got {self.max_depth}; 10 allows 1,024 leapfrog steps")
        object.__setattr__(self, "_scale", scale_of(self.inverse_mass))

    def init(self, x: Tensor) -> State:
        """Begin at `x`, `(n, *event)`. Raises `UserError` where the log density or its gradient is not finite."""
        return State(x.detach(), 0, begin(self.log_density, x))

    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """One trajectory for every chain."""
        x, (value, gradient) = state.x, state.memory
        flat = x.flatten(1)
        d = flat.shape[1]
        q = generator.normal(d, dtype=x.dtype)
        # So many for every chain, used or not: a chain's numbers must not depend on how far the others go.
        u = generator.uniform(self.max_depth, 3, dtype=torch.float64)
        scale = None if self._scale is None else self._scale.to(x)  # type: ignore[attr-defined]
        first = value - kinetic(q)
        tree = _Grower(evaluate_flat(self.log_density, x), column(self.step_size), scale, first)
        left = right = torch.cat([flat, q, gradient], 1)
        chosen = torch.cat([flat, gradient, value[:, None], first[:, None]], 1)
        rho, log_weight = q, torch.zeros_like(first)
        active = torch.ones_like(first, dtype=torch.bool)
        depth = torch.zeros_like(first)
        for level in range(self.max_depth):
            forwards = (u[:, level, 0] < 0.5)[:, None]
            end, ok, proposal, weight, total = tree.grow(torch.where(forwards, right, left), forwards, 1 << level, active, u[:, level, 1])  # fmt: skip
            take = ok & (u[:, level, 2] < (weight - log_weight).exp())
            chosen = torch.where(take[:, None], proposal, chosen)
            grown = ok[:, None]
            right = torch.where(grown & forwards, end, right)
            left = torch.where(grown & ~forwards, end, left)
            rho = torch.where(grown, rho + total, rho)
            log_weight = torch.where(ok, torch.logaddexp(log_weight, weight), log_weight)
            depth = depth + active
            active = ok & ~turning(left[:, d : 2 * d], right[:, d : 2 * d], rho)
            if not bool(active.any()):
                break
        value = chosen[:, 2 * d]
        info = {"acceptance": tree.accepted / tree.leapfrogs, "log_density": value, "energy": -chosen[:, 2 * d + 1],
                "divergent": tree.divergent, "depth": depth, "leapfrogs": tree.leapfrogs}  # fmt: skip
        return State(chosen[:, :d].reshape(x.shape), state.step + 1, (value, chosen[:, d : 2 * d])), Info(info)


def turning(left: Tensor, right: Tensor, rho: Tensor) -> Tensor:
    """Whether the ends approach each other, for momenta `(..., d)` at both ends and their sum over the points."""
    # Half of the ends is taken off: a trapezoid, so that the sum is the way between the ends and not one step more.
    way = rho - 0.5 * (left + right)
    return torch.minimum((left * way).sum(-1), (right * way).sum(-1)) <= 0


@dataclass
class _Grower:
    """Adds subtrees, and keeps what they tell. Points are rows `[x, q, gradient]`, proposals `[x, gradient, log p, joint]`."""

    evaluate: Evaluate
    size: float | Tensor
    scale: Tensor | None
    first: Tensor
    accepted: Tensor = field(init=False)
    leapfrogs: Tensor = field(init=False)
    divergent: Tensor = field(init=False)

    def __post_init__(self):
        self.accepted, self.leapfrogs = torch.zeros_like(self.first), torch.zeros_like(self.first)
        self.divergent = torch.zeros_like(self.first, dtype=torch.bool)

    def grow(self, point: Tensor, forwards: Tensor, leaves: int, active: Tensor,
             u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
        """`leaves` more points: the new end, which chains grew without a turn, a point of theirs, its log weight, and sum of q."""
        motion = Motion(torch.where(forwards, self.size, -self.size), self.scale, point)
        alive, rows = active, torch.arange(len(point), device=point.device)
        proposal, log_weight, total = torch.empty(0), torch.empty(0), torch.empty(0)
        marks: dict[int, tuple[Tensor, Tensor | float]] = {}
        many = min(leaves, ROW)
        for k in range(leaves // many):
            x, q, value, gradient = self._walk(motion, point, many)
            change = energy_error(value - 0.5 * q.square().sum(-1), self.first)  # (many, n)
            sums = q.cumsum(0)
            before, total = (0.0, sums[-1]) if k == 0 else (total, total + sums[-1])
            ends = _turns(q, sums)
            slot = (k >> 1).bit_count()
            if k % 2 == 0:
                marks[slot] = q[0], before
            else:
                for at in range(slot - (k ^ (k + 1)).bit_count() + 2, slot + 1):
                    begin_q, begin_total = marks[at]
                    ends[-1] |= turning(begin_q, q[-1], total - begin_total)
            alive = self._judge(alive, change, ends)
            weight = torch.logsumexp(change, 0)
            log_weight, u, take = (weight, u, None) if k == 0 else _share(log_weight, weight, u)
            place, u = _pick(change - weight, u, take)
            here = torch.cat([x[place, rows], gradient[place, rows], value[place, rows][:, None],
                              (change[place, rows] + self.first)[:, None]], 1)  # fmt: skip
            proposal = here if take is None else torch.where(take[:, None], here, proposal)
            point = torch.where(alive[:, None], torch.cat([x[-1], q[-1], gradient[-1]], 1), point)
            if leaves > many and not bool(alive.any()):
                break
        return point, alive, proposal, log_weight, total

    def _walk(self, motion: Motion, point: Tensor, many: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`many` leapfrog steps: x, q, log p and gradient at each, `(many, n, ...)`; log p is -inf for chains that left the numbers."""
        d = point.shape[1] // 3
        x, q, gradient = start = point[:, :d], point[:, d : 2 * d], point[:, 2 * d :]
        points: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        half = motion.kick(q, gradient, motion.half)
        for k in range(many):
            half = half if k == 0 else motion.kick(half, gradient, motion.size)
            x = motion.drift(x, half)
            value, gradient = self.evaluate(x)
            bad = out_of_numbers(value)
            if bad is not None:
                # Such a chain walks on from its start, so that no NaN is passed on; its subtree is not taken.
                value = torch.where(bad, -torch.inf, value)
                x, half, gradient = (torch.where(bad[:, None], s, now) for s, now in zip(start, (x, half, gradient)))
            points.append((x, motion.kick(half, gradient, motion.half), value, gradient))
        x, q, value, gradient = (torch.stack(part) for part in zip(*points))
        return x, q, value, gradient

    def _judge(self, alive: Tensor, change: Tensor, ends: Tensor) -> Tensor:
        """Which chains come through a row of leaves, after counting the leaves that each of them reached."""
        off = change < -DIVERGENT
        through = torch.cat([alive[None], ~(ends | off)]).to(change).cumprod(0)
        reached = through[:-1]
        self.accepted += (change.clamp(max=0).exp() * reached).sum(0)
        self.leapfrogs += reached.sum(0)
        self.divergent |= (off & reached.bool()).any(0)
        return through[-1].bool()


def _turns(q: Tensor, sums: Tensor) -> Tensor:
    """At which leaves a balanced subtree ends that has turned, `(many, n)`, for momenta `(many, n, d)` and their running sums."""
    many = len(q)
    ends = torch.zeros(q.shape[:2], dtype=torch.bool, device=q.device)
    size = 2
    while size <= many:
        begin, last = q[::size], slice(size - 1, None, size)
        ends[last] |= turning(begin, q[last], sums[last] - sums[::size] + begin)
        size *= 2
    return ends


def _share(log_weight: Tensor, weight: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The joint weight, a uniform number that is left after the decision, and whether the new row is taken."""
    both = torch.logaddexp(log_weight, weight)
    share = (weight - both).exp()
    take = u < share
    # What is left of a uniform number after a decision is uniform again: one number does for all leaves.
    return both, torch.where(take, u / share, (u - share) / (1 - share)), take


def _pick(log_share: Tensor, u: Tensor, take: Tensor | None) -> tuple[Tensor, Tensor]:
    """A leaf `(n,)` of each row by its share, and what is left of the uniform number where the row was taken."""
    if len(log_share) == 1:
        return torch.zeros_like(u, dtype=torch.long), u
    upper = log_share.exp().cumsum(0)
    place = (u >= upper[:-1]).sum(0)
    high = upper.gather(0, place[None])[0]
    width = log_share.gather(0, place[None])[0].exp()
    left = ((u - high + width) / width).clamp(0, 1)
    return place, left if take is None else torch.where(take, left, u)
