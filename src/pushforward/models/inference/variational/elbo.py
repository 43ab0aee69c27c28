"""The evidence lower bound and its path gradient.

ELBO = E_q[log p(data, z) - log q(z)] = log p(data) - KL(q, posterior). With z = T(noise) the gradient goes along the path of
each draw. Kingma and Welling 2014, https://arxiv.org/abs/1312.6114; Rezende, Mohamed, Wierstra 2014,
https://arxiv.org/abs/1401.4082
"""

from collections.abc import Callable

from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.core.random import RowGenerator

from .bound import Bound, log_weights


def path_gradient(posterior: Distribution, log_density: Callable[[Tensor], Tensor], generator: RowGenerator) -> Bound:
    """The mean of log p(z) - log q(z), differentiated through z and through q.

    >>> from pushforward.parts.distributions import Gaussian
    >>> q = Gaussian.standard(2)
    >>> path_gradient(q, q.log_prob, RowGenerator(0, 3)).rows.tolist()  # q is the target: no gap
    [0.0, 0.0, 0.0]
    """
    _, weights = log_weights(posterior, log_density, generator)
    return Bound(weights.detach(), weights.mean())
