"""The natural cubic spline: two continuous derivatives, X'' = 0 at both ends; of all such paths the one of least int |X''|^2.

The slopes m solve 2 (1/h_{i-1} + 1/h_i) m_i + m_{i-1} / h_{i-1} + m_{i+1} / h_i = 3 (s_{i-1} / h_{i-1} + s_i / h_i) with
secants s. Every point moves the whole path, so it is not causal. Kidger et al., 2020, https://arxiv.org/abs/2005.08926.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .gaps import Fill, Points, read_points
from .piecewise import PiecewisePolynomial, cubic_pieces
from .tridiagonal import solve_tridiagonal


def natural_cubic(t: Float[Tensor, "*rows instants"], x: Float[Tensor, "n instants channels"],
                  observed: Bool[Tensor, "n instants channels"] | None = None, *,
                  fill: Fill = "between") -> PiecewisePolynomial:  # fmt: skip
    """The spline through x `(n, T, channels)` at times t, `(T,)` or `(n, T)`.

    A number that is NaN, or False in `observed`, is missing: the spline of a channel passes through its own
    observations only. At the instants before its first observation and after its last it passes through that one's value,
    so that it comes to rest there. With `fill="forward"` missing numbers are the last ones seen, and 0 before the first.
    Padding repeats a row's last time; the path is constant there.

    Raises `ShapeError` for shapes that do not fit, `DataError` for times that do not ascend.

    >>> path = natural_cubic(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([[[0.0], [1.0], [0.0]]]))
    >>> path.evaluate(torch.tensor([[0.5, 1.5]]))[..., 0]
    tensor([[0.6875, 0.6875]])
    """
    points = read_points(t, x, observed, fill)
    if bool((points.known == points.real[..., None]).all()) if x.device.type == "cpu" else False:
        slopes = _slopes(points.t.unsqueeze(-1), points.x)
        return PiecewisePolynomial(points.t, cubic_pieces(points.t, points.x, slopes[:, :-1], slopes[:, 1:]))
    return PiecewisePolynomial(points.t, _own_knots(points))


def _slopes(t: Tensor, x: Tensor) -> Tensor:
    """X' at the knots t `(n, T, channels or 1)`; padding, at the end, has slope 0."""
    h = t.diff(dim=1)
    rate = torch.where(h > 0, 1 / torch.where(h > 0, h, 1.0), 0.0)
    pull = 3 * rate.square() * x.diff(dim=1)
    none = torch.zeros_like
    diagonal = 2 * (torch.cat([none(rate[:, :1]), rate], 1) + torch.cat([rate, none(rate[:, :1])], 1))
    right = torch.cat([none(pull[:, :1]), pull], 1) + torch.cat([pull, none(pull[:, :1])], 1)
    return solve_tridiagonal(torch.where(diagonal > 0, diagonal, 1.0), rate, right)


def _own_knots(points: Points) -> Tensor:
    """Each channel's spline through its own knots, cut at all instants: coefficients `(n, pieces, 4, channels)`."""
    known, times = points.known, points.t[..., None].expand_as(points.x)
    # A channel's knots to the front, in order; behind them, its last one again and again.
    order = known.int().sort(dim=1, descending=True, stable=True).indices
    place = torch.arange(known.shape[1], device=known.device)[:, None]
    order = order.gather(1, torch.minimum(place, known.sum(1, keepdim=True) - 1))
    t, x = times.gather(1, order), points.x.gather(1, order)
    slopes = _slopes(t, x)
    pieces = cubic_pieces(t, x, slopes[:, :-1], slopes[:, 1:])
    piece = (known.cumsum(1)[:, :-1] - 1).clamp(max=pieces.shape[1] - 1)  # the one that each instant lies in
    a, b, c, d = pieces.gather(1, piece.unsqueeze(2).expand_as(pieces)).unbind(2)
    u = times[:, :-1] - t.gather(1, piece)
    moved = torch.stack([a + u * (b + u * (c + u * d)), b + u * (2 * c + 3 * u * d), c + 3 * u * d, d], 2)
    padding = (points.t.diff(dim=1) <= 0)[..., None]
    still = torch.stack([points.x[:, :-1], *(torch.zeros_like(d),) * 3], 2)
    return torch.where(padding.unsqueeze(2), still, moved)
