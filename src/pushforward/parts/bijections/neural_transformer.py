"""The sigmoidal elementwise map of neural autoregressive flows (Huang et al. 2018, https://arxiv.org/abs/1804.00779).

F(x) = sum_j w_j sigmoid(a_j (x - m_j)) is a mixture of logistic distribution functions (a_j > 0, w_j > 0, sum w_j = 1), and

    g(x) = logit F(x) = log F - log(1 - F),
    log g'(x) = log sum_j w_j a_j sigmoid(t_j) sigmoid(-t_j) - log F - log(1 - F),  t_j = a_j (x - m_j).

F itself rounds to 0 or 1 for moderate x and its logit is then infinite. All is computed from log sigmoid(±t_j) by sums of
exponentials with the largest taken out, which know log F and log(1 - F) to full relative accuracy.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register
from pushforward.core.solved import Solved

from .squash import squash
from .tails import continued, continued_inverse

LEAST_SLOPE = 1e-3
SPREAD = 1.0  # of the places at first


@register
class NeuralTransformer:
    """z = (1 - e) logit(sum_j w_j sigmoid(a_j (x - m_j))) + e x, elementwise, with e = 10^-3, from data to noise.

    An element has `3 units` parameters: logits of w, logarithms of a, and m. The slopes a are within e^-limit .. e^limit and
    the places m within ± bound, both softly; beyond ± bound the map goes on along its tangents. So 10^-3 < dz/dx < e^limit,
    and both directions and their gradients are finite for every finite input. Where all parameters are zero it is the identity within 0.07 on [-3, 3], and not quite
    the identity, because units that all begin alike learn slowly to differ.

    The inverse of a mixture has no closed form: `forward` finds roots, with exact first derivatives, and leaves its report
    in `solved`. Raises `ConfigError` for fewer than 1 unit, or a bound or limit that is not positive and finite.

    >>> transformer = NeuralTransformer(units=4)
    >>> x, parameters = torch.tensor([-1e30, 0.3, 8.0]), torch.ones(transformer.size, 3)
    >>> z, _ = transformer.inverse(x, parameters)
    >>> bool(torch.allclose(transformer.forward(z, parameters)[0], x, rtol=1e-5))
    True
    """

    def __init__(self, units: int = 8, bound: float = 10.0, limit: float = 3.0):
        if units < 1 or not (0 < bound < math.inf and 0 < limit < math.inf):
            raise ConfigError(f"expected at least 1 unit, and a positive and finite bound and limit, got {units}, {bound:g} and {limit:g}; "
                              "8 units, a bound of 10 and a limit of 3 are usual")  # fmt: skip
        self.units, self.bound, self.limit = units, float(bound), float(limit)
        self.size = 3 * units
        self.solved: Solved | None = None

    def forward(self, z: Float[Tensor, "*shape"],
                parameters: Float[Tensor, "size *shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:  # fmt: skip
        """x and log dx/dz."""
        mixture = self._mixture(parameters)
        x, log_derivative, self.solved = continued_inverse(lambda v: _logit(v, *mixture), z, self.bound)
        return x, log_derivative

    def inverse(self, x: Float[Tensor, "*shape"],
                parameters: Float[Tensor, "size *shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:  # fmt: skip
        """z and log dz/dx."""
        mixture = self._mixture(parameters)
        return continued(lambda v: _logit(v, *mixture), x, self.bound)

    def _mixture(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log w, log a and m, each `(units, *shape)`."""
        w, a, m = parameters.unflatten(0, (3, self.units))
        # Units that begin alike receive equal gradients, and part slowly: they begin side by side. The mixture of logistic
        # distributions with these places has the variance of one when each is narrower by exp(start).
        apart = [SPREAD * (2 * j + 1 - self.units) / max(1, self.units - 1) for j in range(self.units)]
        start = -math.log1p(-3 * sum(place**2 for place in apart) / (self.units * math.pi**2)) / 2
        places = m.new_tensor(apart).reshape(self.units, *(1 for _ in m.shape[1:]))
        return w.log_softmax(0), squash(a, self.limit) + start, squash(m, self.bound) + places


def _logit(x: Tensor, log_w: Tensor, log_a: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
    t = log_a.exp() * (x - m)
    below = logsigmoid(t)
    above = below - t
    log_F, log_rest, log_density = torch.stack([below, above, log_a + below + above]).add(log_w).logsumexp(1)
    log_slope = log_density - log_F - log_rest
    least = torch.full_like(log_slope, math.log(LEAST_SLOPE))
    value = torch.lerp(log_F - log_rest, x, LEAST_SLOPE)
    return value, torch.logaddexp(log_slope + math.log1p(-LEAST_SLOPE), least)
