"""Gaussian distributions: diagonal and full covariance.

log N(x; mu, L L') = -1/2 |L^-1 (x - mu)|^2 - log det L - d/2 log(2 pi),  x = mu + L noise,  noise ~ N(0, I).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.core.shapes import as_size

from .checks import require_floats

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@register
class Gaussian(Distribution):
    """Independent normal numbers: x = loc + scale * noise, elementwise.

    `loc` and `scale` (standard deviations, positive) have the event shape, or broadcast to it; they are copied. With
    `learn=True` they become parameters, the scale by its logarithm. Raises `ConfigError` for a scale that is not
    positive.

    >>> import torch
    >>> gaussian = Gaussian(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 2.0]))
    >>> gaussian.sample(3).shape, round(gaussian.log_prob(torch.zeros(2)).item(), 4)
    (torch.Size([3, 2]), -2.656)
    """

    loc: Tensor
    log_scale: Tensor

    def __init__(self, loc: Tensor, scale: Tensor, learn: bool = False):
        super().__init__()
        require_floats({"loc": loc, "scale": scale})
        if not (scale > 0).all():
            raise ConfigError(f"expected a positive scale, got one with minimum {scale.min().item():g}; "
                              "give standard deviations, not logarithms")  # fmt: skip
        try:
            loc, scale = (p.detach().clone() for p in torch.broadcast_tensors(loc, scale))
        except RuntimeError:
            raise ConfigError(f"expected loc and scale of one shape, got {tuple(loc.shape)} and {tuple(scale.shape)}; "
                              "give both the shape of an event") from None  # fmt: skip
        self.event_shape = loc.shape
        self.loc = nn.Parameter(loc) if learn else nn.Buffer(loc)
        self.log_scale = nn.Parameter(scale.log()) if learn else nn.Buffer(scale.log())

    @classmethod
    def standard(cls, event_shape: int | Sequence[int]) -> "Gaussian":
        """N(0, I) over events of this shape: the usual base of a flow.

        >>> Gaussian.standard((3, 8, 8)).event_shape
        torch.Size([3, 8, 8])
        """
        shape = as_size(event_shape)
        return cls(torch.zeros(shape), torch.ones(shape))

    @property
    def scale(self) -> Tensor:
        """The standard deviations, of the event shape."""
        return self.log_scale.exp()

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        return self.loc + self.scale * generator.normal(*self.event_shape, dtype=self.loc.dtype)

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        noise = ((x - self.loc) * (-self.log_scale).exp()).reshape(len(x), self.loc.numel())
        return -0.5 * noise.square().sum(1) - (self.log_scale.sum() + self.loc.numel() * _HALF_LOG_2PI)


@register
class FullGaussian(Distribution):
    """A multivariate normal: x = loc + scale_tril @ noise, with covariance scale_tril @ scale_tril'.

    `loc` is `(d,)`; `scale_tril` `(d, d)` is lower triangular with a positive diagonal, the Cholesky factor of the
    covariance (see `of_covariance`). With `learn=True` they become parameters, the diagonal by its logarithm.
    Raises `ConfigError` for a factor that is not square, not triangular, or singular.

    >>> import torch
    >>> gaussian = FullGaussian(torch.zeros(2), torch.tensor([[1.0, 0.0], [2.0, 3.0]]))
    >>> gaussian.covariance
    tensor([[ 1.,  2.],
            [ 2., 13.]])
    """

    loc: Tensor
    lower: Tensor
    log_diagonal: Tensor

    def __init__(self, loc: Tensor, scale_tril: Tensor, learn: bool = False):
        super().__init__()
        require_floats({"loc": loc, "scale_tril": scale_tril})
        if loc.ndim != 1 or scale_tril.shape != (*loc.shape, *loc.shape):
            raise ConfigError("expected loc of shape (d,) and scale_tril of shape (d, d), "
                              f"got {tuple(loc.shape)} and {tuple(scale_tril.shape)}; a factor is square")  # fmt: skip
        diagonal = scale_tril.diagonal()
        if not (diagonal > 0).all() or scale_tril.triu(1).any():
            raise ConfigError("expected a lower triangular scale_tril with a positive diagonal, got a singular or full "
                              "one; give the Cholesky factor, or use FullGaussian.of_covariance")  # fmt: skip
        self.event_shape = loc.shape
        wrap = nn.Parameter if learn else nn.Buffer
        self.loc = wrap(loc.detach().clone())
        self.lower = wrap(scale_tril.detach().tril(-1))
        self.log_diagonal = wrap(diagonal.detach().log())

    @classmethod
    def of_covariance(cls, loc: Tensor, covariance: Tensor, learn: bool = False) -> "FullGaussian":
        """Build from mean `(d,)` and covariance `(d, d)`. Raises `ConfigError` when it is not positive definite."""
        require_floats({"loc": loc, "covariance": covariance})
        square = covariance.ndim == 2 and covariance.shape[0] == covariance.shape[1]
        if not square or not torch.allclose(covariance, covariance.T):
            raise ConfigError(f"expected a symmetric covariance (d, d), got one of shape {tuple(covariance.shape)}; "
                              "symmetrise it with (covariance + covariance.T) / 2")  # fmt: skip
        factor, failed = torch.linalg.cholesky_ex(covariance)
        if failed:
            raise ConfigError("expected a positive definite covariance, got one whose leading block of order "
                              f"{int(failed)} is not; add a small multiple of the identity")  # fmt: skip
        return cls(loc, factor, learn)

    @property
    def scale_tril(self) -> Tensor:
        """The lower triangular factor of the covariance, `(d, d)`."""
        # tril again: gradient steps would otherwise fill the upper half of a learned factor.
        return self.lower.tril(-1) + torch.diag(self.log_diagonal.exp())

    @property
    def covariance(self) -> Tensor:
        """The covariance, `(d, d)`."""
        return self.scale_tril @ self.scale_tril.T

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        return self.loc + generator.normal(*self.event_shape, dtype=self.loc.dtype) @ self.scale_tril.T

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        noise = torch.linalg.solve_triangular(self.scale_tril, (x - self.loc).T, upper=False)
        return -0.5 * noise.square().sum(0) - (self.log_diagonal.sum() + self.loc.numel() * _HALF_LOG_2PI)
