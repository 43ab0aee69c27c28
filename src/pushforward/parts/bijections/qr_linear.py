"""A learned linear map as an orthogonal matrix times a triangular one: x = Q R z + b.

Tomczak and Welling 2016, https://arxiv.org/abs/1611.09630; Hoogeboom et al. 2019, https://arxiv.org/abs/1901.11137.
"""

import torch
from torch import Size, Tensor, nn

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .nonsingular import positive_diagonal
from .orthogonal import paired_vectors, reflect


@register
class QRLinear(Bijection):
    """x = Q R z + b, with Q a product of Householder reflections and R upper triangular with diagonal exp(s) > 0.

    log abs det = sum s, in O(d). Unlike P L U with a fixed P it reaches every rotation smoothly. The inverse is a triangular
    solve. `reflections` is as for `Orthogonal`; for an even number it begins as the identity.

    Raises `ConfigError` for fewer than 1 feature or reflection, and when used with a singular R.

    >>> layer = QRLinear(3)
    >>> x, log_det = layer(torch.ones(3))
    >>> bool(torch.allclose(x, torch.ones(3))), log_det.item()
    (True, 0.0)
    """

    def __init__(self, features: int, reflections: int | None = None):
        super().__init__()
        count = features + features % 2 if reflections is None else reflections
        if features < 1 or count < 1:
            raise ConfigError(f"expected at least 1 feature and 1 reflection, got {features} and {count}; leave reflections out for any rotation")  # fmt: skip
        self.event_shape = self.output_shape = Size((features,))
        self.vectors = nn.Parameter(paired_vectors(features, count))
        self.upper = nn.Parameter(torch.zeros(features, features))
        self.log_diagonal = nn.Parameter(torch.zeros(features))
        self.bias = nn.Parameter(torch.zeros(features))

    def _triangle(self) -> Tensor:
        return self.upper.triu(1) + torch.diag(positive_diagonal(self.log_diagonal))

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return reflect(z @ self._triangle().T, self.vectors.flip(0)) + self.bias, self.log_diagonal.sum().expand(len(z))

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        turned = reflect(x - self.bias, self.vectors)
        z = torch.linalg.solve_triangular(self._triangle(), turned.T, upper=True).T
        return z, -self.log_diagonal.sum().expand(len(x))
