"""Pseudo-inverse guidance: the score of the posterior, with the data given x_t taken for a Gaussian of known width.

If p(x_0 | x_t) = N(x^, r_t^2 I), the measurement m = A x_0 + N(0, noise^2) has p(m | x_t) = N(A x^, r_t^2 A A' + noise^2), so

    grad log p(m | x_t) = (dx^ / dx_t)' A' (r_t^2 A A' + noise^2)^-1 (m - A x^).

For data N(mean, prior_std^2 I), r_t^2 = prior_std^2 s^2 / (prior_std^2 c^2 + s^2), with c and s the cosine and sine of the angle of t, and
nothing is approximate; for other data it is. Song et al. 2023, https://openreview.net/forum?id=9_gsMA8MRKQ.
"""

import math

import torch
from torch import Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.core.path import Path, Prediction
from pushforward.core.registry import register
from pushforward.core.shapes import expand_right
from pushforward.models.diffusion.denoiser import Denoiser
from pushforward.models.diffusion.guided import leaf, of_rows, tilted
from pushforward.parts.paths.angle import angle, scale

from .operators import Operator


@register
class PiGDM(nn.Module):
    """A `Denoiser` for any sampler: `model` given the measurements `(n, *measured)`, one for each row, in model units.

    `noise` is the standard deviation of each measured number; 0 is allowed. `prior_std` is that of the data, in model units. `solve`
    builds it from numbers in the units of the data. One evaluation of the model with its gradient a step.

    Raises `ConfigError` for a negative noise and a prior_std that is not positive.

    >>> import functools
    >>> import pushforward as pf
    >>> seen = pf.diffusion.inverse.Inpaint(torch.tensor([True, False]))
    >>> guide = functools.partial(PiGDM, operator=seen, measurement=torch.tensor([[0.5, 0.0]]).expand(3, 2))
    >>> pf.diffusion.flow_matching(event_shape=2).sample(3, guide=guide).shape
    torch.Size([3, 2])
    """

    path: Path
    predict: Prediction

    def __init__(self, model: Denoiser, operator: Operator, measurement: Tensor, noise: float = 0.0, prior_std: float = 1.0):  # fmt: skip
        super().__init__()
        require_noise(noise)
        if not 0 < prior_std < math.inf:
            raise ConfigError(f"expected a positive prior_std, got {prior_std}; it is that of the data in model units, about 1")  # fmt: skip
        self.model, self.operator, self.measurement = model, operator, measurement
        self.noise, self.prior_std = noise, prior_std
        self.path, self.predict = model.path, model.predict

    @property
    def row_count(self) -> int:
        """How many measurements there are."""
        return len(self.measurement)

    def rows(self, first: int, last: int) -> "PiGDM":
        """This guide for some of its rows."""
        model = of_rows(self.model, first, last)
        return PiGDM(model, self.operator, self.measurement[first:last], self.noise, self.prior_std)

    def forward(self, y: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        """The prediction given the measurements."""
        with torch.inference_mode(False), torch.enable_grad():
            at, t = leaf(y), t.clone()
            prediction = self.model(at, t, None if condition is None else condition.clone())
            x_t = at * expand_right(scale(self.path, t), at)
            data = self.path.convert(prediction, self.predict, "data", x_t, t)
            gap = self.measurement - self.operator.apply(data.detach())
            theta = angle(self.path, t)
            variance = expand_right(self._variance(theta.cos().square(), theta.sin().square()), gap)
            pull = self.operator.spectral(gap, lambda eigenvalue: 1 / (variance * eigenvalue + self.noise**2))
            (gradient,) = torch.autograd.grad(data, at, self.operator.adjoint(pull))
        return tilted(self.path, self.predict, prediction.detach(), gradient, t)

    def _variance(self, c2: Tensor, s2: Tensor) -> Tensor:
        """r_t^2."""
        tau2 = self.prior_std**2
        return tau2 * s2 / (tau2 * c2 + s2)


def require_noise(noise: float) -> None:
    """Raise `ConfigError` unless this is a standard deviation."""
    if not 0 <= noise < math.inf:
        raise ConfigError(f"expected a noise of at least 0, got {noise}; it is a standard deviation, 0 for an exact measurement")  # fmt: skip
