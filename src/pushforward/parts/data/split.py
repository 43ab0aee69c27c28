"""Rows divided at random, the same way on every machine.

A row's place is the rank of one 64-bit word of PCG64 (O'Neill, 2014, https://www.pcg-random.org), whose bit stream numpy
promises never to change (NEP 19; `Generator.permutation` carries no such promise), and all that follows is integer
arithmetic. With labels, rows are put in order of label first and each part takes its share at even steps, so that every
part has each class in proportion, to within one row for every part.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pushforward.core.errors import ConfigError, DataError


def split_rows(count: int, fractions: Sequence[float], seed: int = 0, labels: Tensor | None = None) -> list[Tensor]:
    """Row numbers of each part, shuffled; together every one of `range(count)` once.

    Raises `ConfigError` for fractions that are not positive or do not sum to 1, `DataError` if a part would be empty.

    >>> [part.tolist() for part in split_rows(5, (0.6, 0.4))]
    [[2, 0, 4], [3, 1]]
    """
    sizes = _sizes(count, fractions)
    if seed < 0:
        raise ConfigError(f"expected a seed of zero or more, got {seed}; choose another")
    keys = np.random.PCG64(seed).random_raw(count)
    order = np.argsort(keys, kind="stable")
    rank = np.empty(count, dtype=np.int64)
    rank[order] = np.arange(count)
    rest = order if labels is None else order[np.argsort(labels.cpu().numpy()[order], kind="stable")]
    parts = []
    for size in sizes:
        # Row k of the rest is taken where floor(k * size / rest) steps up: exactly `size` of them, evenly spaced.
        taken = np.diff(np.arange(len(rest) + 1, dtype=np.int64) * size // len(rest)) > 0
        part, rest = rest[taken], rest[~taken]
        parts.append(torch.from_numpy(part[np.argsort(rank[part])]))
    return parts


def _sizes(count: int, fractions: Sequence[float]) -> list[int]:
    if not fractions or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ConfigError(f"expected positive fractions that sum to 1, got {tuple(fractions)} with sum {sum(fractions):g}; "
                          "for example (0.8, 0.1, 0.1)")  # fmt: skip
    ends = np.floor(np.cumsum(fractions) * count + 0.5 + 1e-9).astype(np.int64)
    ends[-1] = count
    sizes = np.diff(ends, prepend=0).tolist()
    if min(sizes) < 1:
        raise DataError(f"expected enough rows to divide into parts of {tuple(fractions)}, got {count}, which leaves part "
                        f"{sizes.index(min(sizes)) + 1} empty; use more rows or fewer parts")  # fmt: skip
    return sizes
