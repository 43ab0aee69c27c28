"""The loss of flow matching, with a choice of which noise goes with which data.

E_t |velocity_theta(x_t, t) - (noise - data)|^2 on x_t = (1 - t) data + t noise, over pairs that `coupling.py` or `Pairs` makes.
The minimum is E[noise - data | x_t], which moves the marginals of x_t whatever the pairs are: samples and likelihoods by the
flow stay right. Its score is that of the Gaussian path only for independent pairs. Lipman et al. 2023,
https://arxiv.org/abs/2210.02747; Tong et al. 2024, https://arxiv.org/abs/2302.00482, theorem 3.1.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.objective import Loss
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.core.shapes import expand_right, flatten_condition
from pushforward.parts.paths.angle import scale
from pushforward.parts.paths.coefficients import combination

from .coupling import Coupling, couple

if TYPE_CHECKING:
    from .diffusion import Diffusion


@dataclass(frozen=True)
class PairBatch:
    """Data and the noise that goes with them, both `(n, *event)` in model units, and perhaps their condition."""

    data: Tensor
    noise: Tensor
    condition: Tensor | None = None

    def __len__(self) -> int:
        return len(self.data)

    def to(self, device: torch.device | str) -> "PairBatch":
        """Move to a device."""
        condition = None if self.condition is None else self.condition.to(device)
        return PairBatch(self.data.to(device), self.noise.to(device), condition)


@register
@dataclass(frozen=True)
class FlowMatching:
    """(model, batch, generator) -> `Loss`, for a `Diffusion` that predicts velocities; t is uniform.

    `coupling`: "independent", "optimal" (least cost within the batch), or "conditional_optimal", which is that for conditional models;
    see `coupling.py`. With the last two a row's loss depends on its batch. `drop_condition` is that of `Denoising`.
    A `PairBatch`, such as `reflow` makes, has its noise already: "given".

    Draw from a model that was trained on coupled pairs by its flow (`DDIM()`, which has no noise, or `ProbabilityFlow`): the
    score that `Ancestral` and other noisy samplers read off a velocity is right for independent pairs only, and these samplers refuse others.

    Raises `ConfigError` for another coupling, or a model that predicts something else.

    >>> FlowMatching("optimal")
    FlowMatching(coupling='optimal', drop_condition=0.1)
    """

    coupling: Coupling = "independent"
    drop_condition: float = 0.1

    def __post_init__(self):
        if self.coupling not in get_args(Coupling):
            raise ConfigError(f"expected a coupling among {', '.join(get_args(Coupling))}, got {self.coupling!r}")
        if not 0 <= self.drop_condition < 1:
            raise ConfigError(
                f"expected drop_condition in [0, 1), got {self.drop_condition}; it is a share of the rows"
            )

    def __call__(self, model: "Diffusion", batch: Any, generator: RowGenerator) -> Loss:
        if model.predict != "velocity":
            raise ConfigError(
                f'expected a model that predicts "velocity", got "{model.predict}"; take Denoising() for it'
            )
        paired = isinstance(batch, PairBatch)
        data = batch.data if paired else model.to_model_units(batch.x, generator)
        condition = flatten_condition(batch.condition, model.condition_shape, data.shape[:1], model.condition_optional)
        if model.training and model.condition_optional and condition is not None and self.drop_condition:
            condition = model.without_condition(condition, generator.uniform() < self.drop_condition)
        path = model.path
        t = path.t_min + generator.uniform(dtype=torch.float64) * (path.t_max - path.t_min)
        noise = batch.noise if paired else generator.normal(*model.event_shape, dtype=data.dtype)
        if not paired:  # after conditions were dropped: the rows without one are a class of their own
            noise = couple(data, noise, self.coupling, condition)
        a, b = (expand_right(c.to(data.dtype), data) for c in combination(path, "velocity", t))
        own_t = t.to(data.dtype)
        x_t = path.sample(data, noise, own_t)
        predicted = model(x_t / expand_right(scale(path, own_t), x_t), own_t, condition)
        error = (predicted - (a * data + b * noise)).square().mean()
        return Loss(error, {"error": error.detach()})


def require_score(loss: Any, sampler: Any) -> None:
    """Raise `ConfigError` for a sampler that adds noise and a loss whose velocity gives no score."""
    coupling = getattr(loss, "coupling", "independent")
    if coupling != "independent" and getattr(sampler, "noisy", False):
        raise ConfigError(f"expected a sampler without noise for a flow that was trained on {coupling} pairs, got {type(sampler).__name__}, which needs the "
                          "score, and the velocity gives it for independent pairs only; take DDIM(), DPMSolver(), UniPC() or ProbabilityFlow()")  # fmt: skip
