"""Dequantisation that is learned: the noise in a cell follows a density q(u | x) instead of the uniform one.

log P(x) = log E_q [p(x + u step) prod step / q(u | x)] >= E_q [log p(x + u step) + log step - log q(u | x)]  for any q
with support [0, 1)^D, with equality where q(u | x) is the model's own density in the cell; with k draws the average
of the ratios is taken before the logarithm, which is tighter (Ho et al. 2019, https://arxiv.org/abs/1902.00275,
equations 12 and 13; Burda et al. 2016, https://arxiv.org/abs/1509.00519).

Here u = sigmoid(v), v = noise(z; x), and z = logit(w) with w uniform: z is logistic, so where `noise` is the identity u is
w, log q is 0, and the bound is that of uniform dequantisation. So log q(u | x) = log s(z) - log abs det dv/dz - log s(v)
with s = sigmoid'.
"""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from pushforward.core.bijection import Bijection
from pushforward.core.data import Batch
from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.core.objective import Loss
from pushforward.core.random import RowGenerator
from pushforward.core.registry import dtype_of, register
from pushforward.core.shapes import flatten_batch, match_dtype, sum_event

from .lattice import in_cell, log_cell, noise_of_rows, require_lattice, require_steps, round_down

if TYPE_CHECKING:
    from pushforward.core.objective import Objective

    from .check_report import CheckReport


