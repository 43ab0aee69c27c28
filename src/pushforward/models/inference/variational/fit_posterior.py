"""Fit an approximate posterior to a density: stochastic ascent on a lower bound.

A loop of its own, of a dozen lines, for fits of seconds: steps of Adam with a rate that falls as a cosine. `pushforward.fit` takes a
target too, and has what long fits want: averages, checkpoints, several processes.
"""

import math
from dataclasses import dataclass, field

import torch

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError, UserError
from pushforward.core.random import RowGenerator, mix
from pushforward.core.registry import device_of, dtype_of
from pushforward.models.inference.density import Density, features_of, finite_start

from .objective import bound_objective


@dataclass(frozen=True)
class PosteriorHistory:
    """`records` of the fit, a dict every `log_every` steps: `step`, and the mean of the `bound` over the steps since the last."""

    bound: str
    records: list[dict[str, float]] = field(default_factory=list)


def fit_posterior(posterior: Distribution, target: Density, *, steps: int = 2000, draws: int = 64,
                  gradient: str = "path", bound: str = "elbo", importance: int = 8,
                  learning_rate: float = 0.02, seed: int = 0, log_every: int = 50) -> PosteriorHistory:  # fmt: skip
    """Fit `posterior` in place to `target` (a `Target`, a distribution, or log p(z) of `(n, d)`), known up to a constant.

    `gradient` is "path", "stl" (sticking the landing; of the bound "iwae" the doubly reparameterised one) or "score", which asks
    nothing of the density but its value. `bound` "iwae" takes `importance` draws for each of `draws`.

    Raises `ConfigError` for settings that do not fit, `UserError` for a density that is not finite where the posterior begins, or
    a bound that is not finite later.

    >>> from pushforward.models.inference import full_rank
    >>> q = full_rank(2)
    >>> history = fit_posterior(q, lambda z: -(z - 1).square().sum(1) / 2, steps=300, gradient="stl")
    >>> q.loc.detach().round(decimals=2), round(history.records[-1]["bound"], 3)  # log Z is log 2 pi
    (tensor([1., 1.]), 1.838)
    """
    _require(posterior, target, gradient, steps, draws)
    device, dtype = device_of(posterior), dtype_of(posterior)
    with torch.no_grad():
        finite_start(target, posterior._sample(None, RowGenerator(mix(seed, 1), draws, device=device)).to(dtype))
    objective = bound_objective(target, gradient=gradient, bound=bound, importance=importance)
    parameters = [p for p in posterior.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(parameters, lr=learning_rate, betas=(0.9, 0.99), fused=True)
    history, total, since = PosteriorHistory(bound), torch.zeros((), device=device), 0
    posterior.train()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * 0.5 * (1 + math.cos(math.pi * step / steps))
        loss = objective(posterior, None, RowGenerator(mix(seed, 2, step), draws, device=device)).value
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total, since = total - loss.detach(), since + 1
        if (step + 1) % log_every == 0 or step + 1 == steps:
            mean = float(total) / since
            if not math.isfinite(mean):
                raise UserError(f"expected a finite {bound}, got {mean} by step {step + 1}; take a smaller learning_rate than "
                                f"{learning_rate:g}, or see where log p is not finite")  # fmt: skip
            history.records.append({"step": step + 1, "bound": mean})
            total, since = torch.zeros_like(total), 0
    posterior.eval()
    return history


def _require(posterior: Distribution, target: Density, gradient: str, steps: int, draws: int) -> None:
    if len(posterior.event_shape) != 1 or posterior.condition_shape is not None or posterior.log_prob_kind != "exact":
        raise ConfigError(f"expected a posterior over vectors, without condition and with an exact log_prob, got {type(posterior).__name__} over "
                          f"{tuple(posterior.event_shape)}; mean_field, full_rank or a flow with features=d will do")  # fmt: skip
    features_of(target, posterior.event_shape[0])
    if not any(p.requires_grad for p in posterior.parameters()):
        raise ConfigError(
            f"expected a posterior with parameters to fit, but {type(posterior).__name__} has none; build it with learn=True"
        )
    if gradient != "score" and not posterior.reparameterised:
        raise ConfigError(
            f"expected gradient='score' for {type(posterior).__name__}, whose draws carry no gradients, got {gradient!r}"
        )
    if steps < 1 or draws < 1:
        raise ConfigError(f"expected at least 1 step and 1 draw, got {steps} and {draws}")
