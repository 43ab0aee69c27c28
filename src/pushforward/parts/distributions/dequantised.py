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
from pushforward.core.errors import ConfigError, DataError
from pushforward.core.objective import Loss
from pushforward.core.random import RowGenerator
from pushforward.core.registry import dtype_of, register
from pushforward.core.shapes import match_dtype

if TYPE_CHECKING:
    from pushforward.core.objective import Objective


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
        if steps.shape != model.event_shape or not (
            torch.isfinite(steps).all() and (steps >= 0).all() and (steps > 0).any()
        ):
            raise ConfigError(f"expected steps of shape {tuple(model.event_shape)}, at least 0 and some above, got shape {tuple(steps.shape)} and "
                              f"{steps.flatten().tolist()[:8]}; a model of continuous numbers needs no dequantising")  # fmt: skip
        if samples < 1:
            raise ConfigError(f"expected at least 1 sample of the noise, got {samples}; 16 are usual")
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

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        return self._from_lattice(self.model._sample(condition, generator))

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        self._require_lattice(x)
        n, k = len(x), self.samples
        u = noise_of_rows(x, k)
        rows = self._in_cell(x[:, None], u).flatten(0, 1)
        given = None if condition is None else condition.repeat_interleave(k, 0)
        log_p = self.model._log_prob(rows, given).reshape(n, k)
        return torch.logsumexp(log_p, 1) - math.log(k) + self._log_cell()

    def _probe(self, condition: Tensor | None) -> object:
        return self._log_prob(
            torch.zeros(1, *self.event_shape, dtype=self.steps.dtype, device=self.steps.device), condition
        )

    def _in_cell(self, x: Tensor, u: Tensor) -> Tensor:
        """x + u step, kept below x + step where rounding would reach it."""
        return torch.minimum(x + u * self.steps, torch.nextafter(x + self.steps, x))

    def _log_cell(self) -> Tensor:
        """Log volume of a cell of the lattice, over the places that have one."""
        return torch.where(self.steps > 0, self.steps, 1).log().sum()

    def _from_lattice(self, y: Tensor) -> Tensor:
        index = torch.floor(y / torch.where(self.steps > 0, self.steps, 1))
        return torch.where(self.steps > 0, _lattice_value(index, self.steps), y)

    def _require_lattice(self, x: Tensor) -> None:
        index = torch.round(x / torch.where(self.steps > 0, self.steps, 1))
        # float32 knows a large multiple of the step to a few units in its last place only.
        far = (x - index * self.steps).abs() > 1e-3 * self.steps + 4 * torch.finfo(x.dtype).eps * x.abs()
        if (bad := far & (self.steps > 0)).any():
            row, *place = bad.nonzero()[0].tolist()
            at = tuple(place)
            raise DataError(f"expected multiples of {self.steps[at]:g} at place {at[0] if len(at) == 1 else at} of the event, got {x[(row, *at)]:g} "
                            f"in row {row}; round it, since numbers between have probability zero")  # fmt: skip


def one_draw_bound(model: Dequantised, batch: Batch, generator: RowGenerator) -> Loss:
    """-(E_u log p(x + u step) + log step), with one u a row."""
    x = match_dtype(batch.x, dtype_of(model))
    u = generator.uniform(*model.event_shape, dtype=x.dtype)
    log_p = model.model.log_prob(model._in_cell(x, u), batch.condition)
    return Loss(-(log_p.mean() + model._log_cell()))


def noise_of_rows(x: Tensor, samples: int) -> Tensor:
    """Uniform numbers in [0, 1), `(n, samples, *event)`, that are a function of each row of x `(n, *event)`.

    A row's bits are hashed to a seed, and seed and place to a number (the finaliser of SplitMix64; Steele, Lea and
    Flood 2014): rows that differ anywhere get independent noise, and a row the same noise wherever it stands.
    """
    flat = x.detach().reshape(len(x), math.prod(x.shape[1:])).double() + 0.0  # + 0.0: -0 and 0 are one number
    place = torch.arange(1, flat.shape[1] + 1, device=x.device)
    seed = _scramble(_scramble(flat.view(torch.int64)) + _scramble(place)).sum(1)
    count = torch.arange(samples * flat.shape[1], device=x.device)
    words = _scramble(_scramble(seed)[:, None] + count * _GOLDEN)
    # 24 bits fill the significand of a float32 and never round up to 1.
    return ((words >> 40) & 0xFFFFFF).to(x.dtype).div_(1 << 24).reshape(len(x), samples, *x.shape[1:])


_GOLDEN = -0x61C8864680B583EB  # 2^64 divided by the golden ratio, as a signed number
_FIRST, _SECOND = -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15


def _scramble(words: Tensor) -> Tensor:
    """Mix 64-bit integers; products wrap around, as they do in C."""
    words = (words ^ ((words >> 30) & 0x3FFFFFFFF)) * _FIRST
    words = (words ^ ((words >> 27) & 0x1FFFFFFFFF)) * _SECOND
    return words ^ ((words >> 31) & 0x1FFFFFFFF)


def _lattice_value(index: Tensor, steps: Tensor) -> Tensor:
    """index * step; index / 100 for a step of 0.01, which is the number that 0.07 is read as."""
    parts = torch.round(1 / torch.where(steps > 0, steps, 1))
    divides = (parts > 1) & ((parts * steps - 1).abs() < 1e-6)
    return torch.where(divides, index / parts.clamp(min=1), index * steps)
