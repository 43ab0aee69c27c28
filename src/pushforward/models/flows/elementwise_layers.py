"""Layers that differ in their elementwise map only: autoregressive in both orders by turns, or couplings of halves."""

from collections.abc import Callable, Sequence

from torch import Tensor

from pushforward.core.bijection import Bijection
from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import Coupling, MaskedAutoregressive
from pushforward.parts.bijections.elementwise import ElementwiseTransformer
from pushforward.parts.data import Table
from pushforward.parts.nn import MLP, MaskedMLP

from .columns import Columns, conditioner_size, halves, seeded

KINDS = ("autoregressive", "coupling")


def elementwise_flow(data: Table | Tensor | None, features: int | None, condition: int | None, build: Callable[[], ElementwiseTransformer],
                     layers: int, hidden: Sequence[int] | None, dropout: float | None, kind: str, seed: int) -> Distribution:  # fmt: skip
    """The flow of `layers` layers, each with a transformer of its own from `build` and a conditioner that begins at zero.

    Raises `ConfigError` for an unknown kind or fewer than 1 layer, and what `Columns.of` raises.
    """
    if kind not in KINDS:
        raise ConfigError(
            f"expected kind {' or '.join(map(repr, KINDS))}, got {kind!r}; the papers' flows are autoregressive"
        )
    columns = Columns.of(data, features, condition)
    widths, left_out = conditioner_size(columns, hidden, dropout)
    masks, places = halves(columns.features, layers, seed), list(range(columns.features))
    parts: list[Bijection] = []
    with seeded(seed):
        for layer, mask in enumerate(masks):
            transformer = build()
            if kind == "coupling":
                outputs = transformer.size * (columns.features - sum(mask))
                net = MLP(sum(mask), outputs, widths, "relu", columns.condition, zero_last=True, dropout=left_out)
                parts.append(Coupling(mask, transformer, net))
            else:
                order = places if layer % 2 else places[::-1]  # the layer beside the data comes last
                masked = MaskedMLP(
                    columns.features, transformer.size, widths, "relu", columns.condition, order, True, left_out
                )
                parts.append(MaskedAutoregressive(transformer, masked))
    return columns.model(parts)
