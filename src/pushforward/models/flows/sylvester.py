"""Sylvester flow. van den Berg, Hasenclever, Tomczak, Welling 2018, https://arxiv.org/abs/1803.05649."""

from collections.abc import Sequence

from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.parts.bijections import Sylvester
from pushforward.parts.data import Table

from .columns import Columns, seeded
from .facing import facing


def sylvester(
    data: Table | Tensor | None = None,
    *,
    features: int | None = None,
    condition: int | None = None,
    layers: int = 4,
    rank: int | None = None,
    kind: str = "orthogonal",
    hidden: Sequence[int] = (32,),
    fast: str = "density",
    seed: int = 0,
) -> Distribution:
    """`layers` planar bends in `rank` orthogonal directions at once, by default in as many as there are features.

    `kind` is "orthogonal", "householder" (as many reflections as bends) or "triangular" (the order of the features is
    reversed by turns), see `Sylvester`. `fast`, condition and `hidden` are as for `planar`; data and `seed` as for `realnvp`;
    it begins as the standardised Gaussian.

    Raises `ConfigError` for data and features both or neither, fewer than 1 layer, a rank above the features, another
    `kind` or `fast`; `DataError` for a column that never changes.

    >>> flow = sylvester(features=3, rank=2)
    >>> flow.log_prob(flow.sample(10)).shape
    torch.Size([10])
    """
    columns = Columns.of(data, features, condition)
    with seeded(seed):
        bends = [
            Sylvester(columns.features, rank, kind, None, i % 2 == 1, columns.condition, hidden) for i in range(layers)
        ]
    return columns.model(facing(bends, fast))
