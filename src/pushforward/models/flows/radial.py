"""Radial flow. Rezende and Mohamed 2015, https://arxiv.org/abs/1505.05770."""

from collections.abc import Sequence

from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.parts.bijections import Radial
from pushforward.parts.data import Table

from .columns import Columns, seeded
from .facing import facing


def radial(
    data: Table | Tensor | None = None,
    *,
    features: int | None = None,
    condition: int | None = None,
    layers: int = 10,
    hidden: Sequence[int] = (32,),
    fast: str = "density",
    seed: int = 0,
) -> Distribution:
    """`layers` contractions to a centre, or expansions from it.

    Both directions are closed forms here; `fast` says which of them is the paper's formula, and the other solves a
    quadratic. A condition moves centres, radii and strengths through networks with `hidden` units. Data, condition and
    `seed` are as for `realnvp`; it begins as the standardised Gaussian.

    Raises `ConfigError` for data and features both or neither, fewer than 1 layer, or another `fast`; `DataError` for a
    column that never changes.

    >>> flow = radial(features=3)
    >>> flow.log_prob(flow.sample(10)).shape
    torch.Size([10])
    """
    columns = Columns.of(data, features, condition)
    with seeded(seed):
        pulls = [Radial(columns.features, columns.condition, hidden) for _ in range(layers)]
    return columns.model(facing(pulls, fast))
