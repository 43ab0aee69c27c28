"""Where does a diffusion model err? Its held-out error at each level of noise, without the weights of its loss.

Bin k takes t uniformly from its share of [t_min, t_max]: E |q - q_theta(x_t, t)|^2 / d, q what the network predicts. One number for all of
them, the loss, hides most of it: its large terms are those that no network can lower (Nichol and Dhariwal 2021,
https://arxiv.org/abs/2102.09672, figure 2).
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Num
from torch import Tensor

from pushforward.core.batching import chunks
from pushforward.core.errors import ConfigError
from pushforward.core.random import RowGenerator, mix
from pushforward.core.registry import device_of
from pushforward.core.shapes import expand_right, flatten_batch, flatten_condition
from pushforward.parts.paths.angle import scale
from pushforward.parts.paths.coefficients import combination

from .estimate import Estimate

_CHUNK = 256


@dataclass(frozen=True)
class NoiseLevels:
    """The mean squared error `losses[k]` for t between `edges[k]` and `edges[k + 1]`."""

    edges: tuple[float, ...]
    losses: tuple[Estimate, ...]


@torch.no_grad()
def loss_by_noise(model: Any, x: Num[Tensor, "n *event"], condition: Tensor | None = None, *, bins: int = 10,
                  seed: int = 0) -> NoiseLevels:  # fmt: skip
    """The error of a `Diffusion` in every bin of t, on all rows x, in the units of the data; a score's is multiplied by sigma.

    The standard error is that over rows. Raises `ConfigError` for fewer than one bin or a model that is no `Diffusion`.

    >>> import pushforward as pf
    >>> levels = loss_by_noise(pf.diffusion.ddpm(event_shape=2, width=8), torch.randn(50, 2), bins=4)
    >>> len(levels.edges), len(levels.losses)
    (5, 4)
    """
    if bins < 1:
        raise ConfigError(f"expected at least one bin, got {bins}; ten show where a model errs")
    if not hasattr(model, "path") or not hasattr(model, "to_model_units"):
        raise ConfigError(f"expected a diffusion model, which has levels of noise, got {type(model).__name__}")
    flat, batch = flatten_batch(x.to(device_of(model)), model.event_shape)
    given = None if condition is None else condition.to(device_of(model))
    given = flatten_condition(given, model.condition_shape, batch, model.condition_optional)
    path, losses = model.path, []
    edges = torch.linspace(path.t_min, path.t_max, bins + 1, dtype=torch.float64).tolist()
    for low, high in pairwise(edges):
        source = RowGenerator(mix(seed, len(losses)), len(flat), device=device_of(model))
        errors = [
            _errors(model, flat[a:b], None if given is None else given[a:b], (low, high), source.slice(a, b))
            for a, b in chunks(len(flat), _CHUNK)
        ]
        losses.append(Estimate.of(torch.cat(errors)))
    return NoiseLevels(tuple(edges), tuple(losses))


def _errors(
    model: Any, x: Tensor, condition: Tensor | None, between: tuple[float, float], generator: RowGenerator
) -> Tensor:
    """Squared error of every row, `(n,)`."""
    path, data = model.path, model.to_model_units(x, generator)
    t = between[0] + generator.uniform(dtype=torch.float64) * (between[1] - between[0])
    noise = generator.normal(*model.event_shape, dtype=data.dtype)
    a, b = (expand_right(c.to(data.dtype), data) for c in combination(path, model.predict, t))
    own_t = t.to(data.dtype)
    x_t = path.sample(data, noise, own_t)
    predicted = model(x_t / expand_right(scale(path, own_t), x_t), own_t, condition)
    error = (predicted - (a * data + b * noise)).square().flatten(1).mean(1)
    return error * path.sigma(t).square().to(error.dtype) if model.predict == "score" else error
