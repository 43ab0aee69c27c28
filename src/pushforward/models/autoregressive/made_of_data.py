"""From a table to a MADE: the output of each column by its kind, units, orders, first weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError, DataError
from pushforward.models.flows.columns import seeded
from pushforward.parts.data import Table
from pushforward.parts.distributions.outputs import Bernoulli, Categorical, LogisticMixture, NormalMixture, Output

from .columns import ColumnOutputs
from .made import MADE

KINDS = ("binary", "categorical", "logistic", "gaussian", "mixture")
MOST_LEVELS = 64  # of a categorical column, unless asked for
MOST_CLASSES = 16  # of a number of the condition that is read as a class


def made(
    data: Table | Tensor,
    *,
    outputs: Sequence[str] | None = None,
    orders: int = 1,
    first: Sequence[str] = (),
    hidden: Sequence[int] | None = None,
    activation: str = "relu",
    dropout: float | None = None,
    components: int = 8,
    seed: int = 0,
) -> MADE:
    """A masked autoregressive density of a table: exact log probabilities of levels, densities of other numbers.

    Args:
        data: a table (or rows `(n, columns)`), perhaps with a condition; whole numbers there with few values are read as classes.
        outputs: for each column (or one for all) "binary" (two values), "categorical" (whole numbers from the smallest to the
            largest), "logistic" (whole numbers, many: a discretised mixture, that leaves room on both sides), "gaussian" or
            "mixture"; by default what suits the column.
        orders: how many; the first is that of the columns, the others are random. With 1 the model is one product of
            conditionals, with more the mixture of them over the same weights.
        first: names of columns that stand first in every order, so that `sample(given=...)` can know them.
        hidden: widths of the network; by default by the number of columns and rows.
        activation, dropout: of its hidden units; by default a fifth are left out where rows are few.
        components: of the mixtures.
        seed: of the orders and the first weights.

    The first conditionals are near the frequencies in the data. Raises `ConfigError` for outputs, names or sizes that do not
    fit, `DataError` for a column that its output cannot hold.

    >>> table = Table.of([[i % 2, i % 3, i / 7] for i in range(60)])
    >>> model = made(table, hidden=[16])
    >>> [type(output).__name__ for output in model.columns.outputs]
    ['Bernoulli', 'Categorical', 'NormalMixture']
    """
    table = data if isinstance(data, Table) else Table.of(data)
    if len(table) < 2:
        raise DataError(f"expected at least 2 rows to fit to, got {len(table)}; add rows")
    if orders < 1 or components < 1:
        raise ConfigError(f"expected at least 1 order and component, got {orders} and {components}; 1 order is usual")
    count = table.features
    kinds = _kinds(table, outputs)
    fits = [_fit(kind, table.values[:, i], table.names[i], components) for i, kind in enumerate(kinds)]
    columns = ColumnOutputs(
        [fit.output for fit in fits], torch.tensor([fit.loc for fit in fits]), torch.tensor([fit.scale for fit in fits])
    )
    few = len(table) < 100 * count
    width = min(512, max(64, 4 * count))
    levels, loc, scale = _condition(table)
    with seeded(seed):
        model = MADE(columns, (width, width) if hidden is None else hidden, activation,
                     _orders(count, orders, [_number(table, name) for name in first], seed),
                     dropout if dropout is not None else 0.2 if few else 0.0, levels, loc, scale, list(table.names))  # fmt: skip
    with torch.no_grad():
        model.network.biases[-1].copy_(torch.cat([fit.start for fit in fits]))
        model.network.weights[-1].mul_(0.1)
    return model


@dataclass(frozen=True)
class _Fit:
    output: Output
    loc: float
    scale: float
    start: Tensor  # parameters of the column on its own


def _kinds(table: Table, outputs: Sequence[str] | None) -> list[str]:
    if outputs is None:
        return [_kind_of(table.values[:, i]) if column.kind == "integer" else "mixture"
                for i, column in enumerate(table.columns)]  # fmt: skip
    names = [outputs] if isinstance(outputs, str) else list(outputs)
    names = names * table.features if len(names) == 1 else names
    if len(names) != table.features or any(name not in KINDS for name in names):
        raise ConfigError(
            f"expected an output among {', '.join(KINDS)} for each of {table.features} columns, got {names}"
        )
    return names


def _kind_of(values: Tensor) -> str:
    if len(values.unique()) <= 2:
        return "binary"
    return "categorical" if float(values.max() - values.min()) < MOST_LEVELS else "logistic"


def _fit(kind: str, x: Tensor, name: str, components: int) -> _Fit:
    low, high = float(x.min()), float(x.max())
    if kind in ("gaussian", "mixture"):
        if low == high:
            raise DataError(f"expected column {name!r} to change from row to row, got {low:g} in every row; drop it")
        output = NormalMixture(1 if kind == "gaussian" else components)
        loc, scale = float(x.mean()), float(x.std())
        k = output.components
        middle = torch.linspace(0.5 / k, 1 - 0.5 / k, k)
        means = ((torch.quantile(x[:1_000_000], middle) - loc) / scale).to(torch.float32)
        start = torch.cat([torch.zeros(0 if k == 1 else k), means if k > 1 else torch.zeros(1),
                           torch.full((k,), 0.0 if k == 1 else -0.7)])  # fmt: skip
        return _Fit(output, loc, scale, start)
    if kind == "binary":
        if not ((x == low) | (x == high)).all():
            raise DataError(
                f"expected two values in the binary column {name!r}, got {len(x.unique())}; call it categorical"
            )
        # Half a row is added to either value, so that none is impossible; a column of one value keeps it as its 0 (or 1).
        scale = high - low if high > low else 1.0
        loc = low if high > low or low != 1.0 else 0.0
        yes = float(((x - loc) / scale).sum())
        return _Fit(Bernoulli(), loc, scale, torch.tensor([(yes + 0.5) / (len(x) - yes + 0.5)]).log())
    if (x != x.round()).any():
        raise DataError(f"expected whole numbers in the {kind} column {name!r}; round them or use 'mixture'")
    if kind == "categorical":
        levels = max(int(high - low) + 1, 2)
        seen = torch.bincount((x - low).long(), minlength=levels)
        return _Fit(Categorical(levels), low, 1.0, ((seen + 0.5) / (len(x) + levels / 2)).log().to(torch.float32))
    # Half the range is left on both sides for numbers that no row has yet; counts stay counts.
    reach = max(high - low, 1.0)
    bottom = max(0.0, low - (reach // 2)) if low >= 0 else low - (reach // 2)
    output = LogisticMixture(components, int(high + reach // 2 - bottom) + 1)
    middle = torch.quantile(x[:1_000_000], torch.linspace(0.5 / components, 1 - 0.5 / components, components))
    means = 2 * (middle - bottom) / (output.levels - 1) - 1
    width = max(float(x.std()) / components, 0.5) * 2 / (output.levels - 1)
    start = torch.cat([torch.zeros(components), means, torch.full((components,), width).log()])
    return _Fit(output, bottom, 1.0, start.to(torch.float32))


def _condition(table: Table) -> tuple[list[int], Tensor | None, Tensor | None]:
    """Classes (0 for a measure), loc and scale of each number of the condition."""
    given = table.condition
    if given is None:
        return [], None, None
    levels: list[int] = []
    loc, scale = given.mean(0), given.std(0).clamp(min=1e-12)
    for j, c in enumerate(given.unbind(1)):
        low, high = float(c.min()), float(c.max())
        whole = bool((c == c.round()).all()) and high - low < MOST_CLASSES
        levels.append(int(high - low) + 1 if whole else 0)
        if whole:
            loc[j], scale[j] = low, 1.0
    return levels, loc, scale


def _orders(count: int, orders: int, first: list[int], seed: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    rest = [i for i in range(count) if i not in first]
    shuffled = [torch.randperm(len(rest), generator=generator).tolist() for _ in range(orders - 1)]
    return [first + rest, *(first + [rest[j] for j in places] for places in shuffled)]


def _number(table: Table, name: str) -> int:
    if name not in table.names:
        raise ConfigError(
            f"expected names of columns in first, got {name!r}; choose among {', '.join(table.names[:16])}"
        )
    return table.names.index(name)
