"""Adversarial network: a generator makes events from noise, a critic tells them from real ones, and each learns from the other.

    critic      min  E softplus(-D(x)) + E softplus(D(G(z))) + R1/2 E |dD/dx|^2          "non_saturating"
    generator   min  E softplus(-D(G(z)))
    critic      min  E D(G(z)) - E D(x) + w E (|dD/dx'| - 1)^2, x' between x and G(z)    "wasserstein"
    generator   min  -E D(G(z))

There is no density and no bound of one. Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661; R1: Mescheder, Geiger and Nowozin 2018,
https://arxiv.org/abs/1801.04406, who show that simultaneous steps, as here, then converge near the solution; Gulrajani et al. 2017,
https://arxiv.org/abs/1704.00028.
"""

import math
from typing import Literal, get_args

import torch
from torch import Size, Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from pushforward.core.data import Batch
from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError, DataError
from pushforward.core.objective import Loss, Objective
from pushforward.core.random import RowGenerator
from pushforward.core.registry import dtype_of, register
from pushforward.core.shapes import expand_right

from .critic import gradient_at_real, gradient_between, input_gradient
from .units import Units

AdversarialLoss = Literal["non_saturating", "wasserstein"]


@register
class GenerativeAdversarial(Distribution):
    """x = G(z, condition), z ~ N(0, I), with the critic that G was trained against; built by `gan`.

    Args:
        generator: `(n, latents + condition)` to y `(n, 1, *event)` in model units.
        critic: y `(n, *event)` and the condition to `(n,)`.
        units: of x.
        latents: how many numbers of noise.
        loss: "non_saturating" with R1, or "wasserstein" with the gradient penalty.
        penalty: its weight.
        every: the generator learns in every so many-th step, and the critic in all.
        classes: how many, for labels as the condition; the networks see them as zeros and a one.
        condition_loc, condition_scale: means and standard deviations of given numbers, `(width,)`.

    One loss trains both networks in one step: that of the critic does not reach the generator, whose draws it takes as they are, and that
    of the generator sees the critic's weights as constants. In evaluation mode the objective is the energy distance between held-out rows and
    as many draws (0 where the two are equal), since neither loss says how good the draws are; it is by this that `fit` keeps the best
    weights. Raises `ConfigError` for another loss or a negative penalty.

    >>> from pushforward.models.latent.gan import gan
    >>> gan(torch.randn(50, 2), latents=4, hidden=[8]).sample(3).shape
    torch.Size([3, 2])
    """

    steps_seen: Tensor
    condition_loc: Tensor | None
    condition_scale: Tensor | None

    def __init__(self, generator: nn.Module, critic: nn.Module, units: Units, latents: int, *,
                 loss: AdversarialLoss = "non_saturating", penalty: float = 1.0, every: int = 1, classes: int | None = None,
                 condition_loc: Tensor | None = None, condition_scale: Tensor | None = None):  # fmt: skip
        super().__init__()
        if loss not in get_args(AdversarialLoss) or not 0 <= penalty < math.inf or min(latents, every) < 1:
            raise ConfigError(f"expected a loss among {', '.join(get_args(AdversarialLoss))}, a penalty of at least 0, 1 latent number and step or "
                              f"more, got {loss!r}, {penalty:g}, {latents} and {every}")  # fmt: skip
        if (condition_loc is None) != (condition_scale is None) or (classes and condition_loc is not None):
            raise ConfigError(
                "expected classes, or condition_loc and condition_scale together, got a mixture; leave one out"
            )
        self.generator, self.critic, self.units, self.latents = generator, critic, units, latents
        self.loss, self.penalty, self.every, self.classes = loss, penalty, every, classes
        self.event_shape, self.log_prob_kind, self.reparameterised = units.event_shape, "none", not units.whole
        self.steps_seen = nn.Buffer(torch.zeros((), dtype=torch.long))
        self.condition_loc = None if condition_loc is None else nn.Buffer(condition_loc.detach().clone())
        self.condition_scale = None if condition_scale is None else nn.Buffer(condition_scale.detach().clone())
        self.condition_shape = Size(()) if classes else None if condition_loc is None else condition_loc.shape

    @property
    def objective(self) -> Objective:
        """Both losses in training; the energy distance in evaluation."""
        return adversarial

    def given(self, condition: Tensor | None) -> Tensor | None:
        """The condition as the networks see it, `(n, width)`: labels as zeros and a one, numbers standardised."""
        if self.condition_shape is None or condition is None:
            return None
        if self.classes:
            # On a GPU the check would wait for the device at every step of a training.
            if condition.device.type == "cpu" and not ((condition >= 0) & (condition < self.classes)).all():
                raise DataError(f"expected labels from 0 to {self.classes - 1}, got {condition.min():g} to {condition.max():g}; ask for classes "
                                "that the model was fitted on")  # fmt: skip
            return functional.one_hot(condition.long(), self.classes).to(dtype_of(self))
        assert self.condition_loc is not None
        assert self.condition_scale is not None
        return (condition.to(dtype_of(self)) - self.condition_loc) / self.condition_scale

    def generate(self, noise: Tensor, given: Tensor | None) -> Tensor:
        """G: noise `(n, latents)` to y `(n, *event)`, in model units."""
        return self.generator(noise if given is None else torch.cat([noise, given], 1))[:, 0]

    def critic_loss(self, real: Tensor, fake: Tensor, given: Tensor | None, mix: Tensor) -> tuple[Tensor, Tensor]:
        """The critic's loss without its penalty, and the penalty without its weight; `mix` in [0, 1] `(n,)` picks points between."""
        fake = fake.detach()
        if self.loss == "wasserstein":
            between = fake + expand_right(mix, real) * (real - fake)
            slope = input_gradient(self.critic, between, given)[1]
            gap = self.critic(fake, given).mean() - self.critic(real, given).mean()
            return gap, gradient_between(slope)
        on_real, slope = input_gradient(self.critic, real, given)
        value = functional.softplus(-on_real).mean() + functional.softplus(self.critic(fake, given)).mean()
        return value, gradient_at_real(slope)

    def generator_loss(self, fake: Tensor, given: Tensor | None) -> Tensor:
        """The generator's loss, with a critic whose weights are constants."""
        frozen = {name: value.detach() for name, value in self.critic.named_parameters()}
        score = functional_call(self.critic, frozen, (fake, given))
        return -score.mean() if self.loss == "wasserstein" else functional.softplus(-score).mean()

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        noise = generator.normal(self.latents, dtype=dtype_of(self))
        return self.units.to_user(self.generate(noise, self.given(condition)))


