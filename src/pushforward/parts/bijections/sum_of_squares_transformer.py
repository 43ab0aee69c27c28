"""The sum-of-squares polynomial as an elementwise map (Jaini, Selby and Yu 2019, https://arxiv.org/abs/1905.02325).

A polynomial is increasing just if its derivative is non-negative, and a polynomial in one variable is non-negative just if it
is a sum of squares:  g(x) = c + int_0^x [ e + (1 - e) sum_k p_k(t)^2 ] dt,  with e > 0 so that g' is never zero.

For p_k of degree r the integrand has degree 2r, and a quadrature of 2r + 1 points integrates it exactly. Unlike the
coefficients of the integrated polynomial, which cancel, it is a sum of squares with positive weights.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register
from pushforward.core.solved import Solved
from pushforward.parts.numerics.quadrature import clenshaw_curtis

from .squash import gains, squash
from .tails import continued, continued_inverse

LEAST_SLOPE = 1e-3
LARGEST = 5.0  # coefficient


@register
class SumOfSquaresTransformer:
    """z = c + int_0^x [e + (1 - e) sum_k p_k(t / B)^2] dt on [-B, B], e = 10^-3, from data to noise; tangents beyond.

    An element has `polynomials (degree + 1) + 1` parameters: what is added to the coefficients of p_k, constants first, and
    c. Coefficients are within ± 5 and c within ± bound, both softly, so both directions and their gradients are finite for every
    finite input. Where all parameters are zero each p_k is 1 / sqrt(polynomials), and the map is the identity.

    `forward` finds roots, with exact first derivatives, and leaves its report in `solved`. Raises `ConfigError` for fewer than
    1 polynomial, a degree outside 0 .. 20, or a bound that is not positive and finite.

    >>> transformer = SumOfSquaresTransformer(polynomials=2, degree=3)
    >>> x, parameters = torch.tensor([-1e30, 0.3, 8.0]), torch.ones(transformer.size, 3)
    >>> z, _ = transformer.inverse(x, parameters)
    >>> bool(torch.allclose(transformer.forward(z, parameters)[0], x, rtol=1e-5))
    True
    """

    def __init__(self, polynomials: int = 3, degree: int = 4, bound: float = 5.0):
        if polynomials < 1 or not (0 <= degree <= 20 and 0 < bound < math.inf):
            raise ConfigError(f"expected at least 1 polynomial, a degree of 0 to 20 and a positive and finite bound, got {polynomials}, {degree} "
                              f"and {bound:g}; 3 polynomials of degree 4 and a bound of 5 are usual")  # fmt: skip
        self.polynomials, self.degree, self.bound = polynomials, degree, float(bound)
        self.size = polynomials * (degree + 1) + 1
        self.solved: Solved | None = None
        self._points, self._weights = clenshaw_curtis(max(2, 2 * degree + 1))

    def forward(self, z: Float[Tensor, "*shape"],
                parameters: Float[Tensor, "size *shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:  # fmt: skip
        """x and log dx/dz."""
        a, c = self._coefficients(parameters)
        x, log_derivative, self.solved = continued_inverse(lambda v: self._integral(v, a, c), z, self.bound)
        return x, log_derivative

    def inverse(self, x: Float[Tensor, "*shape"],
                parameters: Float[Tensor, "size *shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:  # fmt: skip
        """z and log dz/dx."""
        a, c = self._coefficients(parameters)
        return continued(lambda v: self._integral(v, a, c), x, self.bound)

    def _coefficients(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Those of p_k, `(degree + 1, polynomials, *shape)`, and c, `(*shape)`."""
        rows = self.degree + 1
        gain = gains(rows, self.polynomials, parameters)
        gain = gain.reshape(rows * self.polynomials, *(1 for _ in parameters.shape[1:]))
        a = squash(parameters[:-1] * gain, LARGEST).unflatten(0, (rows, self.polynomials))
        start = torch.zeros_like(a[:, :1])
        start[0] = self.polynomials**-0.5
        return a + start, squash(parameters[-1], self.bound)

    def _integral(self, x: Tensor, a: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        flat = x.reshape(-1) / self.bound
        powers = torch.arange(self.degree + 1, device=x.device, dtype=x.dtype)[:, None]
        s, weights = x.new_tensor(self._points), x.new_tensor(self._weights)
        # p_k at all points s x of the quadrature: (points, degree + 1) times (degree + 1, polynomials n).
        terms = (flat**powers).unsqueeze(1) * a.reshape(len(a), self.polynomials, flat.numel())
        p = (s**powers).T @ terms.flatten(1)
        slopes = p.square().unflatten(1, terms.shape[1:]).sum(1) * (1 - LEAST_SLOPE) + LEAST_SLOPE
        # The last point is x itself.
        value = torch.addcmul(c, (weights @ slopes).reshape(x.shape), x)
        return value, slopes[-1].log().reshape(x.shape)
