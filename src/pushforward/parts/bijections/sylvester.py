"""Sylvester flow layer: x = z + Q R h(R~ Q'z + b). van den Berg et al. 2018, https://arxiv.org/abs/1803.05649.

Sylvester's identity det(I_D + A B) = det(I_M + B A) takes the determinant of a D x D Jacobian to M x M; with Q'Q = I and
R, R~ upper triangular the small one is triangular too: det = prod_i (1 + h'_i r~_ii r_ii).
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Size, Tensor

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError, ConvergenceError
from pushforward.core.registry import register
from pushforward.core.solved import Solved

from .amortised import Amortised
from .low_rank import above_minus_one, tanh_slope, unbend
from .orthogonal import reflect

SylvesterKind = Literal["orthogonal", "householder", "triangular"]


@register
class Sylvester(Bijection):
    """x = z + Q R tanh(R~ Q'z + b): M = `rank` bends at once, in the directions of the orthonormal columns of Q.

    `kind` says what Q `(features, rank)` is: "orthogonal", a free matrix made orthonormal; "householder", columns of a
    product of `reflections` (by default `rank`) Householder reflections; "triangular", columns of the identity, or with
    `reverse` of the reversed one, to be used by turns. The diagonals are kept at r_ii r~_ii > -1, as in `Planar`, which
    is the case M = 1 with u along w. The inverse solves M monotone equations, from the last to the first, differentiably.
    With a `condition`, all parameters are moved by a network of it, with `hidden` units. It begins as the identity, R = 0.

    Raises `ConfigError` for a rank not in 1 .. features, another kind or fewer than 1 reflection; `ConvergenceError` in
    use, should columns of the free matrix of "orthogonal" depend on each other.

    >>> layer = Sylvester(5, rank=2)
    >>> z = torch.randn(4, 5)
    >>> bool(torch.allclose(layer.inverse(layer(z)[0])[0], z))
    True
    """

    def __init__(self, features: int, rank: int | None = None, kind: str = "orthogonal", reflections: int | None = None,
                 reverse: bool = False, condition: int = 0, hidden: Sequence[int] = (32,)):  # fmt: skip
        super().__init__()
        m = features if rank is None else rank
        count = m if reflections is None else reflections
        if kind not in get_args(SylvesterKind) or not 1 <= m <= features or count < 1:
            raise ConfigError(f"expected a kind among {', '.join(get_args(SylvesterKind))}, a rank in 1 .. {features} and at least 1 reflection, "
                              f"got {kind!r}, {m} and {count}; the rank is the number of directions that are bent")  # fmt: skip
        self.event_shape = self.output_shape = Size((features,))
        self.condition_shape = Size((condition,)) if condition else None
        self.inverse_kind = "iterative"
        self.solved: Solved | None = None
        self.rank, self.kind, self.count, self.reverse = m, kind, count, reverse
        basis = {"orthogonal": features * m, "householder": count * features, "triangular": 0}[kind]
        self.sizes = [basis, m, m, m * (m - 1) // 2, m * (m - 1) // 2, m]
        start = [torch.randn(basis), torch.zeros(m), torch.ones(m), *map(torch.zeros, self.sizes[3:5]), torch.randn(m)]
        self.numbers = Amortised(torch.cat(start), condition, hidden)

    def constrained(self, condition: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Q `(n, features, M)`, R and R~ `(n, M, M)`, b and the products r_ii r~_ii > -1 `(n, M)`; n is 1 without condition."""
        basis, outer, inner, above_outer, above_inner, b = self.numbers(condition).split(self.sizes, 1)
        product, ratio = above_minus_one(outer * inner)
        return self._columns(basis), _upper(outer * ratio, above_outer), _upper(inner, above_inner), b, product

    def _columns(self, basis: Tensor) -> Tensor:
        d, m = self.event_shape[0], self.rank
        if self.kind == "orthogonal":
            q, r = torch.linalg.qr(basis.reshape(len(basis), d, m))
            size = r.detach().diagonal(dim1=1, dim2=2)
            if not (size.abs() > 0).all():
                raise ConvergenceError("expected the columns of Q to be independent before they are made orthonormal, got some that are not; "
                                       "train with a smaller step, or take kind 'householder'")  # fmt: skip
            # LAPACK's signs jump where a column crosses a plane; those of Gram and Schmidt do not.
            return q * size.sign()[:, None]
        first = torch.eye(d, dtype=basis.dtype, device=basis.device)[:m]
        if self.kind == "triangular":
            return (first.flip(1) if self.reverse else first).T[None]
        rows = first.expand(len(basis), m, d)
        return reflect(rows, basis.reshape(len(basis), self.count, d)).transpose(1, 2)

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        q, outer, inner, b, product = self.constrained(condition)
        a = _times(_times(z, q), inner.transpose(1, 2)) + b
        x = z + _times(_times(torch.tanh(a), outer.transpose(1, 2)), q.transpose(1, 2))
        return x, torch.log1p(product * tanh_slope(a)).sum(1)

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        q, outer, inner, b, product = self.constrained(condition)
        # y = v + R tanh(R~ v + b) for v = Q'z: row i of it has v_i alone, once the later ones are known.
        y, reports = _times(x, q), []
        v, bent, places = x.new_empty(len(x), 0), x.new_empty(len(x), 0), x.new_empty(len(x), 0)
        for i in reversed(range(self.rank)):
            shift = b[:, i] + (inner[:, i, i + 1 :] * v).sum(1)
            target = y[:, i] - (outer[:, i, i + 1 :] * bent).sum(1)
            root, solved = unbend(target, outer[:, i, i], inner[:, i, i], shift, product[:, i])
            a = inner[:, i, i] * root + shift
            v, bent, places = (torch.cat([new[:, None], old], 1) for new, old in ((root, v), (torch.tanh(a), bent), (a, places)))  # fmt: skip
            reports.append(solved)
        self.solved = Solved(sum(s.iterations for s in reports), max(s.residual for s in reports))
        z = x - _times(_times(bent, outer.transpose(1, 2)), q.transpose(1, 2))
        return z, -torch.log1p(product * tanh_slope(places)).sum(1)


def _times(rows: Tensor, matrices: Tensor) -> Tensor:
    """`(n, d)` by one matrix `(1, d, m)` for all rows, or by one for each `(n, d, m)`."""
    if len(matrices) == 1:
        return rows @ matrices[0]
    return (rows[:, None] @ matrices)[:, 0]


def _upper(diagonal: Tensor, above: Tensor) -> Tensor:
    m = diagonal.shape[1]
    matrix = torch.diag_embed(diagonal)
    rows, columns = torch.triu_indices(m, m, 1, device=diagonal.device)
    return matrix.index_put((torch.arange(len(matrix), device=diagonal.device)[:, None], rows, columns), above)
