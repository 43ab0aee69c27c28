"""Diffusion posterior sampling: after every step, down the gradient of the misfit of the predicted data.

x_s <- (ancestral step) - step_size grad_{x_t} 1/2 |m - A x^(x_t)|^2 / largest(A A'),

where the gradient goes through the network. The likelihood of the data given x_t is taken to be at its mean x^, with no width. Chung et
al. 2023, https://arxiv.org/abs/2209.14687, who divide the step by |m - A x^| (`normalised`) instead of by what makes it stable.
"""

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.kernel import Info, Kernel, State
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.core.shapes import expand_right
from pushforward.models.diffusion.denoiser import Denoiser
from pushforward.models.diffusion.guided import leaf

from .operators import Operator
from .steps import Steps, attached


@register
@dataclass(frozen=True, eq=False)
class DPS(Kernel):
    """Ancestral sampling that is pulled to the measurements `(n, *measured)`, in model units, by gradients.

    `step_size` is a share of what meets an exact measurement in one step; below 2 it is stable. With `normalised` it is that of the
    paper, about 1 for images of 256 x 256 and smaller for smaller ones; it leaves a misfit of about its own size. One evaluation of the
    network with its gradient a step.

    It knows nothing of the noise of a measurement: what was measured is reproduced, so draws vary less in the measured directions than
    the posterior does. Raises `ConfigError` for a step_size that is not positive.

    >>> import torch
    >>> import pushforward as pf
    >>> seen = pf.diffusion.inverse.Inpaint(torch.tensor([True, False]))
    >>> pf.diffusion.flow_matching(event_shape=2).sample(3, sampler=DPS(seen, torch.zeros(3, 2), steps=10)).shape
    torch.Size([3, 2])
    """

    operator: Operator
    measurement: Tensor
    steps: int = 100
    step_size: float = 1.0
    normalised: bool = False
    walk: Steps | None = field(default=None, repr=False)
    noisy = True

    def __post_init__(self):
        if not 0 < self.step_size < math.inf:
            raise ConfigError(f"expected a positive step_size, got {self.step_size}; 1 is a good beginning")

    @property
    def row_count(self) -> int:
        """How many measurements there are."""
        return len(self.measurement)

    def rows(self, first: int, last: int) -> "DPS":
        """This sampler for some of its rows."""
        return replace(self, measurement=self.measurement[first:last])

    def on(self, model: Denoiser, condition: Tensor | None = None) -> "DPS":
        """This sampler attached to a model, for rows with this condition `(n, ...)`."""
        return replace(self, walk=Steps.of(model, condition, self.steps))

    def init(self, x: Tensor) -> State:
        """Begin at standard normal noise `(n, *event)`."""
        attached(self.walk, "DPS")
        return State(x)

    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        """One step towards the data and the measurement."""
        walk = attached(self.walk, "DPS", state.step)
        from_y, from_data, from_noise = walk.row(state.step)
        with torch.inference_mode(False), torch.enable_grad():
            at = leaf(state.x)
            data = walk.data(at, state.step)
            gap = self.operator.spectral(self.measurement - self.operator.apply(data.detach()), torch.ones_like)
            (pull,) = torch.autograd.grad(data, at, self.operator.adjoint(gap))
        misfit = gap.flatten(1).norm(dim=1)
        # Unless normalised, the share of what meets the measurement; a misfit of zero has no direction, and a pull of zero.
        tiny = torch.finfo(misfit.dtype).tiny
        unit = expand_right(misfit.clamp(min=tiny) / 2, pull) if self.normalised else self.operator.largest
        pull = pull / unit
        y = from_y * state.x + from_data * data.detach() + self.step_size * pull
        if walk.levels[state.step + 1][1]:
            y = y + from_noise * generator.normal(*y.shape[1:], dtype=y.dtype)
        return State(y, state.step + 1), Info({"time": walk.times[state.step + 1], "misfit": misfit})
