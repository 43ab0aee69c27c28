"""The posterior of a Gaussian process, exact or from a few inducing points, for many contexts in one batch.

Exact (Rasmussen and Williams, 2006, http://gaussianprocess.org/gpml, algorithm 2.1), with K of the context and noise s^2:

    L L' = K + s^2 I,   mean = K* L^-T L^-1 y,   cov = K** - K* L^-T L^-1 K*',   log p(y) = -y'(K + s^2 I)^-1 y / 2 - log det L - ...

Sparse (Titsias, 2009, https://proceedings.mlr.press/v5/titsias09a.html): what the context says of the values at m inducing points, in
closed form, in O(N m^2) instead of O(N^3); its bound is log N(y; 0, Q + s^2 I) - tr(K - Q) / 2 s^2, with Q = K_nu K_uu^-1 K_un.

Points that are not real have zero rows and columns, and a one on the diagonal, so that they say nothing.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.linalg import solve_triangular

from pushforward.parts.data.covariances import factor


@dataclass(frozen=True)
class Exact:
    """What is known from contexts: `lower` `(n, m, m)` factors the covariance of y, and `white` `(n, m, y_dim)` is L^-1 y."""

    lower: Tensor
    white: Tensor
    mask: Tensor

    @classmethod
    def of(cls, covariance: Tensor, y: Tensor, mask: Tensor, noise: Tensor) -> "Exact":
        """Factor the covariance `(n, m, m)` of the noiseless values."""
        both = mask[:, :, None] & mask[:, None, :]
        diagonal = torch.where(mask, noise**2, 1.0)
        covariance = torch.where(both, covariance, 0.0)
        # In units of the largest variance, so that a jitter is relative to it.
        size = (
            (covariance.diagonal(dim1=-2, dim2=-1) + diagonal).detach().amax(-1).clamp(min=1e-300)
            if y.shape[1]
            else y.new_ones(len(y))
        )
        lower = factor((covariance + torch.diag_embed(diagonal)) / size[:, None, None]) * size[:, None, None].sqrt()
        y = torch.where(mask[..., None], y, 0.0)
        return cls(lower, solve_triangular(lower, y, upper=False), mask)

    def predict(self, cross: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and covariance at targets, from the covariance of context and targets and that of the targets."""
        a = solve_triangular(self.lower, torch.where(self.mask[..., None], cross, 0.0), upper=False)
        return a.mT @ self.white, prior - a.mT @ a

    def log_likelihood(self) -> Tensor:
        """log p(y) of each context, `(n,)`."""
        numbers = self.white.shape[-1]
        log_det = torch.where(self.mask, self.lower.diagonal(dim1=-2, dim2=-1).log(), 0.0).sum(-1)
        constant = 0.5 * math.log(2 * math.pi) * self.mask.sum(-1)
        return -0.5 * self.white.square().sum((-2, -1)) - numbers * (log_det + constant)


@dataclass(frozen=True)
class Sparse:
    """The same by `m` inducing points: `lower` `(m, m)` of them, `inner` `(n, m, m)` of I + A A' and `white` `(n, m, y_dim)`."""

    lower: Tensor
    inner: Tensor
    white: Tensor
    bound: Tensor

    @classmethod
    def of(cls, inducing: Tensor, cross: Tensor, variances: Tensor, y: Tensor, mask: Tensor, noise: Tensor) -> "Sparse":
        """From the covariances of the inducing points, of these and the context `(n, m, points)`, and the variances of the context."""
        y = torch.where(mask[..., None], y, 0.0)
        lower = factor(inducing)
        a = solve_triangular(lower, torch.where(mask[:, None], cross, 0.0), upper=False) / noise
        inner = factor(torch.eye(len(inducing)).to(a) + a @ a.mT)
        white = solve_triangular(inner, a @ y / noise, upper=False)
        count, numbers = mask.sum(-1), y.shape[-1]
        log_det = inner.diagonal(dim1=-2, dim2=-1).log().sum(-1) + count * noise.log()
        lost = (torch.where(mask, variances, 0.0).sum(-1) / noise**2 - a.square().sum((-2, -1))) / 2
        fit = 0.5 * (white.square().sum((-2, -1)) - (y / noise).square().sum((-2, -1)))
        return cls(lower, inner, white, fit - numbers * (log_det + lost + 0.5 * math.log(2 * math.pi) * count))

    def predict(self, cross: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and covariance at targets, from the covariance of inducing points and targets and that of the targets."""
        a = solve_triangular(self.lower, cross, upper=False)
        b = solve_triangular(self.inner, a, upper=False)
        return b.mT @ self.white, prior - a.mT @ a + b.mT @ b
