"""Projection: after every step, what was measured is put in the place of what was made, at the same level of noise.

x_s <- x_s + A^+ (m_s - A x_s),   m_s = c m + noise, of variance s^2 A A' in all,

with c and s the cosine and sine of the angle. What a measurement with noise says less precisely than x_s itself is left alone.
With `resamplings` every step is walked several times, with fresh noise between: the hidden numbers have time to agree with
the measured ones. Song et al. 2021, https://arxiv.org/abs/2011.13456, appendix I; Song et al. 2022, https://arxiv.org/abs/2111.08005;
resampling: RePaint, Lugmayr et al. 2022, https://arxiv.org/abs/2201.09865.
"""

import math
from dataclasses import dataclass, field, replace

from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.kernel import Info, Kernel, State
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.models.diffusion.denoiser import Denoiser

from .operators import Operator
from .pigdm import require_noise
from .steps import Level, Steps, attached


@register
@dataclass(frozen=True, eq=False)
class Projection(Kernel):
    """Ancestral sampling with the measurements `(n, *measured)`, in model units, put in after every step.

    `noise` is the standard deviation of each measured number. `steps` times `resamplings` network evaluations; with more
    than one resampling it is RePaint. Exact measurements are met exactly. It is exact where what is hidden does not depend on what is
    seen, and where everything is seen with noise; elsewhere the hidden numbers depend on the seen ones too little, the less so the more
    resamplings.

    >>> import torch
    >>> import pushforward as pf
    >>> seen = pf.diffusion.inverse.Inpaint(torch.tensor([True, False]))
    >>> sampler = Projection(seen, torch.tensor([[0.5, 0.0]]).expand(3, 2), steps=10)
    >>> pf.diffusion.flow_matching(event_shape=2).sample(3, sampler=sampler)[:, 0]
    tensor([0.5000, 0.5000, 0.5000])
    """

    operator: Operator
    measurement: Tensor
    noise: float = 0.0
    steps: int = 100
    resamplings: int = 1
    walk: Steps | None = field(default=None, repr=False)
    noisy = True

    def __post_init__(self):
        require_noise(self.noise)
        if self.resamplings < 1:
            raise ConfigError(f"expected at least one resampling, got {self.resamplings}; 1 walks every step once")

    @property
    def row_count(self) -> int:
        """How many measurements there are."""
        return len(self.measurement)

    def rows(self, first: int, last: int) -> "Projection":
        """This sampler for some of its rows."""
        return replace(self, measurement=self.measurement[first:last])

    def on(self, model: Denoiser, condition: Tensor | None = None) -> "Projection":
        """This sampler attached to a model, for rows with this condition `(n, ...)`."""
        return replace(self, walk=Steps.of(model, condition, self.steps))

    def init(self, x: Tensor) -> State:
        """Begin at standard normal noise `(n, *event)`."""
        attached(self.walk, "Projection")
        return State(x)

    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """One step towards the data, `resamplings` times."""
        walk, y = attached(self.walk, "Projection", state.step), state.x
        before, after = walk.levels[state.step : state.step + 2]
        from_y, from_data, from_noise = walk.row(state.step)
        last = after[1] == 0
        for again in range(1 if last else self.resamplings):
            if again:  # back to the level before the step
                kept = before[0] / after[0]
                fresh = generator.normal(*y.shape[1:], dtype=y.dtype)
                y = kept * y + math.sqrt(max(before[1] ** 2 - (kept * after[1]) ** 2, 0.0)) * fresh
            y = from_y * y + from_data * walk.data(y, state.step)
            if not last:
                y = y + from_noise * generator.normal(*y.shape[1:], dtype=y.dtype)
            y = self._replaced(y, after, generator)
        return State(y, state.step + 1), Info({"time": walk.times[state.step + 1]})

    def _replaced(self, y: Tensor, level: Level, generator: RowGenerator) -> Tensor:
        """y + A^+ (m_s - A y), in those directions that are measured more precisely than y itself."""
        c, s = level
        own, theirs = s**2, (c * self.noise) ** 2

        def inverse(eigenvalue: Tensor) -> Tensor:
            return (own * eigenvalue >= theirs) / eigenvalue

        def fresh(eigenvalue: Tensor) -> Tensor:
            return (own * eigenvalue - theirs).clamp(min=0).sqrt() / eigenvalue

        gap = self.operator.spectral(c * self.measurement - self.operator.apply(y), inverse)
        if s:
            noise = generator.normal(*self.measurement.shape[1:], dtype=y.dtype)
            gap = gap + self.operator.spectral(noise, fresh)
        return y + self.operator.adjoint(gap)
