"""The probability flow of any model on the angle clock: dy/dtheta = E[v | y].

It is dx/dt = f x - 1/2 g^2 score (Song et al. 2021, https://arxiv.org/abs/2011.13456, section 4.3) for
y = x_t / sqrt(alpha^2 + sigma^2) and tan(theta) = sigma / alpha; the 1/2 is inside v, which is how theta moves a point
when its noise and its data stay what they are. `tests/laws/test_samplers.py` compares the two forms.
"""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from pushforward.core.path import Path, Prediction
from pushforward.core.shapes import expand_right
from pushforward.parts.paths.angle import scale, time_of_angle
from pushforward.parts.paths.coefficients import conversion

from .denoiser import Denoiser


def flow_field(model: Denoiser, condition: Tensor | None) -> Callable[[Tensor, Tensor], Tensor]:
    """f(theta, y) = dy/dtheta, where every row has an angle of its own: theta `(n,)`, y `(n, *event)`."""

    def velocity(theta: Tensor, y: Tensor) -> Tensor:
        t, from_y, from_prediction = (
            expand_right(c.to(y.dtype), y) for c in _coefficients(model.path, model.predict, theta)
        )
        return y * from_y + model(y, t.reshape(len(y)), condition) * from_prediction

    return velocity


def shared_flow_field(model: Denoiser, condition: Tensor | None) -> Callable[[Tensor, Tensor], Tensor]:
    """`flow_field` for rows that all have one angle: its coefficients are remembered as plain numbers."""

    def velocity(theta: Tensor, y: Tensor) -> Tensor:
        t, from_y, from_prediction = _remembered(model.path, model.predict, float(theta[0]))
        prediction = model(y, y.new_full((len(y),), t), condition) * from_prediction
        return prediction if from_y == 0 else prediction.add(y, alpha=from_y)

    return velocity


def _coefficients(path: Path, predict: Prediction, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """t, c and d with v = c y + d prediction, in double precision.

    The bridge speaks of x_t = r y and of r v, hence the scale r.
    """
    t = time_of_angle(path, theta)
    from_x, from_prediction = conversion(path, predict, "v", t)
    return t, from_x, from_prediction / scale(path, t)


@functools.lru_cache(maxsize=1 << 14)
def _remembered(path: Path, predict: Prediction, theta: float) -> tuple[float, float, float]:
    t, from_y, from_prediction = _coefficients(path, predict, torch.tensor([theta], dtype=torch.float64))
    return t.item(), from_y.item(), from_prediction.item()
