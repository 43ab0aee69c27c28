"""The coupling neural spline flow (Durkan et al. 2019, https://arxiv.org/abs/1906.04032)."""

from collections.abc import Sequence

from pushforward.core.distribution import Distribution
from pushforward.parts.bijections import Coupling, RationalQuadraticTransformer
from pushforward.parts.nn import MLP

from .columns import Columns, conditioner_size, halves, seeded


def spline_coupling(columns: Columns, layers: int, hidden: Sequence[int] | None, dropout: float | None, bins: int,
                    bound: float, memory: str, seed: int) -> Distribution:  # fmt: skip
    """`layers` couplings; random halves pass and change by turns.

    >>> spline_coupling(Columns(3, 0), 2, [16], 0.0, 4, 3.0, "ordinary", seed=0).sample(5).shape
    torch.Size([5, 3])
    """
    widths, left_out = conditioner_size(columns, hidden, dropout)
    transformer = RationalQuadraticTransformer(bins, bound)
    with seeded(seed):
        couplings = []
        for mask in halves(columns.features, layers, seed):
            passing = sum(mask)
            outputs = transformer.size * (columns.features - passing)
            net = MLP(passing, outputs, widths, "relu", columns.condition, zero_last=True, dropout=left_out)
            couplings.append(Coupling(mask, transformer, net))
    return columns.model(couplings, memory)
