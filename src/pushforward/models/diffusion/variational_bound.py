"""The variational bound of a chain of denoising steps, term by term.

-log p(x_0) <= KL(q(x_T | x_0) | N(0, I)) + sum_{i = 2..T} E KL(q(x_{i-1} | x_i, x_0) | p(x_{i-1} | x_i)) - E log p(x_0 | x_1)

in the variance-preserving coordinates of the angle clock, where q(x_i | x_0) = N(cos theta_i x_0, sin^2 theta_i). Both
Gaussians of a term are those of `Ancestral`; p has the mean of the data predicted and the variance of the posterior, of
beta, or the learned one. In the last step whole numbers get the mass of N(data_theta, beta_1) on their cell, others its density.
Ho, Jain and Abbeel 2020, https://arxiv.org/abs/2006.11239, eq. 5 and 13; Nichol and Dhariwal 2021,
https://arxiv.org/abs/2102.09672.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor

from pushforward.core.batching import chunks
from pushforward.core.errors import ConfigError
from pushforward.core.random import RowGenerator
from pushforward.core.registry import device_of
from pushforward.core.shapes import flatten_batch, flatten_condition, sum_event
from pushforward.parts.paths.discrete_vp import DiscreteVP

from .samplers.ancestral import posterior
from .samplers.grid import grid

if TYPE_CHECKING:
    from .diffusion import Diffusion

Variance = Literal["posterior", "beta"]


@dataclass(frozen=True)
class VariationalBound:
    """A lower bound of log p(x) in nats, `(*batch,)`, and what it is made of.

    value = -(prior + steps + reconstruction), each `(*batch,)`. `std_error` is that of the value, from the spread of the
    steps that were drawn; infinite for a single one. `terms` are the means over the rows of the steps' terms at `times`.
    """

    value: Tensor
    std_error: Tensor
    prior: Tensor
    steps: Tensor
    reconstruction: Tensor
    times: Tensor
    terms: Tensor
    numbers: int

    @property
    def bits_per_dim(self) -> Tensor:
        """-value / (number of numbers in an event) in bits: an upper bound of what a code of x costs."""
        return -self.value / (self.numbers * math.log(2))


def variational_bound(model: "Diffusion", x: Tensor, condition: Tensor | None = None, *, steps: int | None = None,
                      terms: int | None = None, variance: Variance = "posterior",
                      generator: torch.Generator | None = None) -> VariationalBound:  # fmt: skip
    """Bound log p of x `(*batch, *event)` from below, as the sampler `Ancestral(steps, spacing="time")` draws it.

    Args:
        steps: T; by default those of a `DiscreteVP`, else 1,000.
        terms: how many of the T - 1 terms to draw for each row, spread evenly over log(alpha / sigma); by default all, so that
            only noise is random.
        variance: of the model's steps, where it has not learned one: "posterior" or "beta".

    Raises `ConfigError` for fewer than 2 steps, or more terms than there are.

    >>> import pushforward as pf
    >>> model = pf.diffusion.ddpm(event_shape=2)
    >>> variational_bound(model, torch.zeros(3, 2), steps=10).value.shape
    torch.Size([3])
    """
    count = steps or (model.path.steps if isinstance(model.path, DiscreteVP) else 1000)
    drawn = count - 1 if terms is None else terms
    if count < 2 or not 1 <= drawn <= count - 1 or variance not in get_args(Variance):
        raise ConfigError(f"expected at least 2 steps, 1 to steps - 1 terms and a variance among {', '.join(get_args(Variance))}, got "
                          f"{count} steps, {drawn} terms and {variance!r}")  # fmt: skip
    flat, batch = flatten_batch(x, model.event_shape)
    flat = model.checked(flat)
    given = flatten_condition(condition, model.condition_shape, batch, model.condition_optional)
    source = RowGenerator.of(generator, len(flat), device=device_of(model))
    chain = Chain(model, count, variance)
    parts = []
    with torch.inference_mode():
        for a, b in chunks(len(flat), model._rows(len(flat), given)):
            own = None if given is None else given[a:b]
            parts.append(chain.bound(flat[a:b], own, drawn, source.slice(a, b)))
    prior, reconstruction, each, places = (torch.cat(columns, -1).clone() for columns in zip(*parts))
    sums = (
        each / chain.share.to(each)[places] if drawn < count - 1 else each * (count - 1)
    )  # each an estimate of the whole sum
    total = sums.mean(0)
    spread = (sums.std(0) if drawn > 1 else torch.full_like(total, math.inf)) / math.sqrt(drawn)
    error = spread if drawn < count - 1 else torch.zeros_like(total)
    times = torch.tensor(chain.times, dtype=each.dtype, device=each.device)[places].mean(1)
    value = -(prior + total + reconstruction)
    value, error, prior, total, reconstruction = (
        part.reshape(batch) for part in (value, error, prior, total, reconstruction)
    )
    return VariationalBound(value, error, prior, total, reconstruction, times, each.mean(1), model.event_shape.numel())


class Chain:
    """The steps of a model from the most noise (place 0) to the least (place T - 1), and from there to clean data."""

    def __init__(self, model: "Diffusion", steps: int, variance: Variance):
        angles, times = grid(model.path, steps, "time")
        self.model, self.times, self.variance = model, times[:-1], variance
        self.cos = torch.tensor([math.cos(a) for a in angles[:-1]], dtype=torch.float64)
        self.sin = torch.tensor([math.sin(a) for a in angles[:-1]], dtype=torch.float64)
        pairs = pairwise(angles[:-1])
        rows = [posterior(math.cos(t), math.sin(t), math.cos(s), math.sin(s)) for t, s in pairs]
        self.from_data = torch.tensor([row[1] for row in rows], dtype=torch.float64)
        self.posterior = torch.tensor([row[2] ** 2 for row in rows], dtype=torch.float64)
        self.beta = 1 - (self.cos[:-1] / self.cos[1:]) ** 2
        # A term is about as large as the step is long in log(alpha / sigma): that is how often it is drawn.
        gaps = (self.cos / self.sin).log().diff()
        self.share = gaps / gaps.sum()

    def bound(
        self, x: Tensor, condition: Tensor | None, drawn: int, generator: RowGenerator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Prior and reconstruction `(n,)`, the terms drawn `(drawn, n)`, and their places."""
        model, n, last = self.model, len(x), len(self.times) - 1
        z = model.to_model_units(x, None)
        variance = self.sin[0] ** 2
        prior = 0.5 * sum_event(variance + (self.cos[0] * z).square() - 1 - variance.log())
        each, places = [], []
        for k in range(drawn):
            if drawn == last:
                place = torch.full((n,), k, device=x.device)
            else:  # one in each of `drawn` stretches of equal share
                u = (generator.fork(1).fork(k).uniform(dtype=torch.float64) + k) / drawn
                place = torch.searchsorted(self.share.cumsum(0).to(x.device), u).clamp(max=last - 1)
            each.append(self._term(z, place, condition, generator.fork(2).fork(k)))
            places.append(place)
        return (
            prior.to(z.dtype),
            self._reconstruction(x, z, condition, generator.fork(3)),
            torch.stack(each),
            torch.stack(places),
        )

    def _predict(
        self, z: Tensor, place: Tensor, condition: Tensor | None, generator: RowGenerator
    ) -> tuple[Tensor, Tensor | None]:
        """The data predicted from a draw of q(x_place | z), and the share of log beta in the log variance, if learned."""
        model = self.model
        cos, sin = (self._rows(c, place, z) for c in (self.cos, self.sin))
        y = cos * z + sin * generator.normal(*model.event_shape, dtype=z.dtype)
        t = torch.tensor(self.times, dtype=torch.float64, device=z.device)[place]
        prediction, share = model.prediction_and_share(y, t.to(z.dtype), condition)
        scale = torch.hypot(model.path.alpha(t), model.path.sigma(t)).to(z.dtype)
        x_t = y * scale.reshape(-1, *(1,) * (z.ndim - 1))
        return model.path.convert(prediction, model.predict, "data", x_t, t.to(z.dtype)), share

    def _term(self, z: Tensor, place: Tensor, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        """KL of two Gaussians, `(n,)`: the posterior given the data, and the model's step."""
        data, share = self._predict(z, place, condition, generator)
        true, beta = (self._rows(c, place, z) for c in (self.posterior, self.beta))
        own = true if self.variance == "posterior" else beta
        if share is not None:
            own = (share * beta.log() + (1 - share) * true.log()).exp()
        gap = (self._rows(self.from_data, place, z) * (z - data)).square()
        return 0.5 * sum_event(((own / true).log() + (true + gap) / own - 1).expand(z.shape))

    def _reconstruction(self, x: Tensor, z: Tensor, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        """-log p(x_0 | x_1), `(n,)`, in the user's units."""
        model = self.model
        data, _ = self._predict(z, torch.full((len(z),), len(self.times) - 1, device=z.device), condition, generator)
        std = self.sin[-1].item()
        from_density = 0.5 * ((z - data) / std).square() + math.log(std * math.sqrt(2 * math.pi)) + model.scale.log()
        if not model.whole:
            return sum_event(from_density.expand(z.shape))
        half = 0.5 / model.scale
        low, high = (z - data - half) / std, (z - data + half) / std
        if model.levels is not None:  # what lies beyond the ends belongs to them
            low = torch.where(x <= 0, -math.inf, low)
            high = torch.where(x >= model.levels - 1, math.inf, high)
        return sum_event(torch.where(model.integer, -_log_mass(low, high), from_density))

    def _rows(self, numbers: Tensor, place: Tensor, z: Tensor) -> Tensor:
        return numbers.to(z.device)[place].to(z.dtype).reshape(-1, *(1,) * (z.ndim - 1))


def _log_mass(low: Tensor, high: Tensor) -> Tensor:
    """log of the standard normal mass between low < high, elementwise, without cancellation in the tails."""
    mirrored = low + high > 0
    low, high = torch.where(mirrored, -high, low), torch.where(mirrored, -low, high)
    top, below = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
    return top + torch.log1p(-(below - top).exp())
