"""Parallel tempering: copies of a chain on flattened densities, which cross barriers and hand down what they find.

Rung t samples p(x)^(1 / T_t), 1 = T_0 < T_1 < ...; after a step of any kernel on all rungs, neighbours exchange their positions with
probability min(1, exp((1/T_t - 1/T_s) (log p(x_s) - log p(x_t)))), even pairs and odd pairs in turn. Rung 0 is the sample.
Geyer 1991, https://hdl.handle.net/11299/58440; even and odd in turn: Syed, Bouchard-Cote, Deligiannidis, Doucet 2022,
https://arxiv.org/abs/1905.02939
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.kernel import Info, Kernel, State
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register

from .density import log_density_of
from .hmc import HMC
from .langevin import Langevin
from .mala import MALA
from .nuts import NUTS


@register
@dataclass(frozen=True, eq=False)
class ParallelTempering(Kernel):
    """`kernel` on a ladder of temperatures, with exchanges; every chain has a ladder of its own.

    Args:
        kernel: HMC, NUTS, MALA or Langevin on the density itself. Hot rungs take longer steps: by sqrt(T), or T where the step is in
            squared units.
        temperatures: rising from 1. The hottest should cross every barrier; neighbours should exchange about a quarter of the time.

    The state is the cold rung; the whole ladder, `(n, rungs, *event)`, is `state.memory`. A step reports what `kernel` reports on the
    cold rung, and `swaps`, the accepted share of the exchanges that were tried `(n,)`.

    Raises `ConfigError` for a ladder that does not rise from 1 or a kernel it cannot temper.

    >>> far = lambda x: torch.logaddexp(-(x - 6).square().sum(1) / 2, -(x + 6).square().sum(1) / 2)
    >>> ladder = ParallelTempering(MALA(far, 0.5), [1.0, 3.0, 9.0, 27.0])
    >>> from pushforward.core.random import RowGenerator
    >>> x = ladder.run(torch.full((300, 1), 6.0), 200, RowGenerator(0, 300)).x
    >>> bool(0.2 < (x < 0).double().mean() < 0.8)
    True
    """

    kernel: Kernel
    temperatures: Sequence[float]

    def __post_init__(self):
        ladder = [float(t) for t in self.temperatures]
        if len(ladder) < 2 or ladder[0] != 1 or any(not a < b < math.inf for a, b in pairwise(ladder)):
            raise ConfigError(
                f"expected at least two temperatures that rise from 1, got {ladder[:6]}; try [1, 2, 4, 8]"
            )
        if not isinstance(self.kernel, HMC | NUTS | MALA | Langevin):
            raise ConfigError(f"expected HMC, NUTS, MALA or Langevin inside, got {type(self.kernel).__name__}")

    @property
    def log_density(self):
        """That of the kernel, which the cold rung samples."""
        return self.kernel.log_density  # type: ignore[attr-defined]

    def init(self, x: Tensor) -> State:
        """Every rung begins at `x`, `(n, *event)`."""
        ladder = x.detach()[:, None].expand(-1, len(self.temperatures), *x.shape[1:]).contiguous()
        self._tempered(ladder).init(ladder.flatten(0, 1))
        return State(x.detach(), 0, ladder)

    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """A step of the kernel on every rung, and exchanges between neighbours."""
        ladder: Tensor = state.memory
        rungs = len(self.temperatures)
        inner = self._tempered(ladder)
        moved, told = inner.step(inner.init(ladder.flatten(0, 1)), _widened(generator, rungs))
        u = generator.uniform(rungs, dtype=torch.float64)
        with torch.no_grad():
            log_p = log_density_of(self.log_density)(moved.x).unflatten(0, (-1, rungs)).double()
        cold = 1 / torch.tensor(self.temperatures, dtype=torch.float64, device=log_p.device)
        low = list(range(state.step % 2, rungs - 1, 2))
        high = [t + 1 for t in low]
        swapped = u[:, low].log() < (cold[low] - cold[high]) * (log_p[:, high] - log_p[:, low])
        order = torch.arange(rungs, device=log_p.device).expand(len(ladder), -1).clone()
        order[:, low], order[:, high] = order[:, low] + swapped.long(), order[:, high] - swapped.long()
        ladder = moved.x.unflatten(0, (-1, rungs))
        ladder = ladder[torch.arange(len(ladder), device=ladder.device)[:, None], order]
        values = {name: v[::rungs] if isinstance(v, Tensor) and v.ndim else v for name, v in told.values.items()}
        values["log_density"] = log_p.gather(1, order)[:, 0].to(ladder.dtype)
        if low:
            values["swaps"] = swapped.double().mean(1)
        return State(ladder[:, 0], state.step + 1, ladder), Info(values)

    def _tempered(self, ladder: Tensor) -> Kernel:
        n = len(ladder)
        hot = torch.tensor(self.temperatures, dtype=ladder.dtype, device=ladder.device)
        log_p, inverse = log_density_of(self.log_density), (1 / hot).repeat(n)
        size = self.kernel.step_size  # type: ignore[attr-defined]
        if isinstance(self.kernel, Langevin):
            # Its one step is a number; in a stretched time a hot rung would need more of them.
            return Langevin(lambda x: log_p(x) * inverse, size)
        longer = hot if isinstance(self.kernel, MALA) else hot.sqrt()
        size = torch.as_tensor(size, dtype=ladder.dtype, device=ladder.device)
        sizes = (size.expand(n)[:, None] * longer).flatten()
        return replace(self.kernel, log_density=lambda x: log_p(x) * inverse, step_size=sizes)  # type: ignore[type-var]


def _widened(generator: RowGenerator, rungs: int) -> RowGenerator:
    """The numbers of a generator for chains, as numbers for the rungs of every chain, from the same streams."""
    wide = RowGenerator(generator.seed, generator.rows * rungs, start=generator.start * rungs, device=generator.device)

    def draw(event: Sequence[int], dtype: torch.dtype | None, fill: str) -> Tensor:
        return generator._draw((rungs, *event), dtype, fill).flatten(0, 1)

    wide._draw = draw  # a wider row is drawn where this one would draw rows of its own
    return wide
