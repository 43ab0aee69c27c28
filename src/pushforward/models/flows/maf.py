"""Masked autoregressive flow. Papamakarios, Pavlakou, Murray 2017, https://arxiv.org/abs/1705.07057."""

from collections.abc import Sequence

from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.parts.bijections import AffineTransformer, MaskedAutoregressive
from pushforward.parts.data import Table
from pushforward.parts.nn import MaskedMLP

from .columns import Columns, conditioner_size, seeded
from .orders import turned


def maf(
    data: Table | Tensor | None = None,
    *,
    features: int | None = None,
    condition: int | None = None,
    layers: int = 5,
    hidden: Sequence[int] | None = None,
    dropout: float | None = None,
    activation: str = "relu",
    seed: int = 0,
) -> Distribution:
    """`layers` maps x_i = z_i exp(s_i) + t_i, with s_i and t_i from the features before i; each layer turns the order.

    The density is one evaluation of each network; a draw walks along the features, for about the price of one more. The
    layer next to the data has the features in their own order. There is no normalisation over the batch as the paper has
    between layers: scales are bounded, and no row sees another. Data, condition, `hidden`, `dropout` and `seed` are as for
    `realnvp`; it begins as the standardised Gaussian.

    Raises `ConfigError` for data and features both or neither, or fewer than 1 layer; `DataError` for a column that
    never changes.

    >>> flow = maf(features=3, condition=2)
    >>> import torch
    >>> flow.sample(4, torch.zeros(5, 2)).shape
    torch.Size([4, 5, 3])
    """
    columns = Columns.of(data, features, condition)
    widths, left_out = conditioner_size(columns, hidden, dropout)
    transformer, width = AffineTransformer(), columns.condition
    with seeded(seed):
        networks = [MaskedMLP(columns.features, 2, widths, activation, width, order, zero_last=True, dropout=left_out)
                    for order in turned(columns.features, layers)]  # fmt: skip
    return columns.model([MaskedAutoregressive(transformer, network) for network in networks])
