"""The autoregressive neural spline flow (Durkan et al. 2019, https://arxiv.org/abs/1906.04032, section 3.2)."""

from collections.abc import Sequence

from pushforward.core.distribution import Distribution
from pushforward.parts.bijections import MaskedAutoregressive, RationalQuadraticTransformer
from pushforward.parts.nn import MaskedMLP

from .columns import Columns, conditioner_size, seeded
from .orders import turned


def spline_autoregressive(columns: Columns, layers: int, hidden: Sequence[int] | None, dropout: float | None, bins: int,
                          bound: float, seed: int) -> Distribution:  # fmt: skip
    """`layers` masked autoregressive maps; orders are random, in pairs of which one is the other's reverse.

    >>> spline_autoregressive(Columns(3, 0), 2, [16], 0.0, 4, 3.0, seed=0).sample(5).shape
    torch.Size([5, 3])
    """
    widths, left_out = conditioner_size(columns, hidden, dropout)
    transformer, width = RationalQuadraticTransformer(bins, bound), columns.condition
    with seeded(seed):
        networks = [MaskedMLP(columns.features, transformer.size, widths, "relu", width, order, zero_last=True, dropout=left_out)
                    for order in turned(columns.features, layers, seed)]  # fmt: skip
    return columns.model([MaskedAutoregressive(transformer, network) for network in networks])
