"""A density made to score numbers on a lattice, such as integers: uniform dequantisation.

For a column on the lattice {0, +-step, ...} the model's probability of a value is P(x) = int_0^1 p(x + u step) step du.
By Jensen, log P(x) >= E_u log p(x + u step) + log step (Theis et al. 2016, https://arxiv.org/abs/1511.01844); with k
draws, log P(x) >= E log (1/k) sum_i p(x + u_i step) + log step, which is tighter (Burda et al. 2016,
https://arxiv.org/abs/1509.00519; Ho et al. 2019, https://arxiv.org/abs/1902.00275).
"""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pushforward.core.data import Batch
from pushforward.core.distribution import Distribution
from pushforward.core.objective import Loss
from pushforward.core.random import RowGenerator
from pushforward.core.registry import dtype_of, register
from pushforward.core.shapes import match_dtype

from .lattice import in_cell, log_cell, noise_of_rows, require_lattice, require_steps, round_down

if TYPE_CHECKING:
    from pushforward.core.objective import Objective

    from .check_report import CheckReport


@register
class Dequantised(Distribution):
    """A continuous `model`, read as a distribution of numbers that lie on a lattice in some places of the event.

    `steps`, of the event shape, is the spacing of the lattice at each place, and 0 where numbers are continuous. So
    `log_prob` is in nats of a *probability* for lattice places and of a *density* for the others: a lower bound, with
    `samples` draws of the noise that depend on the row's values and nothing else, so that a row has one score in every
    batch. `sample` rounds down to the lattice. Training (`objective`) uses one fresh draw a row.

    Raises `ConfigError` for steps that are negative, of another shape or all zero, and in `log_prob` `DataError` for
    numbers that are not on the lattice.

    >>> from pushforward.parts.distributions import Uniform
    >>> byte = Dequantised(Uniform(torch.zeros(1), torch.full((1,), 256.0)), torch.ones(1))
    >>> bits = -byte.log_prob(torch.arange(256.0)[:, None]) / math.log(2)
    >>> bits.min().item(), bits.max().item()
    (8.0, 8.0)
    """

    steps: Tensor

    def __init__(self, model: Distribution, steps: Tensor, samples: int = 16):
        super().__init__()
        require_steps(steps, model.event_shape, samples)
        self.event_shape, self.condition_shape = model.event_shape, model.condition_shape
        self.condition_optional = model.condition_optional
        self.log_prob_kind, self.reparameterised = (
            "lower_bound" if model.log_prob_kind in ("exact", "lower_bound") else model.log_prob_kind,
            False,
        )
        self.model, self.samples = model, samples
        self.steps = nn.Buffer(steps.detach().clone())

    @property
    def objective(self) -> "Objective":
        """Minus the bound of one draw a row: an unbiased gradient of what training should raise."""
        return one_draw_bound

    def check(self, x: Tensor, condition: Tensor | None = None) -> "CheckReport":
        """`Flow.check` of the flow inside, with every row of x in the middle of its cell."""
        from .check import check_in_cells

        return check_in_cells(self, x, condition)

    def spread(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """A continuous row in the cell of each row of x, given uniform u, both `(n, *event)`, and log of the cell's volume.

        The log density of the one, plus the other, is the bound of one draw.
        """
        return in_cell(x, u, self.steps), log_cell(self.steps)

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        return round_down(self.model._sample(condition, generator), self.steps)

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        require_lattice(x, self.steps)
        n, k = len(x), self.samples
        rows = in_cell(x[:, None], noise_of_rows(x, k), self.steps).flatten(0, 1)
        given = None if condition is None else condition.repeat_interleave(k, 0)
        log_p = self.model._log_prob(rows, given).reshape(n, k)
        return torch.logsumexp(log_p, 1) - math.log(k) + log_cell(self.steps)

    def _probe(self, condition: Tensor | None) -> object:
        return self._log_prob(
            torch.zeros(1, *self.event_shape, dtype=self.steps.dtype, device=self.steps.device), condition
        )


def one_draw_bound(model: Dequantised, batch: Batch, generator: RowGenerator) -> Loss:
    """-(E_u log p(x + u step) + log step), with one u a row."""
    x = match_dtype(batch.x, dtype_of(model))
    y, log_volume = model.spread(x, generator.uniform(*model.event_shape, dtype=x.dtype))
    return Loss(
        -(model.model.log_prob(y, batch.condition if model.condition_shape is not None else None).mean() + log_volume)
    )