def adversarial(model: GenerativeAdversarial, batch: Batch, generator: RowGenerator) -> Loss:
    """Critic's loss with its penalty plus generator's loss, whose gradients do not mix; in evaluation mode the energy distance."""
    real = model.units.to_model(batch.x, generator)
    given = model.given(batch.condition)
    fake = model.generate(generator.normal(model.latents, dtype=real.dtype), given)
    if not model.training:
        rows = [torch.cat([y.flatten(1), *([] if given is None else [given])], 1) for y in (real, fake)]
        return Loss(energy_distance(rows[0], rows[1]))
    critic, penalty = model.critic_loss(real, fake, given, generator.uniform(dtype=real.dtype))
    own = model.generator_loss(fake, given)
    value = critic + model.penalty * penalty
    if model.every == 1:
        value = value + own
    else:
        value = value + own * (model.steps_seen % model.every == 0).to(own.dtype)
        model.steps_seen += 1
    return Loss(value, {"critic": critic.detach(), "penalty": penalty.detach(), "generator": own.detach()})


def energy_distance(x: Tensor, y: Tensor) -> Tensor:
    """2 E|x - y| - E|x - x'| - E|y - y'| of rows `(n, d)` and `(m, d)`, unbiased; 0 for equal distributions, and above for others.

    Székely and Rizzo 2013, https://doi.org/10.1016/j.jspi.2013.03.018

    >>> energy_distance(torch.tensor([[0.0], [0.0]]), torch.tensor([[1.0], [1.0]]))
    tensor(2.)
    """
    n, m = len(x), len(y)
    within = torch.cdist(x, x).sum() / max(n * (n - 1), 1) + torch.cdist(y, y).sum() / max(m * (m - 1), 1)
    return 2 * torch.cdist(x, y).mean() - within
