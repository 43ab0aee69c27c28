"""The score-function gradient (REINFORCE): for densities, or draws, that have no gradient to follow.

E_q[(f_i - mean of the other f_j) d log q(z_i)/dphi],  f = log p(z) - log q(z). The baseline of draw i is made of the others, so it
takes variance away and adds no bias. Williams 1992, https://doi.org/10.1007/BF00992696; Kool, van Hoof, Welling 2019,
https://openreview.net/forum?id=r1lgTGL5DE
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.core.random import RowGenerator

from .bound import Bound


def score_function(posterior: Distribution, log_density: Callable[[Tensor], Tensor], generator: RowGenerator) -> Bound:
    """Weights each d log q(z)/dphi by how far its draw is above the others. Raises `ConfigError` for a single draw."""
    if generator.rows < 2:
        raise ConfigError("expected at least 2 draws for the baseline of the score gradient, got 1; take more draws")
    with torch.no_grad():
        z = posterior._sample(None, generator)
        log_p = log_density(z)
    log_q = posterior._log_prob(z, None)
    f = log_p - log_q.detach()
    n = len(f)
    above = (f - f.mean()) * (n / (n - 1))  # f_i minus the mean of the others
    return Bound(f, (above * log_q).mean())
