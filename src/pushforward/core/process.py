"""`Process`: a map from a context set to a distribution over functions."""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Context:
    """Observed points of `n` functions: x `(n, points, x_dim)`, y `(n, points, y_dim)`, mask `(n, points)`.

    Sets of different length are padded; the mask is True where a point is real. An empty context has no real point. Where the
    numbers of y are observed apart, as the channels of a series are, the mask is `(n, points, y_dim)`.
    """

    x: Tensor
    y: Tensor
    mask: Tensor

    @classmethod
    def of(cls, x: Tensor, y: Tensor, mask: Tensor | None = None) -> "Context":
        """Build a context; without a mask every point is real."""
        return cls(x, y, torch.ones(x.shape[:-1], dtype=torch.bool, device=x.device) if mask is None else mask)


class Process(nn.Module):
    """A conditional process y = f(x) with random f, known at the points of a context."""

    x_dim: int
    y_dim: int

    @abstractmethod
    def predict(self, context: Context, x_target: Tensor) -> torch.distributions.Distribution:
        """The distribution of y at `x_target` `(n, targets, x_dim)`; its samples are `(n, targets, y_dim)`.

        Joint over the targets where the model has a joint; the class says which.
        """
