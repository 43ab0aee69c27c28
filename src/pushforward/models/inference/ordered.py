"""Increasing numbers from free ones: x_1 = z_1, x_k = x_(k-1) + exp(z_k), so log abs det = z_2 + ... + z_k.

The support that `torch.distributions` lacks, in its own terms, so that it stands beside those of `biject_to`.
"""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Transform, constraints


class _OrderedSupport(constraints.Constraint):
    """Vectors whose numbers increase."""

    event_dim = 1

    def check(self, value: Tensor) -> Any:
        """Whether the numbers of each vector increase."""
        return (value.diff(dim=-1) > 0).all(-1)

    def __repr__(self) -> str:
        """As it is written in a target."""
        return "ordered"


ORDERED = _OrderedSupport()


class Ordered(Transform):
    """z to increasing x along the last dimension.

    >>> Ordered()(torch.tensor([0.5, 0.0, 0.0]))
    tensor([0.5000, 1.5000, 2.5000])
    """

    domain = constraints.real_vector
    codomain = ORDERED
    bijective = True

    def _call(self, x: Tensor) -> Tensor:
        return torch.cat([x[..., :1], x[..., 1:].exp()], -1).cumsum(-1)

    def _inverse(self, y: Tensor) -> Tensor:
        return torch.cat([y[..., :1], y.diff(dim=-1).log()], -1)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The sum of all but the first number."""
        return x[..., 1:].sum(-1)
