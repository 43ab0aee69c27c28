"""Neural spline flows: of couplings, autoregressive (Durkan et al. 2019, https://arxiv.org/abs/1906.04032), of angles."""

from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.parts.data import Table

from .columns import Columns
from .spline_autoregressive import spline_autoregressive
from .spline_circular import spline_circular
from .spline_coupling import spline_coupling

Kind = Literal["coupling", "autoregressive", "circular"]


def neural_spline(
    data: Table | Tensor | None = None,
    *,
    features: int | None = None,
    condition: int | None = None,
    layers: int = 6,
    hidden: Sequence[int] | None = None,
    dropout: float | None = None,
    bins: int = 8,
    bound: float | None = None,
    kind: str = "coupling",
    memory: str = "ordinary",
    seed: int = 0,
) -> Distribution:
    """`layers` maps whose elements are rational-quadratic splines of `bins` bins on [-bound, bound], 5 unless given.

    `kind` is "coupling"; or "autoregressive", where every feature is mapped in every layer, by all features before it: a
    better fit for its size, and slower draws; or "circular", for columns that are all angles in radians: the density is
    then on the torus, without a seam, from a uniform base, and no bound applies. The paper has 10 layers and a bound of 3
    for its tables.

    The bound is in standard deviations when built from data; what lies beyond passes unchanged, so heavy tails stay
    Gaussian there and finite. Data, condition, `hidden`, `dropout`, `memory` (of couplings) and `seed` are as for
    `realnvp`; it begins as the
    standardised Gaussian, or uniform on the circle.

    Raises `ConfigError` for data and features both or neither, fewer than 1 layer, another kind, or columns that cannot be
    angles in radians; `DataError` for a column that never changes.

    >>> flow = neural_spline(features=3)
    >>> flow.log_prob(flow.sample(10)).shape
    torch.Size([10])
    >>> bool(neural_spline(features=2, kind="circular").sample(10).abs().max() <= 3.1416)
    True
    """
    if kind not in get_args(Kind):
        raise ConfigError(f"expected kind {' or '.join(map(repr, get_args(Kind)))}, got {kind!r}")
    if memory != "ordinary" and kind != "coupling":
        raise ConfigError(
            f"expected memory 'ordinary' for kind {kind!r}, got {memory!r}; only couplings are rebuilt at a low price"
        )
    columns = Columns.of(data, features, condition)
    if kind == "circular":
        if bound is not None:
            raise ConfigError(f"expected no bound for angles, which have none, got {bound:g}; leave it out")
        table = data if data is None or isinstance(data, Table) else Table.of(data)
        return spline_circular(columns, table, layers, hidden, dropout, bins, seed)
    box = 5.0 if bound is None else bound
    if kind == "coupling":
        return spline_coupling(columns, layers, hidden, dropout, bins, box, memory, seed)
    return spline_autoregressive(columns, layers, hidden, dropout, bins, box, seed)
