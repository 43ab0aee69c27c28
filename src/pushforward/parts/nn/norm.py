"""Group normalisation with a sensible number of groups for any width.

Wu and He 2018, https://arxiv.org/abs/1803.08494.
A group is normalised within one row of the batch, so that no row sees another: what batch normalisation would break.
"""

import math

from torch import nn


def group_norm(width: int) -> nn.GroupNorm:
    """Up to eight groups of at least four channels each: a group of one value would be normalised to nothing.

    >>> [group_norm(width).num_groups for width in (1, 10, 32, 48)]
    [1, 2, 8, 4]
    """
    return nn.GroupNorm(math.gcd(8, max(1, width // 4), width), width)
