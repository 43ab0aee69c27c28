"""Denoising: predict the noise (or the data, velocity, v, score) of x_t = alpha(t) data + sigma(t) noise.

E_t w(t) mean_i (q_i - q_theta,i(x_t, t))^2, with times and weights of `weighting`: the simple loss of Ho et al. 2020,
https://arxiv.org/abs/2006.11239, the one that bounds the likelihood, and others; `weighting.py` has their formulas.
With learned variances the loss of the steps of a chain is added to it; see `learned_variance.py`.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import torch

from pushforward.core.errors import ConfigError
from pushforward.core.objective import Loss
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.core.shapes import expand_right, flatten_condition
from pushforward.parts.paths.angle import scale
from pushforward.parts.paths.coefficients import combination

from .learned_variance import step_bound
from .weighting import Weighting, draw

if TYPE_CHECKING:
    from .diffusion import Diffusion


@register
@dataclass(frozen=True)
class Denoising:
    """The loss of a `Diffusion`, (model, batch, generator) -> `Loss`: a mean over rows and over the numbers of an event.

    `weighting`: "simple" is the squared error of what the network predicts (a score's is multiplied by sigma^2, or it
    would be infinite at t = 0); "likelihood" and "ddpm" weigh by what a time contributes to log p, in nats per number of
    the event; "min_snr" and "edm" are between the two. `sigma_data`, of "edm", is the standard deviation of the data in model
    units. `drop_condition`: the share of rows that are trained without their condition, where the model allows it;
    unconditional samples and classifier-free guidance need it (Ho and Salimans 2022, https://arxiv.org/abs/2207.12598).

    >>> Denoising().weighting
    'simple'
    """

    weighting: Weighting = "simple"
    drop_condition: float = 0.1
    sigma_data: float = 1.0

    def __post_init__(self):
        if self.weighting not in get_args(Weighting):
            raise ConfigError(f"expected a weighting among {', '.join(get_args(Weighting))}, got {self.weighting!r}")
        if not 0 <= self.drop_condition < 1:
            raise ConfigError(
                f"expected drop_condition in [0, 1), got {self.drop_condition}; it is a share of the rows"
            )
        if not 0 < self.sigma_data < math.inf:
            raise ConfigError(f"expected a positive sigma_data, got {self.sigma_data}; it is a standard deviation")

    def __call__(self, model: "Diffusion", batch: Any, generator: RowGenerator) -> Loss:
        data = model.to_model_units(batch.x, generator)
        condition = flatten_condition(batch.condition, model.condition_shape, data.shape[:1], model.condition_optional)
        if model.training and model.condition_optional and condition is not None and self.drop_condition:
            condition = model.without_condition(condition, generator.uniform() < self.drop_condition)
        u = generator.uniform(dtype=torch.float64)
        t, weight = draw(self.weighting, model.path, model.predict, u, self.sigma_data)
        noise = generator.normal(*model.event_shape, dtype=data.dtype)
        a, b = (expand_right(c.to(data.dtype), data) for c in combination(model.path, model.predict, t))
        own_t, x_t = t.to(data.dtype), model.path.sample(data, noise, t.to(data.dtype))
        y = x_t / expand_right(scale(model.path, own_t), x_t)
        predicted, share = model.prediction_and_share(y, own_t, condition)
        error = (predicted - (a * data + b * noise)).square().flatten(1).mean(1)
        loss = error * weight.to(error.dtype)
        if share is not None:
            loss = loss + step_bound(model, x_t, t, data, predicted, share)
        return Loss(loss.mean(), {"error": error.detach().mean()})
