"""Rectilinear interpolation: first time moves on, then the values jump to the new observation.

In the first half of [t_k, t_{k+1}] the leading channels (time) go to their new values while the others rest; in the second
half the others follow. What is known of a value never runs ahead of time's own channel, so that a model may predict
at any instant of a running series. Morrill et al., 2021, https://arxiv.org/abs/2106.11028.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pushforward.core.errors import ConfigError

from .gaps import read_points
from .linear import straight
from .piecewise import PiecewisePolynomial


def rectilinear(t: Float[Tensor, "*rows instants"], x: Float[Tensor, "n instants channels"],
                observed: Bool[Tensor, "n instants channels"] | None = None, *, leading: int = 0) -> PiecewisePolynomial:  # fmt: skip
    """The staircase through x `(n, T, channels)` at times t, `(T,)` or `(n, T)`, whose first `leading` channels go first.

    A missing number is the last one seen, or 0 before the first. The path has two pieces from each instant to the next.
    The halves are a way to walk along the staircase, which a controlled equation does not feel.

    Raises `ShapeError` for shapes that do not fit, `DataError` for times that do not ascend, `ConfigError` for more
    leading channels than there are.

    >>> path = rectilinear(torch.tensor([0.0, 1.0]), torch.tensor([[[0.0, 5.0], [1.0, 7.0]]]), leading=1)
    >>> path.evaluate(torch.tensor([0.5]))
    tensor([[1., 5.]])
    """
    if not 0 <= leading <= x.shape[-1]:
        raise ConfigError(
            f"expected 0 to {x.shape[-1]} leading channels, got {leading}; time is one channel, as a rule"
        )
    points = read_points(t, x, observed, "forward")
    t, x = points.t, points.x
    middle = torch.cat([x[:, 1:, :leading], x[:, :-1, leading:]], -1)
    corners = torch.stack([x[:, :-1], middle], 2).flatten(1, 2)
    times = torch.stack([t[:, :-1], torch.lerp(t[:, :-1], t[:, 1:], 0.5)], 2).flatten(1, 2)
    return straight(torch.cat([times, t[:, -1:]], 1), torch.cat([corners, x[:, -1:]], 1))
