"""Latent diffusion: an autoencoder makes the data small, a diffusion draws what is left.

u = (z - loc) / scale with z ~ q(z | x);  p(x | condition) = int p(u | condition) p(x | z) du,  p(u | condition) a `Diffusion`, and

    log p(x) >= E_q [ log p(x | z) + log p(u) - sum log scale - log q(z | x) ].

Rombach et al. 2022, https://arxiv.org/abs/2112.10752; the bound is that of Vahdat, Kreis and Kautz 2021, https://arxiv.org/abs/2106.05931.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pushforward.core.batching import count
from pushforward.core.data import Batch
from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.core.kernel import Callback, Kernel
from pushforward.core.objective import Loss, Objective
from pushforward.core.random import RowGenerator
from pushforward.core.registry import device_of, dtype_of, register
from pushforward.core.shapes import expand_right, flatten_batch, flatten_condition, sum_event
from pushforward.models.diffusion import Denoiser, Diffusion
from pushforward.models.diffusion.guided import Guide, guided, require_rows

from .autoencoder import Autoencoder, first_stage
from .units import log_normal


@register
class LatentDiffusion(Distribution):
    """p(x | condition): draw latents by diffusion, decode them. Built by `latent_diffusion`.

    Args:
        autoencoder: what x is encoded and decoded with.
        diffusion: of the standardised latents, with the condition.
        loc, scale: of the latents, one number for each channel, `(channels,)`.
        joint: train all at once: the autoencoder by its own loss; loc and scale by the likelihood of N(loc, scale^2) for the latents; the
            diffusion on latents through which no gradient goes back. Otherwise only the diffusion is trained.

    Samples are in the units of x. `log_prob` is the mean of `log_prob_bound` with fixed noise. Raises `ConfigError` for a diffusion whose
    events are not the latents, or a scale that is not positive.

    >>> import pushforward as pf
    >>> images = pf.data.Images.of(torch.randint(0, 255, (20, 8, 8)), labels=[0, 1] * 10)
    >>> model = pf.latent.latent_diffusion(images, latents=2, width=8)
    >>> model.sample(condition=torch.tensor([0, 1, 1]), sampler=pf.diffusion.samplers.DDIM(steps=5)).shape
    torch.Size([3, 1, 8, 8])
    """

    def __init__(self, autoencoder: Autoencoder, diffusion: Diffusion, loc: Tensor, scale: Tensor, joint: bool = False):
        super().__init__()
        if diffusion.event_shape != autoencoder.latent_shape:
            raise ConfigError(f"expected a diffusion of latents {tuple(autoencoder.latent_shape)}, got one of {tuple(diffusion.event_shape)}; "
                              "build it with event_shape=autoencoder.latent_shape")  # fmt: skip
        if not (scale > 0).all() or not (torch.isfinite(loc) & torch.isfinite(scale)).all():
            raise ConfigError("expected finite loc and scale, the scale positive; give means and standard deviations")
        self.autoencoder, self.diffusion, self.joint = autoencoder, diffusion, joint
        self.event_shape, self.condition_shape = autoencoder.event_shape, diffusion.condition_shape
        self.condition_optional = diffusion.condition_optional
        self.log_prob_kind, self.reparameterised = "lower_bound", autoencoder.reparameterised
        # Parameters, though they are moments: then all that `joint` trains is averaged, saved and reduced alike.
        self.loc = nn.Parameter(loc.detach().clone(), requires_grad=joint)
        self.log_scale = nn.Parameter(scale.detach().log(), requires_grad=joint)
        autoencoder.requires_grad_(joint)

    @property
    def objective(self) -> Objective:
        """Denoising of the latents; with `joint` the loss of the autoencoder as well."""
        return latent_denoising

    @property
    def latent_shape(self) -> torch.Size:
        """Of the latents: (channels,) or (channels, rows, columns)."""
        return self.autoencoder.latent_shape

    def standardise(self, z: Tensor) -> Tensor:
        """Latents `(n, *latent)` to what the diffusion models."""
        loc, log_scale = self.moments()
        return (z - loc) * torch.exp(-log_scale)

    def moments(self) -> tuple[Tensor, Tensor]:
        """loc and log scale, in a shape that broadcasts to latents."""
        like = self.loc.new_empty(self.latent_shape)
        return expand_right(self.loc, like), expand_right(self.log_scale, like)

    def sample(self, shape: int | Sequence[int] = (), condition: Tensor | None = None, *, sampler: Kernel | None = None,
               guide: Guide | None = None, noise: bool | None = None, generator: torch.Generator | None = None,
               callback: Callback | None = None) -> Tensor:  # fmt: skip
        """Draw `(*shape, *batch, *event)` in the units of the data; no gradients.

        `sampler`, `guide` and `callback`, which sees latents, are those of `Diffusion.sample`. `noise` says whether the noise of p(x | z) is
        added, as `log_prob` has it; by default to numbers, and not to pixels, whose means look better.
        """
        denoiser = guided(self.diffusion, guide)
        for part in (denoiser, sampler):
            require_rows(part, count(self._batch_of(shape, condition)[0]))
        with torch.inference_mode():
            x = self._draw(partial(self._walk, denoiser, sampler, callback, noise), shape, condition, generator)
        return x.clone()

    def _walk(self, denoiser: Denoiser, sampler: Kernel | None, callback: Callback | None, noise: bool | None,
              condition: Tensor | None, generator: RowGenerator) -> Tensor:  # fmt: skip
        u = self.diffusion._walk(denoiser, sampler, callback, condition, generator)
        loc, log_scale = self.moments()
        z = loc + log_scale.exp() * u
        if noise or (noise is None and self.autoencoder.units.levels is None):
            return self.autoencoder.draw(z, generator.fork(1))
        return self.autoencoder.units.to_user(self.autoencoder.decoder(z))

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        return self._walk(self.diffusion, None, None, None, condition, generator)

    def log_prob_bound(self, x: Tensor, condition: Tensor | None = None, *, draws: int = 4, probes: int = 2, rtol: float = 5e-4,
                       generator: torch.Generator | None = None) -> "LatentBound":  # fmt: skip
        """A lower bound of log p(x) in nats, x `(*batch, *event)`: the mean of `draws` latents, with its standard error.

        The density of the latents is that of the probability flow, solved with tolerance `rtol`, its trace estimated by `probes`
        random vectors (exact for at most 8 numbers). Raises `ConfigError` for no draws.
        """
        if draws < 1:
            raise ConfigError(f"expected at least one draw, got {draws}")
        flat, batch = flatten_batch(x, self.event_shape)
        given = flatten_condition(condition, self.condition_shape, batch, self.condition_optional)
        source = RowGenerator.of(generator, len(flat), device=device_of(self))
        with torch.no_grad():
            return LatentBound(*(part.reshape(batch) for part in self._bound(flat, given, draws, probes, rtol, source)))

    def _bound(self, x: Tensor, condition: Tensor | None, draws: int, probes: int, rtol: float,
               generator: RowGenerator) -> tuple[Tensor, ...]:  # fmt: skip
        """The bound, its standard error, and its three parts, each `(n,)`."""
        stage, terms = self.autoencoder, []
        x = self.diffusion.checked(x)
        for k in range(draws):
            own = generator.fork(k)
            y = stage.units.to_model(x, own)
            mean, log_std = stage.posterior(y)
            z = mean + log_std.exp() * own.normal(*self.latent_shape, dtype=y.dtype)
            seed = torch.Generator().manual_seed(own.fork(1).seed)
            prior = self.diffusion.log_prob_estimate(
                self.standardise(z), condition, probes=probes, rtol=rtol, max_solver_error=math.inf, generator=seed
            ).value
            prior = prior - self.log_scale.sum() * (self.latent_shape.numel() / len(self.log_scale))
            terms.append(torch.stack([stage.log_likelihood(y, z), prior, -sum_event(log_normal(z, mean, log_std))]))
        each = torch.stack(terms)
        values = each.sum(1)
        error = values.std(0) / math.sqrt(draws) if draws > 1 and len(x) else torch.full_like(values[0], math.inf)
        return values.mean(0), error, *each.mean(0)

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        return self._bound(x, condition, 2, 2, 5e-4, RowGenerator(0, len(x), device=x.device))[0]

    def _probe(self, condition: Tensor | None) -> object:
        self.diffusion._probe(condition)
        zero = torch.zeros(1, *self.latent_shape, dtype=dtype_of(self), device=device_of(self))
        return self.autoencoder.decoder(zero)


@dataclass(frozen=True)
class LatentBound:
    """A lower bound of log p(x) in nats, its standard error over the draws of z, and its parts, each `(*batch,)`.

    value = reconstruction + prior + entropy: E_q log p(x | z), E_q log p(z) and -E_q log q(z | x).
    """

    value: Tensor
    std_error: Tensor
    reconstruction: Tensor
    prior: Tensor
    entropy: Tensor


def latent_denoising(model: LatentDiffusion, batch: Any, generator: RowGenerator) -> Loss:
    """The loss of the diffusion on latents that are given; with `joint` also those of the autoencoder, loc and scale.

    No gradient of the diffusion reaches the encoder: it would make the latents easy to predict, that is, empty.
    """
    with torch.set_grad_enabled(model.joint and torch.is_grad_enabled()):
        first, z = first_stage(model.autoencoder, batch.x, generator)
    z = z.detach()
    u = model.standardise(z).detach()
    condition = batch.condition if model.condition_shape is not None else None
    second = model.diffusion.objective(model.diffusion, Batch(u, condition), generator.fork(1))
    if not model.joint:
        return second
    loc, log_scale = model.moments()
    moments = -log_normal(z, loc, log_scale.expand(model.latent_shape))
    value = first.value + second.value + moments.mean()
    return Loss(value, {**first.metrics, **second.metrics})
