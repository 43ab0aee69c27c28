"""A learned linear map by its triangular factors: x = P L U z + b (Kingma and Dhariwal 2018, https://arxiv.org/abs/1807.03039)."""

import torch
from torch import Size, Tensor, nn

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .nonsingular import positive_diagonal


@register
class LULinear(Bijection):
    """x = P L U z + b, with L lower triangular with a unit diagonal, and U upper triangular with diagonal sign * exp(s).

    log abs det = sum s, in O(d); one direction multiplies, the other solves two triangular systems. The permutation P and
    the signs stay as they are: of no `seed` the identity, of a `seed` a random permutation, or those of a matrix given
    to `LULinear.of`. L and U begin as the identity.

    Raises `ConfigError` for fewer than 1 feature, and when used with a singular U.

    >>> layer = LULinear.of(torch.tensor([[0.0, 2.0], [3.0, 1.0]]))
    >>> x, log_det = layer(torch.ones(2))
    >>> x.tolist(), round(log_det.exp().item(), 4)
    ([2.0, 4.0], 6.0)
    """

    order: Tensor
    signs: Tensor

    def __init__(self, features: int, seed: int | None = None):
        super().__init__()
        if features < 1:
            raise ConfigError(f"expected at least 1 feature, got {features}; give the width of a row")
        self.event_shape = self.output_shape = Size((features,))
        places = torch.arange(features)
        if seed is not None:
            places = torch.randperm(features, generator=torch.Generator().manual_seed(seed))
        self.order, self.signs = nn.Buffer(places), nn.Buffer(torch.ones(features))  # x_i comes from place order[i]
        self.lower = nn.Parameter(torch.zeros(features, features))
        self.upper = nn.Parameter(torch.zeros(features, features))
        self.log_diagonal = nn.Parameter(torch.zeros(features))
        self.bias = nn.Parameter(torch.zeros(features))

    @classmethod
    def of(cls, matrix: Tensor, bias: Tensor | None = None) -> "LULinear":
        """Begin as x = matrix z + bias, for a matrix `(d, d)`. Raises `ConfigError` when it is not square, or is singular."""
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not torch.isfinite(matrix).all():
            raise ConfigError(f"expected a square matrix of finite numbers, got one of shape {tuple(matrix.shape)}; "
                              "a bijection keeps the number of features")  # fmt: skip
        if bias is not None and bias.shape != matrix.shape[:1]:
            raise ConfigError(f"expected a bias of shape ({len(matrix)},), got {tuple(bias.shape)}; one number for each feature")  # fmt: skip
        matrix = matrix.detach()
        p, lower, upper = torch.linalg.lu(matrix)
        diagonal = upper.diagonal()
        # Rounding rarely leaves an exact zero: a pivot this small is one.
        least = len(matrix) * torch.finfo(matrix.dtype).eps * matrix.abs().max()
        if not (diagonal.abs() > least).all():
            raise ConfigError(f"expected a matrix with an inverse, got one with a pivot of size {diagonal.abs().min().item():g}; "
                              "it is singular: leave out features that are sums of others")  # fmt: skip
        layer = cls(len(matrix)).to(matrix.dtype)
        with torch.no_grad():
            layer.order.copy_(p.argmax(1))
            layer.signs.copy_(diagonal.sign())
            layer.lower.copy_(lower.tril(-1))
            layer.upper.copy_(upper.triu(1))
            layer.log_diagonal.copy_(diagonal.abs().log())
            if bias is not None:
                layer.bias.copy_(bias)
        return layer

    def _factors(self) -> tuple[Tensor, Tensor]:
        unit = torch.eye(len(self.signs), dtype=self.lower.dtype, device=self.lower.device)
        diagonal = self.signs * positive_diagonal(self.log_diagonal)
        return self.lower.tril(-1) + unit, self.upper.triu(1) + torch.diag(diagonal)

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        lower, upper = self._factors()
        return (z @ upper.T @ lower.T)[:, self.order] + self.bias, self.log_diagonal.sum().expand(len(z))

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        lower, upper = self._factors()
        sorted_back = (x - self.bias)[:, self.order.argsort()]
        v = torch.linalg.solve_triangular(lower, sorted_back.T, upper=False, unitriangular=True)
        return torch.linalg.solve_triangular(upper, v, upper=True).T, -self.log_diagonal.sum().expand(len(x))
