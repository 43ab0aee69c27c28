"""A path that is a cubic polynomial between each two of its knots, every sample with knots of its own.

X(t) = a_i + b_i (t - t_i) + c_i (t - t_i)^2 + d_i (t - t_i)^3 for t in [t_i, t_{i+1}], and constant before and after.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.core.errors import ShapeError
from pushforward.core.registry import register


@register
class PiecewisePolynomial:
    """Knots `(n, pieces + 1)`, which do not descend, and coefficients `(n, pieces, 4, channels)`: a, b, c, d of each piece.

    Pieces without length are padding: they come last and are never looked at. At a knot the derivative is that of the
    piece to the right; at the last knot, of the last piece.

    >>> line = PiecewisePolynomial(torch.tensor([[0.0, 2.0]]), torch.tensor([[[[1.0], [3.0], [0.0], [0.0]]]]))
    >>> line.evaluate(torch.tensor([[-1.0, 0.5, 2.0, 9.0]]))[..., 0], line.derivative(torch.tensor([0.5]))
    (tensor([[1.0000, 2.5000, 7.0000, 7.0000]]), tensor([[3.]]))
    """

    def __init__(self, knots: Float[Tensor, "n knots"], coefficients: Float[Tensor, "n pieces 4 channels"]):
        if coefficients.shape[:3] != (len(knots), knots.shape[1] - 1, 4) or knots.shape[1] < 2:
            raise ShapeError(f"expected knots (n, pieces + 1) and coefficients (n, pieces, 4, channels) with at least one piece, "
                             f"got {tuple(knots.shape)} and {tuple(coefficients.shape)}; give a, b, c, d of every piece")  # fmt: skip
        self.knots, self.coefficients = knots, coefficients
        self.lengths = knots.diff(dim=1)
        self._last = ((self.lengths > 0).sum(1, keepdim=True) - 1).clamp(min=0)  # the last piece with a length
        self._ordered = knots.detach().contiguous()

    @property
    def channels(self) -> int:
        """How many numbers X(t) has."""
        return self.coefficients.shape[-1]

    def evaluate(self, t: Float[Tensor, "n *m"]) -> Float[Tensor, "n *m channels"]:
        """X(t), row i at the time t[i], or at the times t[i, :]."""
        u, (a, b, c, d), _ = self._pieces(t)
        return (a + u * (b + u * (c + u * d))).reshape(*t.shape, self.channels)

    def derivative(self, t: Float[Tensor, "n *m"]) -> Float[Tensor, "n *m channels"]:
        """dX/dt; zero before the first knot and after the last."""
        u, (_, b, c, d), outside = self._pieces(t)
        slope = (b + u * (2 * c + 3 * u * d)).masked_fill(outside, 0.0)
        return slope.reshape(*t.shape, self.channels)

    def moves(self, parts: Sequence[float], steps: int = 1) -> Float[Tensor, "parts moves n channels"]:
        """h dX/dt within equal steps of length h, `steps` a piece, at each of the `parts` of a step, numbers in [0, 1].

        All that a method of fixed steps asks of the path, found without a search.
        """
        _, b, c, d = self.coefficients.unbind(2)
        h = self.lengths.unsqueeze(-1)
        first, second, third = b * h, 2 * c * h**2, 3 * d * h**3
        place = (torch.arange(steps).unsqueeze(1) + torch.tensor(parts, dtype=torch.float64)) / steps
        u = place.to(h)[..., None, None, None]  # (steps, parts, 1, 1, 1)
        slopes = (first + u * (second + u * third)) / steps  # (steps, parts, n, pieces, channels)
        return slopes.permute(1, 3, 0, 2, 4).flatten(1, 2)

    def _pieces(self, t: Tensor) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        """Time since the start of the piece, `(n, m, 1)`, its coefficients, and which times lie outside of the knots."""
        if t.shape[:1] != self.knots.shape[:1]:
            raise ShapeError(f"expected times (n,) or (n, m) for n = {len(self.knots)} paths, got {tuple(t.shape)}; "
                             "give each path its times")  # fmt: skip
        when = t.reshape(len(t), -1)
        first, last = self.knots[:, :1], self.knots[:, -1:]
        inside = torch.minimum(torch.maximum(when, first), last)
        index = torch.searchsorted(self._ordered, inside.detach().contiguous(), right=True) - 1
        index = torch.minimum(index, self._last).clamp(min=0)
        place = index[..., None, None].expand(*index.shape, 4, self.channels)
        u = (inside - self.knots.gather(1, index)).unsqueeze(-1)
        return u, self.coefficients.gather(1, place).unbind(2), ((when < first) | (when > last)).unsqueeze(-1)


def cubic_pieces(t: Tensor, x: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Coefficients `(n, pieces, 4, channels)` of the cubics through x with the slopes `start` and `end` at their ends.

    t is `(n, pieces + 1)`, or `(n, pieces + 1, channels)` for knots of each channel. A piece without length is constant.
    """
    h = (t if t.ndim == 3 else t.unsqueeze(-1)).diff(dim=1)
    real = h > 0
    h = torch.where(real, h, 1.0)
    secant = x.diff(dim=1) / h
    c = (3 * secant - 2 * start - end) / h
    d = (start + end - 2 * secant) / h**2
    b = start.expand_as(secant)
    return torch.stack([x[:, :-1], *(torch.where(real, part, 0.0) for part in (b, c, d))], 2)
