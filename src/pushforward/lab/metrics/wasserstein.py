r"""Wasserstein distance between two sets: the least cost of moving one onto the other.

    W_p^p = min over pairings pi of (1/n) sum_i |x_i - y_pi(i)|^p

Exact, not entropic: in one dimension by sorting, otherwise by the assignment problem (scipy), whose time grows as
n^3 at worst: about a second at 2,000 rows. Peyre and Cuturi 2019, https://arxiv.org/abs/1803.00567, chapter 2.
"""

import torch
from jaxtyping import Num
from torch import Tensor

from pushforward.core.errors import UserError

from .estimate import Estimate
from .rows import as_rows, distances, subsample, two_sets


def wasserstein(x: Num[Tensor, "n *event"], y: Num[Tensor, "m *event"], *, order: int = 2, max_rows: int = 2000,
                seed: int = 0) -> float:  # fmt: skip
    """W_p between the empirical distributions of two sets, `order` p, in the unit of the data.

    In more than one dimension both sets are sub-sampled with `seed` to the smaller of their sizes and `max_rows`.
    Two fresh samples of one distribution are not at distance zero: print `wasserstein_floor` beside it, at the same
    number of rows. Raises `UserError` for an order below 1.

    >>> wasserstein(torch.tensor([0.0, 1.0]), torch.tensor([3.0, 2.0]))
    2.0
    """
    from scipy.optimize import linear_sum_assignment

    if order < 1:
        raise UserError(f"expected an order of at least 1, got {order}; use 1 or 2")
    a, b = two_sets(x, y)
    if a.shape[1] == 1:
        return float(_by_sorting(a[:, 0], b[:, 0], order) ** (1 / order))
    rows = min(len(a), len(b), max_rows)
    a, b = subsample(a, rows, seed), subsample(b, rows, seed + 1)
    cost = distances(a, b).pow_(order).numpy()
    return float(cost[linear_sum_assignment(cost)].mean() ** (1 / order))


def wasserstein_floor(real: Num[Tensor, "n *event"], *, rows: int | None = None, repeats: int = 3, order: int = 2,
                      seed: int = 0) -> Estimate:  # fmt: skip
    """W_p between two disjoint samples of the real data, `rows` each: what a perfect model would score.

    The mean over `repeats` random splits, which share rows, so that its standard error is a little too small.
    `rows` is by default half the data, at most 2,000. Raises `UserError` when the data cannot give two such samples.
    """
    data = as_rows(real, "real")
    each = min(len(data) // 2, 2000) if rows is None else rows
    if each < 1 or 2 * each > len(data):
        raise UserError(
            f"expected twice {each} rows for two disjoint samples, got {len(data)}; ask for at most {len(data) // 2}"
        )
    values = []
    for repeat in range(repeats):
        shuffled = subsample(data, 2 * each, seed + repeat)
        order_of = torch.randperm(2 * each, generator=torch.Generator().manual_seed(seed + repeat))
        first, second = shuffled[order_of[:each]], shuffled[order_of[each:]]
        values.append(wasserstein(first, second, order=order, max_rows=each))
    return Estimate.of(torch.tensor(values, dtype=torch.float64))


def _by_sorting(x: Tensor, y: Tensor, order: int) -> Tensor:
    """Couple equal quantiles: int_0^1 |F_x^-1(u) - F_y^-1(u)|^p du, for sets of any two sizes."""
    n, m = len(x), len(y)
    # The quantile functions jump at i / n and j / m; counted in units of 1 / (n m) these are whole numbers.
    jumps = torch.cat([torch.arange(n) * m, torch.arange(1, m + 1) * n]).unique()
    start, width = jumps[:-1], jumps.diff()
    gap = (x.sort().values[start // m] - y.sort().values[start // n]).abs()
    return (gap**order * width).sum() / (n * m)
