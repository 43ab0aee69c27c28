"""Neural spline flow. Durkan, Bekasov, Murray, Papamakarios 2019, https://arxiv.org/abs/1906.04032."""

from collections.abc import Sequence

from torch import Tensor

from ...core.distribution import Distribution
from ...parts.bijections import Coupling, RationalQuadraticTransformer
from ...parts.data import Table
from ...parts.nn import MLP
from .columns import Columns, halves, seeded


def neural_spline(data: Table | Tensor | None = None, *, features: int | None = None, condition: int | None = None,
                  layers: int = 6, hidden: Sequence[int] = (128, 128), bins: int = 8, bound: float = 5.0,
                  kind: str = "coupling", seed: int = 0) -> Distribution:  # fmt: skip
    columns = Columns.of(data, features, condition)
    transformer = RationalQuadraticTransformer(bins, bound)
    with seeded(seed):
        couplings = []
        for mask in halves(columns.features, layers, seed):
            passing = sum(mask)
            outputs = transformer.size * (columns.features - passing)
            couplings.append(
                Coupling(mask, transformer, MLP(passing, outputs, hidden, "relu", columns.condition, zero_last=True))
            )
    return columns.model(couplings)
