"""Cubic Hermite interpolation with backward differences: smooth, and it does not look ahead.

The slope at point i is (x_i - x_{i-1}) / (t_i - t_{i-1}); at the first point, that of the first piece. So X on
[t_k, t_{k+1}] depends on the points up to k + 1, and X' is continuous. Morrill, Kidger, Yang and Lyons, 2021, Neural
controlled differential equations for online prediction tasks, https://arxiv.org/abs/2106.11028.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .gaps import Fill, read_points
from .linear import secants
from .piecewise import PiecewisePolynomial, cubic_pieces


def hermite(t: Float[Tensor, "*rows instants"], x: Float[Tensor, "n instants channels"],
            observed: Bool[Tensor, "n instants channels"] | None = None, *, fill: Fill = "between") -> PiecewisePolynomial:  # fmt: skip
    """The path through x `(n, T, channels)` at times t, `(T,)` or `(n, T)`, with backward differences for slopes.

    Missing numbers are filled first, as `linear` does it: with `fill="between"` by a line, which knows the channel's next
    observation; with `fill="forward"` by the last one seen, which knows nothing ahead.

    Raises `ShapeError` for shapes that do not fit, `DataError` for times that do not ascend.

    >>> path = hermite(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([[[0.0], [1.0], [1.0]]]))
    >>> path.derivative(torch.tensor([[0.0, 1.0, 2.0]]))[..., 0]
    tensor([[1., 1., 0.]])
    """
    points = read_points(t, x, observed, fill)
    slopes = secants(points.t, points.x)
    before = torch.cat([slopes[:, :1], slopes[:, :-1]], 1)
    return PiecewisePolynomial(points.t, cubic_pieces(points.t, points.x, before, slopes))
