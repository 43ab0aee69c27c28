"""Hunters and hunted: populations by a differential equation, and one by one.

The equation is u' = a u - b u v, v' = d u v - c v (Lotka, 1910; Volterra, 1926). One by one, each of four events has a rate, and the
next comes after an exponential time (Gillespie, 1977, https://doi.org/10.1021/j100540a008):

    a predator is born   r1 X Y        a prey is born   r3 Y
    a predator dies      r2 X          a prey is eaten  r4 X Y

Predators X and prey Y with the rates of Wilkinson (2011, Stochastic Modelling for Systems Biology), as Gordon et al. (2020,
https://arxiv.org/abs/1910.13556) gave them to neural processes.
"""

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.random import RowGenerator

from .function_sets import FunctionSet, padded, random_points

EVENTS = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
CHUNK = 128  # events drawn at a time


def lotka_volterra(n: int = 1024, *, points: int | tuple[int, int] = 64, high: float = 15.0,
                   start: tuple[float, float] = (0.25, 1.0), rates: tuple[float, float, float, float] = (2 / 3, 4 / 3, 1.0, 1.0),
                   noise: float = 0.0, seed: int = 0) -> FunctionSet:  # fmt: skip
    """Solve u' = a u - b u v, v' = d u v - c v on [0, `high`] from u = 2 E, v = E, with E uniform in `start`; y is (u, v).

    The defaults, `rates` = (a, b, c, d), are the family of Norcliffe et al. (2021, https://arxiv.org/abs/2103.12413). Steps of 1/100 by the
    classical fourth-order rule; sizes, seeds and points are as in `gp_draws`.

    >>> lotka_volterra(3, points=10).y.shape
    torch.Size([3, 10, 2])
    """
    generator = RowGenerator(seed, n)
    x, mask = random_points(generator, points, 1, 0.0, high)
    a, b, c, d = rates
    e = start[0] + (start[1] - start[0]) * generator.fork(3).uniform(1, dtype=torch.float64)

    def slope(state: Tensor) -> Tensor:
        u, v = state.unbind(-1)
        return torch.stack([a * u - b * u * v, d * u * v - c * v], -1)

    steps = max(2, -(-int(100 * high) // 1))
    h = high / steps
    states = [torch.cat([2 * e, e], 1)]
    for _ in range(steps):
        y = states[-1]
        k1 = slope(y)
        k2 = slope(y + h / 2 * k1)
        k3 = slope(y + h / 2 * k2)
        states.append(y + h / 6 * (k1 + 2 * k2 + 2 * k3 + slope(y + h * k3)))
    path = torch.stack(states, 1)
    # Between two instants: the cubic through their values and slopes, of the same order as the rule.
    index = (x[..., 0] / h).long().clamp(max=steps - 1)
    s = x / h - index[..., None]
    rows = torch.arange(n)[:, None]
    y0, y1 = path[rows, index], path[rows, index + 1]
    d0, d1 = h * slope(y0), h * slope(y1)
    y = y0 + s * d0 + s**2 * (3 * (y1 - y0) - 2 * d0 - d1) + s**3 * (2 * (y0 - y1) + d0 + d1)
    return padded(x, y + noise * generator.fork(2).normal(*y.shape[1:], dtype=torch.float64), mask)


def predator_prey(n: int = 1024, *, points: int | tuple[int, int] = 64, high: float = 10.0,
                  rates: tuple[float, float, float, float] = (0.01, 0.5, 1.0, 0.01), start: tuple[int, int] = (50, 100),
                  survive: bool = True, most: int = 1000, seed: int = 0) -> FunctionSet:  # fmt: skip
    """Let predators and prey be born and die one by one on [0, `high`]; y is (predators, prey), whole numbers.

    With `survive`, a history in which one kind dies out, or has more than `most` animals, is drawn again, as in the papers: without
    its hunters the prey would grow for ever. Without, every history counts, and one that exceeds `most` raises `ConfigError`.
    Function 17 depends on `seed` and on 17, not on `n`.

    >>> predator_prey(2, points=5).y.shape
    torch.Size([2, 5, 2])
    """
    if min(rates) < 0 or min(start) < 0:
        raise ConfigError(f"expected rates and numbers of animals from 0, got {rates} and {start}; correct them")
    generator = RowGenerator(seed, n)
    x, mask = random_points(generator, points, 1, 0.0, high)
    y = x.new_zeros(n, x.shape[1], 2)
    left = torch.arange(n)
    for attempt in range(100):
        found, bad, exceeded = _histories(generator.fork(10 + attempt), left, x[left, :, 0], rates, start, high, most)
        y[left] = found
        if not survive and exceeded.any():
            raise ConfigError(
                f"expected at most {most} animals of a kind, got more; raise most, shorten high or change the rates"
            )
        left = left[bad | exceeded] if survive else left[:0]
        if not len(left):
            return padded(x, y, mask)
    raise ConfigError(f"expected histories in which both kinds survive, got none for {len(left)} of {n} functions in 100 attempts; "
                      "change the rates, or set survive=False")  # fmt: skip


def _histories(generator: RowGenerator, rows: Tensor, at: Tensor, rates: tuple[float, ...], start: tuple[int, int], high: float,
               most: int) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """States at the times `at` `(rows, points)`; which rows lost a kind, and which grew too large."""
    r = torch.tensor(rates, dtype=torch.float64)
    state = torch.tensor(start, dtype=torch.float64).expand(len(rows), 2)
    time = torch.zeros(len(rows), dtype=torch.float64)
    found = state[:, None].expand(-1, at.shape[1], -1).clone()
    gone, large = torch.zeros(len(rows), dtype=torch.bool), torch.zeros(len(rows), dtype=torch.bool)
    # One seed a chunk, so that a row sees the same numbers whoever else is still alive.
    for chunk in range(1 << 16):
        uniform = generator.fork(chunk).uniform(CHUNK, 2, dtype=torch.float64)[rows]
        waits, choices = -torch.log1p(-uniform[..., 0]), uniform[..., 1]
        times, states = [time], [state]
        for k in range(CHUNK):
            x, y = state.unbind(-1)
            hazard = torch.stack([x * y, x, y, x * y], -1) * r
            total = hazard.sum(-1)
            # Where nothing can happen any more the next event comes at infinity.
            time = time + torch.where(total > 0, waits[:, k] / total, torch.inf)
            event = (choices[:, k, None] * total[:, None] >= hazard.cumsum(-1)[:, :3]).sum(-1)
            state = torch.where(((time < high) & ~large)[:, None], state + EVENTS[event], state)
            large = large | (state > most).any(-1)
            gone = gone | (state == 0).any(-1)
            times.append(time)
            states.append(state)
        instants, path = torch.stack(times, 1), torch.stack(states, 1)
        last = torch.searchsorted(instants, at.contiguous(), right=True) - 1  # the last event before each point
        value = path.gather(1, last.clamp(min=0)[..., None].expand(-1, -1, 2))
        found = torch.where((at >= instants[:, :1])[..., None], value, found)
        if bool(((time >= high) | large).all()):
            break
    return found, gone, large
