"""From data to a model of rows in the user's units: what the flows of this folder share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from pushforward.core.bijection import Bijection
from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import Affine, Chain
from pushforward.parts.data import Table
from pushforward.parts.distributions import Dequantised, Flow, Gaussian


@dataclass(frozen=True)
class Columns:
    """What a flow must know of its data: widths, and for given data their scales, lattices and number of rows."""

    features: int
    condition: int
    loc: Tensor | None = None
    scale: Tensor | None = None
    steps: Tensor | None = None
    condition_loc: Tensor | None = None
    condition_scale: Tensor | None = None
    rows: int | None = None

    @classmethod
    def of(cls, data: Table | Tensor | None, features: int | None, condition: int | None) -> "Columns":
        """Read a table (or rows `(n, d)`), or take the widths when there are no data yet.

        Raises `ConfigError` unless exactly one of `data` and `features` is given, `DataError` for a column that never changes.
        """
        if (data is None) == (features is None):
            raise ConfigError(
                "expected data or features=, one of the two, got " + ("neither" if data is None else "both")
            )
        if data is None:
            if features is None or features < 1 or (condition or 0) < 0:
                raise ConfigError(
                    f"expected features of at least 1 and condition of at least 0, got {features} and {condition}"
                )
            return cls(features, condition or 0)
        table = data if isinstance(data, Table) else Table.of(data)
        given = table.condition
        width = 0 if given is None else given.shape[1]
        if condition not in (None, width):
            raise ConfigError(
                f"expected condition={width}, the width of the data's condition, got {condition}; leave it out, or use table.given(...)"
            )
        table.require_fittable()
        steps = torch.tensor([column.step for column in table.columns], dtype=table.values.dtype)
        # What the flow sees is x + u step: u moves the mean by step / 2 and adds the variance step^2 / 12.
        loc = table.values.mean(0) + steps / 2
        scale = (table.values.var(0) + steps.square() / 12).sqrt()
        if given is None:
            return cls(table.features, 0, loc, scale, steps, rows=len(table))
        return cls(table.features, width, loc, scale, steps, given.mean(0), given.std(0), len(table))

    def model(self, bijections: Sequence[Bijection], memory: str = "ordinary") -> Distribution:
        """The flow of these bijections (noise -> data), in the user's units, dequantised where columns are whole numbers."""
        units = [] if self.loc is None or self.scale is None else [Affine(self.loc, self.scale)]
        flow = Flow(
            Gaussian.standard(self.features),
            Chain([*bijections, *units], memory),
            self.condition_loc,
            self.condition_scale,
        )
        return flow if self.steps is None or not self.steps.any() else Dequantised(flow, self.steps)


FEW_ROWS = 500  # a column


def conditioner_size(
    columns: Columns, hidden: Sequence[int] | None, dropout: float | None
) -> tuple[Sequence[int], float]:
    """Hidden widths and dropout of the networks, chosen by the number of rows where they are not given.

    On about a thousand rows of wine, 12 columns, networks of 128 x 128 units learn the rows by heart within 150 steps;
    64 x 64 units with a fifth of them left out at random train ten times longer and score 0.7 nats better on other rows.
    Two columns need no such care, and dropout would blur them; the threshold between is a choice, not a measurement.
    """
    few = columns.rows is not None and columns.rows < FEW_ROWS * columns.features
    widths = hidden if hidden is not None else (64, 64) if few else (128, 128)
    return widths, dropout if dropout is not None else 0.2 if few else 0.0


def halves(features: int, layers: int, seed: int) -> list[list[bool]]:
    """Masks for coupling layers: random halves, each followed by its complement, so that two layers map every feature.

    >>> [sum(mask) for mask in halves(5, 4, seed=0)]
    [2, 3, 2, 3]
    >>> halves(1, 2, seed=0)
    [[False], [False]]
    """
    if layers < 1:
        raise ConfigError(f"expected at least 1 layer, got {layers}; 2 map every feature once")
    generator = torch.Generator().manual_seed(seed)
    masks: list[list[bool]] = []
    while len(masks) < layers:
        first = (torch.randperm(features, generator=generator) < features // 2).tolist()
        masks += [first, [not passes for passes in first] if features > 1 else first]
    return masks[:layers]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """First weights that depend on `seed`, with PyTorch's global generator left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
