"""Linear interpolation: straight lines from point to point. X on [t_k, t_{k+1}] depends on the points k and k + 1 alone.

The path of Kidger et al., 2020, https://arxiv.org/abs/2005.08926, with corners at the points.
"""

from jaxtyping import Bool, Float
from torch import Tensor

from .gaps import Fill, read_points
from .piecewise import PiecewisePolynomial, cubic_pieces


def linear(t: Float[Tensor, "*rows instants"], x: Float[Tensor, "n instants channels"],
           observed: Bool[Tensor, "n instants channels"] | None = None, *, fill: Fill = "between") -> PiecewisePolynomial:  # fmt: skip
    """The piecewise linear path through x `(n, T, channels)` at times t, `(T,)` or `(n, T)`.

    A number that is NaN, or False in `observed`, is missing. With `fill="between"` a channel goes straight from its
    observation before a gap to the one behind it, and keeps the first value before its first observation and the last
    after its last. With `fill="forward"` a missing number is the last one seen, or 0 before the first: then nothing
    depends on what comes after the next instant. Padding repeats a row's last time; the path is constant there.

    Raises `ShapeError` for shapes that do not fit, `DataError` for times that do not ascend.

    >>> import torch
    >>> path = linear(torch.tensor([0.0, 1.0, 3.0]), torch.tensor([[[1.0], [torch.nan], [4.0]]]))
    >>> path.evaluate(torch.tensor([2.0]))
    tensor([[3.]])
    """
    points = read_points(t, x, observed, fill)
    return straight(points.t, points.x)


def straight(t: Tensor, x: Tensor) -> PiecewisePolynomial:
    """Lines through x, none of which is missing."""
    slopes = secants(t, x)
    return PiecewisePolynomial(t, cubic_pieces(t, x, slopes, slopes))


def secants(t: Tensor, x: Tensor) -> Tensor:
    """(x_{i+1} - x_i) / (t_{i+1} - t_i), and 0 where that has no length: `(n, pieces, channels)`."""
    h = t.diff(dim=1).unsqueeze(-1)
    return (x.diff(dim=1) / h.where(h > 0, h.new_ones(()))).where(h > 0, x.new_zeros(()))
