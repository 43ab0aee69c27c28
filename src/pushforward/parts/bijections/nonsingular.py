"""The check that the linear maps share: a triangular matrix has an inverse when no number of its diagonal is zero."""

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError


def positive_diagonal(log_diagonal: Tensor) -> Tensor:
    """exp(log_diagonal), `(features,)`; raises `ConfigError` where that is 0, infinite or NaN, for then nothing inverts it.

    >>> positive_diagonal(torch.zeros(2))
    tensor([1., 1.])
    """
    diagonal = log_diagonal.exp()
    bad = ~((diagonal > 0) & torch.isfinite(diagonal))
    if bad.any():
        place = int(bad.nonzero()[0])
        raise ConfigError(f"expected a matrix with an inverse, got {diagonal[place].item():g} on its diagonal at place {place}; "
                          "the map is singular there: train with a smaller step, or load other weights")  # fmt: skip
    return diagonal
