"""Precision and recall of a generator: how much of it is real-looking, and how much of the real data it reaches.

Each set is surrounded by balls that reach to the k-th neighbour of every row within its own set. Precision is the
share of generated rows inside the balls of the real ones, recall the share of real rows inside those of the generated.
Kynkaanniemi, Karras, Laine, Lehtinen and Aila 2019, https://arxiv.org/abs/1904.06991.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Num
from torch import Tensor

from pushforward.core.errors import UserError

from .rows import distances, nearest, subsample, two_sets


@dataclass(frozen=True)
class PrecisionRecall:
    """Two shares between 0 and 1. Two samples of one distribution score alike, and below 1."""

    precision: float
    recall: float


def precision_recall(real: Num[Tensor, "n *event"], generated: Num[Tensor, "m *event"], *, neighbours: int = 3,
                     max_rows: int = 5000, seed: int = 0) -> PrecisionRecall:  # fmt: skip
    """Share of generated rows in the k-nearest-neighbour manifold of the real ones, and the reverse.

    For images pass features, not pixels. Both sets are sub-sampled with `seed` to the smaller of their sizes and
    `max_rows`, since the balls shrink with the number of rows. Raises `UserError` for too few rows.

    >>> precision_recall(torch.randn(50, 2), torch.randn(50, 2) + 100)
    PrecisionRecall(precision=0.0, recall=0.0)
    """
    a, b = two_sets(real, generated, ("real", "generated"))
    rows = min(len(a), len(b), max_rows)
    if neighbours < 1 or rows <= neighbours:
        raise UserError(f"expected more rows than neighbours (1 or more), got {rows} and {neighbours}; pass more rows")
    a, b = subsample(a, rows, seed), subsample(b, rows, seed + 1)
    return PrecisionRecall(precision=_share_inside(b, a, neighbours), recall=_share_inside(a, b, neighbours))


def _share_inside(points: Tensor, centres: Tensor, neighbours: int) -> float:
    radius = nearest(centres, centres, neighbours + 1)[0][:, -1]  # the first neighbour of a row is the row itself
    inside = [(distances(p, centres) <= radius).any(1) for p in points.split(1024)]
    return float(torch.cat(inside).double().mean())
