"""`Bound`: what each estimator of a gradient returns, and the log weights that all of them begin with."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pushforward.core.distribution import Distribution
from pushforward.core.random import RowGenerator


@dataclass(frozen=True)
class Bound:
    """`rows` `(n,)`, without gradients, whose mean estimates a lower bound on log Z; `ascent`, a scalar whose gradient

    estimates that of the bound. Its value need not be the bound: the objective reports `rows`.
    """

    rows: Tensor
    ascent: Tensor


def log_weights(
    posterior: Distribution, log_density: Callable[[Tensor], Tensor], generator: RowGenerator
) -> tuple[Tensor, Tensor]:
    """Draws z ~ q `(n, d)` and log p(z) - log q(z) `(n,)`, with the gradients of both paths."""
    z, log_q = posterior._sample_and_log_prob(None, generator)
    return z, log_density(z) - log_q


def frozen_log_prob(posterior: Distribution, z: Tensor) -> Tensor:
    """log q(z) `(n,)` with gradients to z, and none to the parameters of q."""
    detached = {name: value.detach() for name, value in posterior.named_parameters(prefix="posterior")}
    return torch.func.functional_call(_LogProb(posterior), detached, (z,))


class _LogProb(nn.Module):
    """`log_prob` as a forward pass, since `functional_call` calls modules."""

    def __init__(self, posterior: Distribution):
        super().__init__()
        self.posterior = posterior

    def forward(self, z: Tensor) -> Tensor:
        return self.posterior._log_prob(z, None)
