r"""Maximum mean discrepancy: how far apart two sets lie in the feature space of a Gaussian kernel.

    MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y),    k(x, y) = exp(-|x - y|^2 / (2 h^2))

Gretton, Borgwardt, Rasch, Schoelkopf and Smola 2012, https://jmlr.org/papers/v13/gretton12a.html.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Num
from torch import Tensor

from pushforward.core.errors import UserError

from .rows import distances, subsample, two_sets


@dataclass(frozen=True)
class Discrepancy:
    """`squared` estimates MMD^2 without bias, so it may be negative; `p_value` is None when no test was asked for."""

    squared: float
    bandwidth: float
    p_value: float | None


def mmd(x: Num[Tensor, "n *event"], y: Num[Tensor, "m *event"], *, bandwidth: float | None = None,
        permutations: int = 0, max_rows: int = 1000, seed: int = 0) -> Discrepancy:  # fmt: skip
    """Unbiased MMD^2 with a Gaussian kernel, and the p-value of a permutation test of equality.

    `bandwidth` h is by default the median distance over all pairs of the pooled rows, which keeps the estimate
    unbiased at zero, and the test exact, when both sets come from one distribution. Sets larger than `max_rows` are
    sub-sampled with `seed`: time and memory grow as (n + m)^2. The least p-value is 1 / (permutations + 1).
    Raises `UserError` for fewer than two rows.

    >>> close = mmd(torch.randn(100, 2), torch.randn(100, 2) + 3, permutations=99)
    >>> close.squared > 0.1, close.p_value
    (True, 0.01)
    """
    a, b = two_sets(x, y)
    a, b = subsample(a, max_rows, seed), subsample(b, max_rows, seed + 1)
    n, m = len(a), len(b)
    if min(n, m) < 2:
        raise UserError(f"expected at least two rows in each set, got {n} and {m}; pass more")
    pooled = torch.cat([a, b])
    squares = distances(pooled, pooled).square_()
    h = _median_distance(squares) if bandwidth is None else bandwidth
    kernel = squares.div_(-2 * h * h).exp_().fill_diagonal_(0)  # i = j never enters: that is what makes it unbiased

    members = torch.zeros(n + m, 1 + permutations, dtype=torch.float64)
    members[:n, 0] = 1
    generator = torch.Generator().manual_seed(seed)
    for column in range(1, 1 + permutations):
        members[torch.randperm(n + m, generator=generator)[:n], column] = 1
    within = ((kernel @ members) * members).sum(0)
    to_all = kernel.sum(1) @ members
    between, rest = to_all - within, kernel.sum() - 2 * to_all + within
    squared = within / (n * (n - 1)) + rest / (m * (m - 1)) - 2 * between / (n * m)
    p_value = float((squared >= squared[0]).double().mean()) if permutations else None
    return Discrepancy(float(squared[0]), h, p_value)


def _median_distance(squares: Tensor) -> float:
    above = squares[torch.triu_indices(len(squares), len(squares), 1).unbind()]
    median = float(above.median().sqrt())
    if median == 0:  # more than half the pairs coincide (categories): the mean is still a scale
        median = float(above.sqrt().mean())
    return median or 1.0
