"""Denoising: predict the noise (or the data, velocity, v, score) of x_t = alpha(t) data + sigma(t) noise.

simple      E_t mean_i (q_i - q_theta,i(x_t, t))^2, t uniform. Ho et al. 2020, https://arxiv.org/abs/2006.11239, eq. 14
likelihood  1/2 int g^2 |score - score_theta|^2 dt, which bounds -log p up to a constant. Song et al. 2021,
            https://arxiv.org/abs/2101.09258; it is int |noise - noise_theta|^2 dlambda with lambda = log(alpha / sigma),
            so lambda is drawn uniform. Kingma et al. 2021, https://arxiv.org/abs/2107.00630
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.objective import Loss
from pushforward.core.path import Path
from pushforward.core.random import RowGenerator
from pushforward.core.shapes import expand_right, flatten_condition
from pushforward.parts.paths.angle import time_of_angle
from pushforward.parts.paths.coefficients import combination, conversion

if TYPE_CHECKING:
    from .diffusion import Diffusion

Weighting = Literal["simple", "likelihood"]


@dataclass(frozen=True)
class Denoising:
    """The loss of a `Diffusion`, (model, batch, generator) -> `Loss`: a mean over rows and over the numbers of an event.

    `weighting`: "simple" is the squared error of what the network predicts (a score's is multiplied by sigma^2, or it
    would be infinite at t = 0); "likelihood" weighs by what a time contributes to log p, in nats per number of the
    event. `drop_condition`: the share of rows that are trained without their condition, where the model allows it;
    unconditional samples and classifier-free guidance need it (Ho and Salimans 2022, https://arxiv.org/abs/2207.12598).

    >>> Denoising().weighting
    'simple'
    """

    weighting: Weighting = "simple"
    drop_condition: float = 0.1

    def __post_init__(self):
        if self.weighting not in get_args(Weighting):
            raise ConfigError(f"expected a weighting among {', '.join(get_args(Weighting))}, got {self.weighting!r}")
        if not 0 <= self.drop_condition < 1:
            raise ConfigError(
                f"expected drop_condition in [0, 1), got {self.drop_condition}; it is a share of the rows"
            )

    def __call__(self, model: "Diffusion", batch: Any, generator: RowGenerator) -> Loss:
        data = model.to_model_units(batch.x, generator)
        condition = flatten_condition(batch.condition, model.condition_shape, data.shape[:1], model.condition_optional)
        if model.training and model.condition_optional and condition is not None and self.drop_condition:
            condition = model.without_condition(condition, generator.uniform() < self.drop_condition)
        t, weight = self._times(model, generator)
        noise = generator.normal(*model.event_shape, dtype=data.dtype)
        a, b = (expand_right(c.to(data.dtype), data) for c in combination(model.path, model.predict, t))
        t = t.to(data.dtype)
        predicted = model.predicted(model.path.sample(data, noise, t), t, condition)
        error = (predicted - (a * data + b * noise)).square().flatten(1).mean(1)
        return Loss((error * weight.to(error.dtype)).mean(), {"error": error.detach().mean()})

    def _times(self, model: "Diffusion", generator: RowGenerator) -> tuple[Tensor, Tensor]:
        """t `(n,)` in double precision, and the weight of each row."""
        path, u = model.path, generator.uniform(dtype=torch.float64)
        if self.weighting == "simple":
            t = path.t_min + u * (path.t_max - path.t_min)
            return t, path.sigma(t).square() if model.predict == "score" else torch.ones_like(t)
        least, most = _log_snr_range(path, u)
        # theta = atan(sigma / alpha) = atan(exp(-lambda))
        t = time_of_angle(path, torch.atan((-(least + u * (most - least))).exp()))
        _, noise_per_error = conversion(path, model.predict, "noise", t)
        return t, (most - least) * noise_per_error.square()


def _log_snr_range(path: Path, like: Tensor) -> tuple[Tensor, Tensor]:
    ends = path.log_snr(torch.tensor([path.t_max, path.t_min], dtype=like.dtype, device=like.device))
    return ends[0], ends[1]
