"""Planar flow. Rezende and Mohamed 2015, https://arxiv.org/abs/1505.05770."""

from collections.abc import Sequence

from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.parts.bijections import Planar
from pushforward.parts.data import Table

from .columns import Columns, seeded
from .facing import facing


def planar(
    data: Table | Tensor | None = None,
    *,
    features: int | None = None,
    condition: int | None = None,
    layers: int = 10,
    hidden: Sequence[int] = (32,),
    fast: str = "density",
    seed: int = 0,
) -> Distribution:
    """`layers` bends u tanh(w'. + b), each along one direction.

    A bend costs one pass one way and a monotone root the other. With `fast="density"` they go from data to noise, and
    maximum likelihood is cheap; `fast="sampling"` is the paper's setting, variational inference, where draws and their
    log_prob are (`rsample_and_log_prob`). A condition moves u, w and b through networks with `hidden` units. The paper
    stacks 2 to 80. Data, condition and `seed` are as for `realnvp`; it begins as the standardised Gaussian.

    Raises `ConfigError` for data and features both or neither, fewer than 1 layer, or another `fast`; `DataError` for a
    column that never changes.

    >>> flow = planar(features=3)
    >>> flow.log_prob(flow.sample(10)).shape
    torch.Size([10])
    """
    columns = Columns.of(data, features, condition)
    with seeded(seed):
        bends = [Planar(columns.features, columns.condition, hidden) for _ in range(layers)]
    return columns.model(facing(bends, fast))
