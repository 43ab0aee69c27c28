"""A posterior to be fitted, said in the words of training: an objective, and data that are nothing but a number of draws."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from pushforward.core.data import Batch
from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.core.objective import Loss, Objective
from pushforward.core.random import RowGenerator, mix
from pushforward.models.inference.density import Density, log_density_of
from pushforward.models.inference.target import Target

from .bound import Bound
from .elbo import path_gradient
from .importance_weighted import doubly_reparameterised, importance_weighted
from .names import BoundName, Gradient
from .score_function import score_function
from .sticking_the_landing import sticking_the_landing

Estimator = Callable[[Distribution, Callable[[Tensor], Tensor], RowGenerator], Bound]


def estimator_named(gradient: str, bound: str, importance: int) -> Estimator:
    """The function that estimates this bound and its gradient. Raises `ConfigError` for a pair there is none for."""
    if gradient not in get_args(Gradient) or bound not in get_args(BoundName) or importance < 1:
        raise ConfigError(f"expected gradient {', '.join(get_args(Gradient))}, bound {' or '.join(get_args(BoundName))} and importance of at "
                          f"least 1, got {gradient!r}, {bound!r} and {importance}")  # fmt: skip
    if bound == "elbo":
        return {"path": path_gradient, "stl": sticking_the_landing, "score": score_function}[gradient]
    if gradient == "score":
        raise ConfigError(
            "expected gradient path or stl for bound 'iwae', got 'score'; take the elbo, or follow the path"
        )
    function = importance_weighted if gradient == "path" else doubly_reparameterised
    return lambda posterior, log_density, generator: function(posterior, log_density, generator, importance)


def bound_objective(target: Density, *, gradient: str = "path", bound: str = "elbo",
                    importance: int = 8) -> Objective:  # fmt: skip
    """The loss whose mean is minus a lower bound on log Z of `target`, one draw for each row of the batch.

    A target with minibatches is shown one, another at each step, while it trains, and all its rows without gradients.

    >>> from pushforward.parts.distributions import Gaussian
    >>> objective = bound_objective(lambda z: -z.square().sum(1) / 2)
    >>> loss = objective(Gaussian.standard(2), Batch(torch.zeros(5, 1)), RowGenerator(0, 5)).value
    >>> round(-float(loss), 4)  # the target is normal but for its constant, 2 pi
    1.8379
    """
    log_density, estimate = log_density_of(target), estimator_named(gradient, bound, importance)

    def objective(posterior: Distribution, _batch: object, generator: RowGenerator) -> Loss:
        density = log_density
        if isinstance(target, Target) and torch.is_grad_enabled():
            density = target.minibatch(mix(generator.seed, 5))
        found = estimate(posterior, density, generator)
        value = -found.rows.mean()
        return Loss(value + (found.ascent.detach() - found.ascent), {bound: -value})

    return objective


@dataclass(frozen=True)
class Draws:
    """Rows that say nothing but how many draws are wanted: what `fit` takes batches of when it fits to a density."""

    rows: int = 1 << 14
    device: str = "cpu"

    def __len__(self) -> int:
        return self.rows

    def take(self, index: Tensor) -> Batch:
        """As many rows as there are numbers."""
        return Batch(torch.zeros(len(index), 1, device=self.device))

    def to(self, device: torch.device | str) -> "Draws":
        """Rows on this device."""
        return Draws(self.rows, str(device))

    def split(self, fractions: tuple[float, ...], seed: int = 0) -> "tuple[Draws, ...]":
        """Parts of these sizes, of at least one row."""
        return tuple(Draws(max(1, round(self.rows * f)), self.device) for f in fractions)