@register
class VariationalDequantised(Distribution):
    """A continuous `model`, read as a distribution of numbers on a lattice, with learned noise in the cells.

    `steps` are as for `Dequantised`. `noise` is any bijection whose events are those of the model where every place is on
    the lattice, and otherwise vectors of the lattice places alone, in order. Where it takes a condition, that is the row
    (x + steps / 2 - loc) / scale, all places of it, of the event's shape or flattened: `noise.condition_shape` says which.
    `loc` and `scale` broadcast to an event and bring the rows to about unit size; they are copied. The condition of the
    model, if there is one, is not shown to the noise.

    `log_prob` is a lower bound with `samples` draws that are a function of the row's values, so that a row has one score in
    every batch; `sample` rounds down; training (`objective`) raises the bound of one fresh draw a row, in model and noise
    at once. `noise` is only run forward.

    Raises `ConfigError` for steps that are no lattice, a noise of other shapes, or a scale that is not positive, and in
    `log_prob` `DataError` for numbers that are not on the lattice.

    >>> from pushforward.parts.bijections import AffineTransformer, Coupling
    >>> from pushforward.parts.distributions import Uniform
    >>> from pushforward.parts.nn import MLP
    >>> noise = Coupling([False], AffineTransformer(), MLP(0, 2, (8,), condition=1, zero_last=True))
    >>> byte = VariationalDequantised(Uniform(torch.zeros(1), torch.full((1,), 256.0)), noise, torch.ones(1))
    >>> byte.log_prob(torch.tensor([[17]])) / math.log(2)
    tensor([-8.], grad_fn=<DivBackward0>)
    """

    steps: Tensor
    loc: Tensor
    scale: Tensor

    def __init__(self, model: Distribution, noise: Bijection, steps: Tensor, samples: int = 16, loc: Tensor | None = None,
                 scale: Tensor | None = None):  # fmt: skip
        super().__init__()
        require_steps(steps, model.event_shape, samples)
        places, whole = int((steps > 0).sum()), bool((steps > 0).all())
        expected = steps.shape if whole else torch.Size((places,))
        if noise.event_shape != expected or noise.output_shape != expected:
            raise ConfigError(f"expected noise for events of shape {tuple(expected)}, the places on the lattice, got {tuple(noise.event_shape)}; "
                              "build it for that shape")  # fmt: skip
        if noise.condition_shape not in (None, steps.shape, torch.Size((steps.numel(),))):
            raise ConfigError(f"expected noise with the row as its condition, of shape {tuple(steps.shape)} or ({steps.numel()},), got "
                              f"{tuple(noise.condition_shape)}; build it for one of these, or without condition")  # fmt: skip
        self.event_shape, self.condition_shape = model.event_shape, model.condition_shape
        self.condition_optional = model.condition_optional
        self.log_prob_kind, self.reparameterised = (
            "lower_bound" if model.log_prob_kind in ("exact", "lower_bound") else model.log_prob_kind,
            False,
        )
        self.model, self.noise, self.samples, self.whole = model, noise, samples, whole
        self.steps = nn.Buffer(steps.detach().clone())
        self.loc = nn.Buffer(_per_event(loc, 0.0, steps, "loc"))
        self.scale = nn.Buffer(_per_event(scale, 1.0, steps, "scale"))
        if not (self.scale > 0).all():
            raise ConfigError(f"expected a positive scale, got one with minimum {self.scale.min():g}; take the standard deviations, "
                              "and 1 where a place never changes")  # fmt: skip

    @property
    def objective(self) -> "Objective":
        """Minus the bound of one draw a row: an unbiased gradient, for the model and for the noise."""
        return one_draw_variational_bound

    def check(self, x: Tensor, condition: Tensor | None = None) -> "CheckReport":
        """`Flow.check` of the flow inside, with every row of x in the middle of its cell."""
        from .check import check_in_cells

        return check_in_cells(self, x, condition)

    def spread(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """A continuous row in the cell of each row of x, given uniform u, both `(n, *event)`, and log step - log q, `(n,)`.

        The log density of the one, plus the other, is the bound of one draw. Gradients reach the noise through both.
        """
        on = self.steps > 0
        w = (u if self.whole else u[:, on]).clamp(min=torch.finfo(u.dtype).eps / 4)  # a logit of 0 is infinite
        z = w.log() - torch.log1p(-w)
        v, log_det = self.noise._forward(z, self._row(x))
        # Logarithms of the slopes, not of u (1 - u): u itself may round to 0 or 1, where they stay finite.
        log_q = sum_event(_log_slope(z)) - log_det - sum_event(_log_slope(v))
        inside = torch.sigmoid(v)
        full = inside if self.whole else torch.zeros_like(x).masked_scatter(on.expand_as(x), inside)
        return in_cell(x, full, self.steps), log_cell(self.steps) - log_q

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        return round_down(self.model._sample(condition, generator), self.steps)

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        require_lattice(x, self.steps)
        n, k = len(x), self.samples
        y, log_weight = self.spread(x.repeat_interleave(k, 0), noise_of_rows(x, k).flatten(0, 1))
        given = None if condition is None else condition.repeat_interleave(k, 0)
        log_p = self.model._log_prob(y, given) + log_weight
        return torch.logsumexp(log_p.reshape(n, k), 1) - math.log(k)

    def _probe(self, condition: Tensor | None) -> object:
        return self._log_prob(
            torch.zeros(1, *self.event_shape, dtype=self.steps.dtype, device=self.steps.device), condition
        )

    def _row(self, x: Tensor) -> Tensor | None:
        if self.noise.condition_shape is None:
            return None
        return ((x + self.steps / 2 - self.loc) / self.scale).reshape(len(x), *self.noise.condition_shape)


def one_draw_variational_bound(model: VariationalDequantised, batch: Batch, generator: RowGenerator) -> Loss:
    """-E_q [log p(x + u step) + log step - log q(u | x)], with one u a row."""
    x, _ = flatten_batch(match_dtype(batch.x, dtype_of(model)), model.event_shape)
    y, log_weight = model.spread(x, generator.uniform(*model.event_shape, dtype=x.dtype))
    return Loss(
        -(model.model.log_prob(y, batch.condition if model.condition_shape is not None else None) + log_weight).mean()
    )


def _log_slope(v: Tensor) -> Tensor:
    """log sigmoid'(v), finite for every finite v."""
    return logsigmoid(v) + logsigmoid(-v)


def _per_event(value: Tensor | None, default: float, steps: Tensor, name: str) -> Tensor:
    if value is None:
        return torch.full_like(steps, default)
    try:
        full = value.detach().to(steps.dtype).expand(steps.shape).clone()
    except RuntimeError:
        full = None
    if full is None or not torch.isfinite(full).all():
        raise ConfigError(f"expected finite numbers that broadcast to {tuple(steps.shape)} as {name}, got shape {tuple(value.shape)}; "
                          "give the means and standard deviations of the rows")  # fmt: skip
    return full
