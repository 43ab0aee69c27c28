"""Does the model copy its training rows? Distances of samples to them, against those of held-out rows.

A model that learned the distribution lies as far from the training rows as fresh data do. One that memorised lies
nearer, and a rank test says so; one that misses the distribution lies further away. Meehan, Chaudhuri and Dasgupta
2020, https://arxiv.org/abs/2004.05675.
"""

from dataclasses import dataclass

from jaxtyping import Float, Int, Num
from torch import Tensor

from pushforward.core.errors import UserError

from .rows import nearest, subsample, two_sets


@dataclass(frozen=True)
class Neighbours:
    """For each sample, its `neighbours` nearest training rows: `index` and `distance`, nearest first.

    `ratio` is the median distance of samples to the training rows over that of held-out rows, and `p_value` that of
    a one-sided Mann-Whitney test: near 0 when samples lie nearer than fresh data do. None without held-out rows.
    """

    index: Int[Tensor, "n k"]
    distance: Float[Tensor, "n k"]
    held_out_distance: Float[Tensor, " m"] | None = None
    ratio: float | None = None
    p_value: float | None = None


def nearest_neighbours(samples: Num[Tensor, "n *event"], train: Num[Tensor, "t *event"],
                       held_out: Num[Tensor, "m *event"] | None = None, *, neighbours: int = 1, max_rows: int = 2000,
                       seed: int = 0) -> Neighbours:  # fmt: skip
    """Euclidean nearest training rows of every sample, and whether they are suspiciously near.

    Held-out rows beyond `max_rows` are sub-sampled with `seed`; samples never are. They should be drawn with the
    conditions that the held-out rows have, or the comparison is of conditions. Raises `UserError` when more
    neighbours are asked for than there are training rows.

    >>> import torch
    >>> train = torch.randn(200, 2)
    >>> copied = nearest_neighbours(train[:50] + 1e-3, train, torch.randn(200, 2))
    >>> copied.ratio < 0.1, copied.p_value < 1e-6
    (True, True)
    """
    from scipy.stats import mannwhitneyu

    a, b = two_sets(samples, train, ("samples", "train"))
    if not 1 <= neighbours <= len(b):
        raise UserError(f"expected between 1 and {len(b)} neighbours, the number of training rows, got {neighbours}")
    distance, index = nearest(a, b, neighbours)
    if held_out is None:
        return Neighbours(index, distance)
    fresh, _ = two_sets(held_out, train, ("held_out", "train"))
    reference = nearest(subsample(fresh, max_rows, seed), b, 1)[0][:, 0]
    ours, theirs = float(distance[:, 0].median()), float(reference.median())
    ratio = 1.0 if ours == theirs else ours / theirs if theirs > 0 else float("inf")
    p_value = float(mannwhitneyu(distance[:, 0].numpy(), reference.numpy(), alternative="less").pvalue)
    return Neighbours(index, distance, reference, ratio, p_value)
