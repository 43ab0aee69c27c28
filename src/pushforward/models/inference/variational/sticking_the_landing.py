"""The path gradient without the score of q: its variance is zero where q is the posterior.

d/dphi E_q[log p(z) - log q(z; phi)]: the term E[d log q / dphi at fixed z] is zero, so it is left out, noise and all.
Roeder, Wu, Duvenaud 2017, https://arxiv.org/abs/1703.09194
"""

from collections.abc import Callable

from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.core.random import RowGenerator

from .bound import Bound, frozen_log_prob


def sticking_the_landing(
    posterior: Distribution, log_density: Callable[[Tensor], Tensor], generator: RowGenerator
) -> Bound:
    """log p(z) - log q(z) with the parameters held fixed in log q, differentiated along the draws alone.

    log q is evaluated at z as at any row, which costs a flow its other direction.
    """
    z = posterior._sample(None, generator)
    weights = log_density(z) - frozen_log_prob(posterior, z)
    return Bound(weights.detach(), weights.mean())
