"""The Bernstein polynomial as an elementwise map (Ramasinghe et al. 2021, https://arxiv.org/abs/2102.03509).

On [-B, B], with u = (x + B) / (2 B) and v = 1 - u, for increasing coefficients c_0 < ... < c_n:

    g(x) = sum_k c_k C(n, k) u^k v^(n-k),    g'(x) = (n / 2B) sum_k (c_{k+1} - c_k) C(n-1, k) u^k v^(n-1-k) > 0.

Every term of the derivative is positive, and the last step of de Casteljau's rule makes g from the same n products.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register
from pushforward.core.solved import Solved

from .squash import STEEPEST, squash
from .tails import continued, continued_inverse

HIGHEST = 100  # degree: beyond it binomial coefficients come near the largest float32


@register
class BernsteinTransformer:
    """z = g(x), elementwise: an increasing polynomial of this degree on [-bound, bound], from data to noise, tangents beyond.

    An element has `degree + 1` parameters: log(n (c_{k+1} - c_k) / 2B), softly within 10^-3 .. 10^3, which bound the slope as
    well; and a shift, softly within ± bound. The middle coefficient stays where the shift puts it. Both directions and
    their gradients are finite for every finite input. The identity where all parameters are zero.

    `forward` finds roots, with exact first derivatives, and leaves its report in `solved`. Raises `ConfigError` for a degree
    outside 1 .. 100, or a bound that is not positive and finite.

    >>> transformer = BernsteinTransformer(degree=5, bound=3.0)
    >>> x, parameters = torch.tensor([-1e30, 0.3, 8.0]), torch.linspace(-1, 1, transformer.size)[:, None].expand(-1, 3)
    >>> z, _ = transformer.inverse(x, parameters)
    >>> bool(torch.allclose(transformer.forward(z, parameters)[0], x, rtol=1e-5))
    True
    """

    def __init__(self, degree: int = 16, bound: float = 5.0):
        if not (1 <= degree <= HIGHEST and 0 < bound < math.inf):
            raise ConfigError(f"expected a degree of 1 to {HIGHEST} and a positive and finite bound, got {degree} and {bound:g}; "
                              "a degree of 16 and a bound of 5 are usual")  # fmt: skip
        self.degree, self.bound = degree, float(bound)
        self.size = degree + 1
        self.solved: Solved | None = None

    def forward(self, z: Float[Tensor, "*shape"],
                parameters: Float[Tensor, "size *shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:  # fmt: skip
        """x and log dx/dz."""
        slopes, c = self._coefficients(parameters)
        x, log_derivative, self.solved = continued_inverse(lambda v: self._polynomial(v, slopes, c), z, self.bound)
        return x, log_derivative

    def inverse(self, x: Float[Tensor, "*shape"],
                parameters: Float[Tensor, "size *shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:  # fmt: skip
        """z and log dz/dx."""
        slopes, c = self._coefficients(parameters)
        return continued(lambda v: self._polynomial(v, slopes, c), x, self.bound)

    def _coefficients(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """n (c_{k+1} - c_k) / 2B, `(n, *shape)`, and c, `(n + 1, *shape)`."""
        n = self.degree
        slopes = squash(parameters[:n], STEEPEST).exp()
        sums = torch.cat([torch.zeros_like(slopes[:1]), slopes.cumsum(0)])
        middle = (sums[n // 2] + sums[(n + 1) // 2]) / 2
        return slopes, torch.add(squash(parameters[n], self.bound), sums - middle, alpha=2 * self.bound / n)

    def _polynomial(self, x: Tensor, slopes: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        n = self.degree - 1
        u, v = (self.bound + x) / (2 * self.bound), (self.bound - x) / (2 * self.bound)
        shape = (n + 1, *(1 for _ in x.shape))
        k = torch.arange(n + 1, device=x.device, dtype=x.dtype).reshape(shape)
        binomial = x.new_tensor([math.comb(n, i) for i in range(n + 1)]).reshape(shape)
        basis = binomial * u**k * v ** (n - k)
        value = (basis * torch.addcmul(v * c[:-1], u, c[1:])).sum(0)
        return value, (basis * slopes).sum(0).log()
