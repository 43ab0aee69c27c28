"""NICE: additive couplings and one scaling. Dinh, Krueger, Bengio 2015, https://arxiv.org/abs/1410.8516."""

from collections.abc import Sequence

from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import AdditiveTransformer, Coupling, Diagonal
from pushforward.parts.data import Table
from pushforward.parts.nn import MLP

from .columns import Columns, conditioner_size, seeded


def nice(
    data: Table | Tensor | None = None,
    *,
    features: int | None = None,
    condition: int | None = None,
    layers: int = 4,
    hidden: Sequence[int] | None = None,
    dropout: float | None = None,
    memory: str = "ordinary",
    seed: int = 0,
) -> Distribution:
    """`layers` couplings x_b = z_b + m(z_a), odd and even features by turns, then a learned scale for each feature.

    Additive and nothing else: volume changes by the scales alone, the same everywhere. Four layers are the paper's; its
    networks of 5 x 1000 units are smaller here. Data, condition, `hidden`, `dropout`, `memory` and `seed` are as for `realnvp`;
    it begins as the standardised Gaussian.

    Raises `ConfigError` for data and features both or neither, or fewer than 1 layer; `DataError` for a column that
    never changes.

    >>> flow = nice(features=3)
    >>> flow.log_prob(flow.sample(10)).shape
    torch.Size([10])
    """
    if layers < 1:
        raise ConfigError(f"expected at least 1 layer, got {layers}; 4 are the paper's")
    columns = Columns.of(data, features, condition)
    widths, left_out = conditioner_size(columns, hidden, dropout)
    couplings = []
    with seeded(seed):
        for layer in range(layers):
            mask = [i % 2 == layer % 2 and columns.features > 1 for i in range(columns.features)]
            passing = sum(mask)
            net = MLP(passing, columns.features - passing, widths, "relu", columns.condition, zero_last=True, dropout=left_out)  # fmt: skip
            couplings.append(Coupling(mask, AdditiveTransformer(), net))
    return columns.model([*couplings, Diagonal(columns.features)], memory)
