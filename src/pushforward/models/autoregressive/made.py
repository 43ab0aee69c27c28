"""MADE: a table's row, column by column, from one masked network (Germain, Gregor, Murray and Larochelle 2015,
https://arxiv.org/abs/1502.03509).

    log p(x) = sum_i log p(x_i | x_j for j before i),

exactly, and all columns in one evaluation. Of several orders the model is the mixture p(x) = 1/K sum_k p_k(x), whose logarithm
is never below the mean of the log p_k(x); in training each batch takes one of them, and all share the weights.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Size, Tensor, nn

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.objective import Loss, negative_log_likelihood
from pushforward.core.random import RowGenerator, mix
from pushforward.core.registry import register
from pushforward.parts.nn import MaskedColumns

from .columns import ColumnOutputs

if TYPE_CHECKING:
    from pushforward.core.objective import Objective

Given = Mapping[int, Any] | Mapping[str, Any] | Tensor


@register
class MADE(Distribution):
    """Rows whose columns are drawn one after the other, in one order or in a mixture of several.

    Args:
        columns: the output of each column, and its units.
        hidden, activation, orders, dropout: see `MaskedColumns`; an order lists the columns, the first one first.
        condition_levels: for each number of the condition, 0 if it is a measure, else how many classes it counts.
        condition_loc, condition_scale: of the condition's numbers, of the same length.
        names: of the columns, for `given`.

    `log_prob` is exact, in nats and in the user's units; where all columns are levels it is that of a probability, and -inf for
    a row that holds what is no level. A class that was never counted is encoded as none. Raises `ConfigError` for sizes that do not fit.

    >>> from pushforward.parts.distributions.outputs import Bernoulli
    >>> model = MADE(ColumnOutputs([Bernoulli()] * 3), hidden=[16])
    >>> rows = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    >>> round(model.log_prob(rows).exp().sum().item(), 5)
    1.0
    """

    reparameterised = False
    condition_loc: Tensor | None
    condition_scale: Tensor | None

    def __init__(self, columns: ColumnOutputs, hidden: Sequence[int] = (128, 128), activation: str = "relu",
                 orders: Sequence[Sequence[int]] | None = None, dropout: float = 0.0, condition_levels: Sequence[int] = (),
                 condition_loc: Tensor | None = None, condition_scale: Tensor | None = None,
                 names: Sequence[str] | None = None):  # fmt: skip
        super().__init__()
        count, given = len(columns.outputs), len(condition_levels)
        if names is not None and len(names) != count:
            raise ConfigError(f"expected a name for each of {count} columns, got {len(names)}; give one to each")
        for vector in (condition_loc, condition_scale):
            if vector is not None and vector.shape != (given,):
                raise ConfigError(
                    f"expected condition_loc and condition_scale of shape ({given},), got {tuple(vector.shape)}"
                )
        self.event_shape, self.condition_shape = Size((count,)), Size((given,)) if given else None
        self.columns, self.names = columns, list(names) if names is not None else None
        self.condition_levels = list(condition_levels)
        self.condition_loc, self.condition_scale = (
            None if vector is None else nn.Buffer(vector.detach().clone())
            for vector in (condition_loc, condition_scale)
        )
        width = sum(max(levels, 1) for levels in condition_levels)
        self.network = MaskedColumns(columns.widths, columns.sizes, hidden, activation, width, orders, dropout)

    @property
    def objective(self) -> "Objective":
        """The negative log likelihood, in training that of one order a batch."""
        return negative_log_likelihood if len(self.network.orders) == 1 else one_order_a_batch

    def log_prob_of_order(self, x: Tensor, condition: Tensor | None = None, order: int = 0) -> Tensor:
        """log p_k(x) of rows x `(n, columns)` for one of the orders: `(n,)`."""
        return self._each(self.columns.to_model(x), self._encoded(condition), order).sum(1) + self.columns.log_det()

    def sample(self, shape: int | Sequence[int] = (), condition: Tensor | None = None, *,
               generator: torch.Generator | None = None, given: Given | None = None, temperature: float = 1.0,
               top_p: float = 1.0) -> Tensor:  # fmt: skip
        """Draw `(*shape, *batch, columns)`, where `batch` is the batch shape of `condition`.

        Args:
            given: columns that are known, by number or name, or a tensor `(*any, k)` of the first k of the first order; values
                broadcast to the rows. Only orders in which they come first can be drawn from, each as probable as what it
                says of the known columns makes it: the exact conditional of the mixture of these orders.
            temperature: below 1 each column is drawn nearer to what is probable; see the outputs.
            top_p: the share of the mass of each column's levels to draw from, the most probable ones.

        Raises `ConfigError` where no order begins with the known columns, or a column is not known.
        """
        known = self._known(given)
        full, _ = self._batch_of(shape, condition)
        try:
            values = {i: torch.broadcast_to(v, full).reshape(-1) for i, v in known.items()}
        except RuntimeError:
            raise ShapeError(f"expected known values that broadcast to {tuple(full)}, the shape of the draws, got "
                             f"{[tuple(v.shape) for v in known.values()]}; ask for a shape that ends in theirs") from None  # fmt: skip

        def draw(condition: Tensor | None, rows: RowGenerator) -> Tensor:
            own = {i: v[rows.start : rows.start + rows.rows] for i, v in values.items()}
            return self._walk(condition, rows, own, temperature, top_p)

        with torch.no_grad():
            return self._draw(draw, shape, condition, generator)

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        with torch.no_grad():
            return self._walk(condition, generator, {}, 1.0, 1.0)

    def _probe(self, condition: Tensor | None) -> object:
        # A walk calls no submodule whose output could be measured; the evaluation for scores does.
        return self._log_prob(self.columns.to_user(torch.zeros_like(self.columns.loc)[None]), condition)

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        y, given = self.columns.to_model(x), self._encoded(condition)
        each = [self._each(y, given, order).sum(1) for order in range(len(self.network.orders))]
        return _log_mean_exp(torch.stack(each)) + self.columns.log_det()

    def _each(self, y: Tensor, given: Tensor | None, order: int) -> Tensor:
        """Log probabilities `(n, columns)` in the model's units."""
        return self.columns.log_prob(self.network(self.columns.encode(y), given, order), y)

    def _encoded(self, condition: Tensor | None) -> Tensor | None:
        if condition is None:
            return None
        condition = condition.to(self.columns.scale.dtype)
        if self.condition_loc is not None:
            condition = condition - self.condition_loc
        if self.condition_scale is not None:
            condition = condition / self.condition_scale
        pieces = [
            c[:, None] if not levels else (c[:, None] == torch.arange(levels, device=c.device)).to(c.dtype)
            for c, levels in zip(condition.unbind(1), self.condition_levels)
        ]
        return torch.cat(pieces, 1)

    def _known(self, given: Given | None) -> dict[int, Tensor]:
        """Known columns by number, in the model's units."""
        scale = self.columns.scale
        if isinstance(given, Tensor):
            first = self.network.orders[0]
            if given.ndim < 1 or given.shape[-1] > len(first):
                raise ShapeError(f"expected at most {len(first)} leading columns, got shape {tuple(given.shape)}")
            given = dict(zip(first, given.unbind(-1)))
        known: dict[int, Tensor] = {}
        for name, value in (given or {}).items():
            i = self.names.index(name) if self.names is not None and name in self.names else name
            if not isinstance(i, int) or not 0 <= i < len(scale):
                raise ConfigError(f"expected columns among {self.names or f'0 .. {len(scale) - 1}'}, got {name!r}")
            value = torch.as_tensor(value, dtype=scale.dtype, device=scale.device)
            known[i] = (value - self.columns.loc[i]) / scale[i]
        return known

    def _walk(self, condition: Tensor | None, generator: RowGenerator, known: Mapping[int, Tensor], temperature: float,
              top_p: float) -> Tensor:  # fmt: skip
        fitting = [k for k, order in enumerate(self.network.orders) if set(order[: len(known)]) == set(known)]
        if not fitting:
            raise ConfigError(f"expected known columns that come first in one of the orders {self.network.orders}, got "
                              f"{sorted(known)}; build the model with an order that begins with them")  # fmt: skip
        given, rows, columns = self._encoded(condition), generator.rows, self.columns
        chosen = generator.uniform(dtype=torch.float64)
        u = generator.uniform(len(columns.outputs), columns.uniforms, dtype=torch.float64)
        y = torch.empty(rows, len(columns.outputs), dtype=columns.scale.dtype, device=columns.scale.device)
        if len(fitting) == 1:
            return columns.to_user(self._walk_order(fitting[0], given, u, known, temperature, top_p))
        pick = self._pick(fitting, given, known, rows, chosen)
        for at, order in enumerate(fitting):
            mine = (pick == at).nonzero()[:, 0]
            own = {i: v[mine] for i, v in known.items()}
            part = None if given is None else given[mine]
            y[mine] = self._walk_order(order, part, u[mine], own, temperature, top_p)
        return columns.to_user(y)

    def _pick(
        self, fitting: Sequence[int], given: Tensor | None, known: Mapping[int, Tensor], rows: int, u: Tensor
    ) -> Tensor:
        """Which of the fitting orders each row is drawn by: w_k = p_k(known) / sum p(known)."""
        if not known:
            return (u * len(fitting)).long()
        at = list(known)
        y = self.columns.scale.new_zeros(rows, len(self.columns.outputs))
        for i, value in known.items():
            y[:, i] = value
        weights = torch.stack([self._each(y, given, k)[:, at].sum(1) for k in fitting], 1).softmax(1)
        return (weights.double().cumsum(1)[:, :-1] <= u[:, None]).sum(1)

    def _walk_order(self, order: int, given: Tensor | None, u: Tensor, known: Mapping[int, Tensor], temperature: float,
                    top_p: float) -> Tensor:  # fmt: skip
        sequence, columns = self.network.orders[order], self.columns
        drawn: dict[int, Tensor] = {}

        def step(place: int, parameters: Tensor) -> Tensor:
            i = sequence[place]
            output = columns.outputs[i]
            if i in known:
                value = known[i]
            else:
                share = top_p if output.nucleus else 1.0
                value = output.sample(parameters.T, u[:, i, : output.uniforms], temperature, share)
            drawn[i] = value
            return columns.encode_column(i, value)

        self.network.walk(given, order).forward(len(u), step)
        return torch.stack([drawn[i] for i in range(len(sequence))], 1)


def one_order_a_batch(model: MADE, batch: Any, generator: RowGenerator) -> Loss:
    """In training -E log p_k(x | condition) for an order k that the step's seed picks; else of the mixture of all."""
    if not model.training:
        return negative_log_likelihood(model, batch, generator)
    order = mix(generator.seed, 1) % len(model.network.orders)
    condition = batch.condition if model.condition_shape is not None else None
    return Loss(-model.log_prob_of_order(batch.x, condition, order).mean())


def _log_mean_exp(each: Tensor) -> Tensor:
    return each[0] if len(each) == 1 else each.logsumexp(0) - math.log(len(each))
