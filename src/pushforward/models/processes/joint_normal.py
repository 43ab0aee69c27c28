"""Normal predictions of a function at many places at once: what is likely at one place depends on the others.

y_d ~ N(m_d, s_d^2 K) for each number d of y, independent over d; K is the matrix of covariances between places.
"""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.distributions import Distribution, constraints

from pushforward.core.errors import ShapeError
from pushforward.parts.data.covariances import factor


class JointNormal(Distribution):
    """A joint normal over (targets, y_dim), with mean `(n, targets, y_dim)` and the covariance of targets `(n, targets, targets)`.

    `scale` `(y_dim,)` is a factor of each number of y. The covariance may be singular up to rounding; `log_prob` and draws then take the
    least jitter that helps, at most 1e-6 of its largest variance.

    >>> joint = JointNormal(torch.zeros(1, 2, 1), torch.eye(2)[None], torch.ones(1))
    >>> joint.log_prob(torch.zeros(1, 2, 1))
    tensor([-1.8379])
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (the base class asks for it)
    support: Any = constraints.independent(constraints.real, 2)
    has_rsample = True

    def __init__(self, mean: Float[Tensor, "n targets y_dim"], covariance: Float[Tensor, "n targets targets"],
                 scale: Float[Tensor, " y_dim"]):  # fmt: skip
        self.loc, self._covariance, self._scale = mean, covariance, scale
        self._lower: Tensor | None = None
        super().__init__(mean.shape[:1], mean.shape[1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The mean at each target, `(n, targets, y_dim)`."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The variance at each target, `(n, targets, y_dim)`."""
        diagonal = self._covariance.diagonal(dim1=-2, dim2=-1).clamp(min=0)
        return (diagonal[..., None] * self._scale.double() ** 2).to(self.loc)

    @property
    def covariance_matrix(self) -> Tensor:
        """Covariances between targets, for each number of y: `(n, y_dim, targets, targets)`."""
        return (self._covariance[:, None] * self._scale.double()[:, None, None] ** 2).to(self.loc)

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Whole functions, `(*sample_shape, n, targets, y_dim)`."""
        return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Whole functions, with gradients."""
        e = torch.randn(self._extended_shape(torch.Size(sample_shape)), dtype=torch.float64, device=self.loc.device)
        return self.loc + (self._factor() @ e * self._scale).to(self.loc)

    def log_prob(self, value: Float[Tensor, "n targets y_dim"]) -> Float[Tensor, " n"]:
        """log p of all targets together, summed over the numbers of y."""
        return self.log_prob_where(value, torch.ones(value.shape[:-1], dtype=torch.bool, device=value.device))

    def log_prob_where(
        self, value: Float[Tensor, "n targets y_dim"], mask: Bool[Tensor, "n targets"]
    ) -> Float[Tensor, " n"]:
        """log p of the targets where the mask is True, together, whatever the others are: functions of different length."""
        if value.shape != self.loc.shape:
            raise ShapeError(
                f"expected values of shape {tuple(self.loc.shape)}, got {tuple(value.shape)}; give each target one"
            )
        both = mask[:, :, None] & mask[:, None, :]
        # Leaving out rows and columns of a covariance is the marginal; ones on the diagonal in their place add nothing.
        lower = self._factor() if bool(mask.all()) else _factor(torch.where(both, self._covariance, 0.0), mask)
        z = torch.where(mask[..., None], (value - self.loc).double() / self._scale.double(), 0.0)
        white = torch.linalg.solve_triangular(lower, z, upper=False)
        log_det = torch.where(mask, lower.diagonal(dim1=-2, dim2=-1).log(), 0.0).sum(-1)
        count, numbers = mask.sum(-1), value.shape[-1]
        constant = count * (0.5 * numbers * math.log(2 * math.pi) + self._scale.double().log().sum())
        return (-0.5 * white.square().sum((-2, -1)) - numbers * log_det - constant).to(self.loc)

    def _factor(self) -> Tensor:
        if self._lower is None:
            n, targets = self.loc.shape[:2]
            self._lower = _factor(self._covariance, torch.ones(n, targets, dtype=torch.bool, device=self.loc.device))
        return self._lower


def _factor(covariance: Tensor, mask: Tensor) -> Tensor:
    """In units of the largest variance, so that the jitter is relative to it."""
    if not mask.shape[1]:
        return covariance
    diagonal = covariance.diagonal(dim1=-2, dim2=-1)
    size = diagonal.amax(-1).clamp(min=torch.finfo(covariance.dtype).tiny ** 0.5)[:, None, None]
    rest = torch.diag_embed((~mask).to(covariance))
    return factor(covariance / size + rest) * size.sqrt()
