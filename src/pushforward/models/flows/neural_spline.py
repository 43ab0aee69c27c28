"""Neural spline flow. Durkan, Bekasov, Murray, Papamakarios 2019, https://arxiv.org/abs/1906.04032."""

from collections.abc import Sequence

from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import Coupling, RationalQuadraticTransformer
from pushforward.parts.data import Table
from pushforward.parts.nn import MLP

from .columns import Columns, conditioner_size, halves, seeded


def neural_spline(
    data: Table | Tensor | None = None,
    *,
    features: int | None = None,
    condition: int | None = None,
    layers: int = 6,
    hidden: Sequence[int] | None = None,
    dropout: float | None = None,
    bins: int = 8,
    bound: float = 5.0,
    kind: str = "coupling",
    seed: int = 0,
) -> Distribution:
    """`layers` couplings whose elementwise map is a rational-quadratic spline of `bins` bins on [-bound, bound].

    The bound is in standard deviations when built from data; what lies beyond passes unchanged, so heavy tails stay
    Gaussian there and finite. Data, condition, `hidden`, `dropout` and `seed` are as for `realnvp`; it begins as the
    standardised Gaussian. `kind` is "coupling".

    Raises `ConfigError` for data and features both or neither, fewer than 1 layer or another kind; `DataError` for a
    column that never changes.

    >>> flow = neural_spline(features=3)
    >>> flow.log_prob(flow.sample(10)).shape
    torch.Size([10])
    """
    if kind != "coupling":
        raise ConfigError(f"expected kind 'coupling', got {kind!r}; leave it out")
    columns = Columns.of(data, features, condition)
    widths, left_out = conditioner_size(columns, hidden, dropout)
    transformer = RationalQuadraticTransformer(bins, bound)
    with seeded(seed):
        couplings = []
        for mask in halves(columns.features, layers, seed):
            passing = sum(mask)
            outputs = transformer.size * (columns.features - passing)
            net = MLP(passing, outputs, widths, "relu", columns.condition, zero_last=True, dropout=left_out)
            couplings.append(Coupling(mask, transformer, net))
    return columns.model(couplings)
