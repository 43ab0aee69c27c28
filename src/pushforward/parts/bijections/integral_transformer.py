"""The integral of a positive network as an elementwise map (Wehenkel and Louppe 2019, https://arxiv.org/abs/1908.05164).

g(x) = c + int_0^x f(t; h) dt,  log g'(x) = log f(x; h),  where f > 0 is a network of t and of an embedding h that the
conditioner makes. With t = x s it is x times the mean of f(x s) over s in [0, 1], by a Gauss-Legendre rule; with x as one
more point, of weight 0, one evaluation of the network gives the map and its slope. (The paper's Clenshaw-Curtis rule has
x among its points, but wants twice as many for the same bound.)

The slope of what is computed is f only up to the error of the rule, and where f has steps between its points the computed
map can even fall. So the network is one whose error is known:  log f = sum_k a_k(h) tanh(w_k t + b_k(h)) with
sum |a_k| < A and |w_k| < W. At height y in the complex plane |tanh| <= max(1, tan Wy) and |sech^2| <= sec^2 Wy, for Wy < pi / 2;
so f and its derivative are bounded on an ellipse around [0, x], and Theorem 19.3 of Trefethen, Approximation Theory and
Approximation Practice (2013) bounds the error whatever the weights.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register
from pushforward.core.solved import Solved
from pushforward.parts.numerics.quadrature import gauss_legendre

from .squash import squash
from .tails import continued, continued_inverse

LARGEST = 5.0  # number of the embedding
SLOPE_ERROR = 0.1  # guaranteed, relative, for the worst weights; for ordinary ones it is a billion times smaller


@register
class IntegralTransformer(nn.Module):
    """z = c + int_0^x f(t; h) dt, elementwise, from data to noise, with a learned f > 0 that all elements share.

    log f(t; h) = sum_k a_k(h) tanh(w_k t + b_k(h)) over `units` units, where sum |a_k| < limit and |w_k| < steepest: slopes are
    within e^-limit .. e^limit. An element has `embedding + 1` parameters: h, softly within ± 5, and c, softly within ± bound.
    Beyond ± bound f stays what it is there. The number of points of quadrature follows from bound, steepest and limit, so that
    the map increases whatever its weights. Both directions and their gradients are finite for every finite input. The
    identity where all parameters are zero.

    `forward` finds roots, with exact first derivatives, and leaves its report in `solved`. Raises `ConfigError` for an
    embedding or units below 1, or a bound, steepest or limit that is not positive and finite.

    >>> transformer = IntegralTransformer(embedding=4, units=8)
    >>> x, parameters = torch.tensor([-1e30, 0.3, 8.0]), torch.ones(transformer.size, 3)
    >>> z, _ = transformer.inverse(x, parameters)
    >>> bool(torch.allclose(transformer.forward(z, parameters)[0], x, rtol=1e-5))
    True
    """

    def __init__(
        self, embedding: int = 8, units: int = 16, bound: float = 5.0, steepest: float = 2.0, limit: float = 4.0
    ):
        super().__init__()
        if min(embedding, units) < 1 or not all(0 < value < math.inf for value in (bound, steepest, limit)):
            raise ConfigError(f"expected an embedding and units of at least 1, and a positive and finite bound, steepest and limit, got {embedding}, "
                              f"{units}, {bound:g}, {steepest:g} and {limit:g}; 8, 16, 5, 2 and 4 are usual")  # fmt: skip
        self.bound, self.steepest, self.limit = float(bound), float(steepest), float(limit)
        self.size = embedding + 1
        self.solved: Solved | None = None
        points, weights = gauss_legendre(enough_points(bound * steepest, limit))
        self._points, self._weights = [*points, 1.0], [*weights, 0.0]
        # Steps of all steepnesses, some falling, over the whole box.
        w = steepest * torch.empty(units).uniform_(-1, 1)
        self.w = nn.Parameter(w)
        self.b = nn.Parameter(w * torch.linspace(-bound, bound, units))
        self.move = nn.Sequential(nn.Linear(embedding, units), nn.Tanh(), nn.Linear(units, units, bias=False))
        self.a = nn.Linear(embedding, units, bias=False)

    def forward(self, z: Float[Tensor, "*shape"],
                parameters: Float[Tensor, "size *shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:  # fmt: skip
        """x and log dx/dz."""
        given = self._given(parameters)
        x, log_slope, self.solved = continued_inverse(lambda v: self._integral(v, *given), z.reshape(-1), self.bound)
        return x.reshape(z.shape), log_slope.reshape(z.shape)

    def inverse(self, x: Float[Tensor, "*shape"],
                parameters: Float[Tensor, "size *shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:  # fmt: skip
        """z and log dz/dx."""
        given = self._given(parameters)
        z, log_slope = continued(lambda v: self._integral(v, *given), x.reshape(-1), self.bound)
        return z.reshape(x.shape), log_slope.reshape(x.shape)

    def _given(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """a and b, `(units, n)`, and c, `(n,)`."""
        flat = parameters.reshape(self.size, parameters[0].numel())
        h, c = squash(flat[:-1].T, LARGEST), squash(flat[-1], self.bound)
        a = self.a(h).T
        return a * (self.limit / (self.limit + a.abs().sum(0))), (self.b + self.move(h)).T, c

    def _integral(self, x: Tensor, a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        t = torch.outer(x.new_tensor(self._points), x)
        w = squash(self.w, self.steepest)[:, None, None]
        log_f = (a[:, None] * torch.tanh(torch.addcmul(b[:, None], w, t))).sum(0)
        return torch.addcmul(c, x.new_tensor(self._weights) @ log_f.exp(), x), log_f[-1]


def enough_points(reach: float, limit: float) -> int:
    """The least number of points for which the slope is f within `SLOPE_ERROR`, for `reach` = bound times steepest.

    >>> enough_points(5.0, 3.0)
    20
    """
    least = math.inf
    for step in range(1, 150):
        y = step / 100  # height times steepest
        height = 2 * y / reach  # beside half the interval, whose length is at most the bound
        wide = math.sqrt(1 + height * height)
        # The slope in error is the rule applied to (s f(x s))' = f + x s f', with x s at most (1 + wide) bound / 2.
        largest = limit * max(1.0, math.tan(y)) + math.log1p((1 + wide) / 2 * reach * limit / math.cos(y) ** 2)
        rho = height + wide
        error = math.log(32 / 15) + largest - math.log(1 - rho**-2) - (math.log(SLOPE_ERROR) - limit)
        least = min(least, error / (2 * math.log(rho)))
    return math.ceil(least)
