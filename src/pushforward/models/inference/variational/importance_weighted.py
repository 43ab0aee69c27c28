"""The importance-weighted bound, which rises to log Z with the number k of draws in each weight.

L_k = E log (1/k) sum_i w_i,  w = p(z) / q(z). Burda, Grosse, Salakhutdinov 2016, https://arxiv.org/abs/1509.00519. Its doubly
reparameterised gradient sums (w_i / sum w)^2 d log w_i/dz dz/dphi. Tucker, Lawson, Gu, Maddison 2019,
https://arxiv.org/abs/1810.04152
"""

import math
from collections.abc import Callable

from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.core.random import RowGenerator

from .bound import Bound, frozen_log_prob, log_weights


def importance_weighted(posterior: Distribution, log_density: Callable[[Tensor], Tensor], generator: RowGenerator,
                        k: int = 8) -> Bound:  # fmt: skip
    """A row of the bound for each row of the generator, from k draws of its own, with the path gradient."""
    _, weights = log_weights(posterior, log_density, _many(generator, k))
    rows = weights.reshape(-1, k).logsumexp(1) - math.log(k)
    return Bound(rows.detach(), rows.mean())


def doubly_reparameterised(posterior: Distribution, log_density: Callable[[Tensor], Tensor], generator: RowGenerator,
                           k: int = 8) -> Bound:  # fmt: skip
    """The same bound, with a gradient whose variance does not grow with k."""
    z = posterior._sample(None, _many(generator, k))
    weights = (log_density(z) - frozen_log_prob(posterior, z)).reshape(-1, k)
    rows = weights.detach().logsumexp(1) - math.log(k)
    share = weights.detach().softmax(1)
    return Bound(rows, (share.square() * weights).sum(1).mean())


def _many(generator: RowGenerator, k: int) -> RowGenerator:
    """k rows for each row, which stay those of that row in a slice."""
    return RowGenerator(generator.seed, generator.rows * k, start=generator.start * k, device=generator.device)
