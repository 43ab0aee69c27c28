"""A variational autoencoder with a small pull to the prior: the first stage of latent diffusion.

q(z | x) = N(mean(x), std(x)^2),  p(x | z) = N(decoder(z), s^2) with one learned s,  p(z) = N(0, I);

    loss = -E_q log p(x | z) + kl KL(q(z | x) || p(z)),        kl = 1: the bound of log p(x); kl small: latents that keep x.

Kingma and Welling 2014, https://arxiv.org/abs/1312.6114; the small weight is that of Rombach et al. 2022,
https://arxiv.org/abs/2112.10752; the learned s that of Rybkin et al. 2021, https://arxiv.org/abs/2006.13202.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.core.objective import Loss, Objective
from pushforward.core.random import RowGenerator
from pushforward.core.registry import device_of, dtype_of, register
from pushforward.core.shapes import as_size, flatten_batch, sum_event
from pushforward.parts.data import Images, Table
from pushforward.parts.nn import MLP

from .convolutional import ConvDecoder, ConvEncoder
from .units import Units, log_normal


@register
class Autoencoder(Distribution):
    """p(x) = int N(z; 0, I) p(x | z) dz, with an encoder q(z | x); built by `autoencoder`.

    Args:
        encoder: y `(n, *event)` in model units to `(n, 2 channels, ...)`: means and log variances of the latents.
        decoder: latents `(n, *latent_shape)` to the mean of y.
        units: of x.
        latent_shape: (channels,) or (channels, rows, columns).
        kl: weight of the divergence from the prior in training.

    `log_prob` is the bound E_q[log p(x | z) + log p(z) - log q(z | x)] by 16 draws a row, in nats and in the units of x; whole numbers
    are dequantised, which keeps it a bound. Raises `ConfigError` for a negative kl.

    >>> model = autoencoder(Images.of(torch.randint(0, 255, (20, 8, 8))), latents=2, width=8)
    >>> model.encode(torch.zeros(5, 1, 8, 8)).shape, model.sample(3).shape
    (torch.Size([5, 2, 4, 4]), torch.Size([3, 1, 8, 8]))
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, units: Units, latent_shape: Sequence[int], kl: float = 1e-6
    ):
        super().__init__()
        if not 0 <= kl < math.inf:
            raise ConfigError(f"expected a weight kl of at least 0, got {kl}; 1 is that of the bound")
        self.encoder, self.decoder, self.units, self.kl = encoder, decoder, units, kl
        self.latent_shape, self.event_shape = as_size(latent_shape), units.event_shape
        self.log_std = nn.Parameter(torch.tensor(-1.0))
        self.log_prob_kind, self.reparameterised = "lower_bound", not units.whole

    @property
    def objective(self) -> Objective:
        """Reconstruction plus `kl` times the divergence, in nats for each number of an event."""
        return reconstruction

    def posterior(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of q(z | x), `(n, *latent)`, for y in model units."""
        mean, log_variance = self.encoder(y).chunk(2, 1)
        return mean, 0.5 * log_variance.clamp(-20, 10)

    def log_likelihood(self, y: Tensor, z: Tensor) -> Tensor:
        """log p(x | z) in the user's units, `(n,)`, for y in model units."""
        # No better than 1e-3: a density of repeated numbers would grow without end.
        log_std = self.log_std.clamp(min=-7.0)
        return sum_event(log_normal(y, self.decoder(z), log_std)) + self.units.log_det()

    def encode(self, x: Tensor) -> Tensor:
        """The means of q(z | x), `(*batch, *latent)`, for x in its own units; whole numbers count as the middle of their cells."""
        flat, batch = flatten_batch(x, self.event_shape)
        return self.posterior(self.units.to_model(flat, None))[0].reshape(*batch, *self.latent_shape)

    def decode(self, z: Tensor) -> Tensor:
        """The means of p(x | z) in the units of x, `(*batch, *event)`."""
        flat, batch = flatten_batch(z, self.latent_shape, "z")
        return self.units.to_user(self.decoder(flat)).reshape(*batch, *self.event_shape)

    def draw(self, z: Tensor, generator: RowGenerator) -> Tensor:
        """A draw from p(x | z), `(n, *event)`, in the units of x."""
        noise = generator.normal(*self.event_shape, dtype=z.dtype)
        return self.units.to_user(self.decoder(z) + self.log_std.clamp(min=-7.0).exp() * noise)

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        return self.draw(generator.normal(*self.latent_shape, dtype=dtype_of(self)), generator)

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        generator, draws = RowGenerator(0, len(x), device=x.device), 16
        total = x.new_zeros(len(x), dtype=dtype_of(self))
        for _ in range(draws):
            y = self.units.to_model(x, generator)
            mean, log_std = self.posterior(y)
            noise = generator.normal(*self.latent_shape, dtype=y.dtype)
            z = mean + log_std.exp() * noise
            prior = sum_event(log_normal(z, torch.zeros_like(z), torch.zeros_like(z)))
            total = total + self.log_likelihood(y, z) + prior - sum_event(log_normal(z, mean, log_std))
        return total / draws

    def _probe(self, condition: Tensor | None) -> object:
        return self._log_prob(torch.zeros(1, *self.event_shape, dtype=dtype_of(self), device=device_of(self)), None)


def reconstruction(model: Autoencoder, batch: object, generator: RowGenerator) -> Loss:
    """(-E_q log p(x | z) + kl KL(q || p)) / numbers of an event, with one z a row; the divergence is in closed form."""
    return first_stage(model, batch.x, generator)[0]  # type: ignore[attr-defined]


def first_stage(model: Autoencoder, x: Tensor, generator: RowGenerator) -> tuple[Loss, Tensor]:
    """The loss of the autoencoder, and the latents z `(n, *latent)` that it was computed from."""
    y = model.units.to_model(x, generator)
    mean, log_std = model.posterior(y)
    z = mean + log_std.exp() * generator.normal(*model.latent_shape, dtype=y.dtype)
    numbers = model.event_shape.numel()
    fit = -model.log_likelihood(y, z).mean() / numbers
    divergence = sum_event(0.5 * (mean.square() + (2 * log_std).exp() - 1) - log_std).mean() / numbers
    return Loss(fit + model.kl * divergence, {"reconstruction": fit.detach(), "kl": divergence.detach()}), z


def autoencoder(data: Images | Table | Tensor, *, latents: int | None = None, factor: int = 2, width: int | None = None,
                kl: float = 1e-6) -> Autoencoder:  # fmt: skip
    """An autoencoder sized for these data: convolutional for images, a multilayer perceptron for a table.

    Args:
        data: images, a table, or a tensor `(n, features)`, from which the model takes size and units.
        latents: channels of the latent grid (4); for a table, how many latent numbers (its features, at most 8).
        factor: how many times smaller than the image the grid is; a power of two.
        width: channels of the convolutions (16), or hidden units (128).
        kl: weight of the divergence from the prior: 1e-6 for latents that keep nearly all of x, 1 for the bound of log p(x).

    >>> autoencoder(torch.randn(50, 3), latents=2).latent_shape
    torch.Size([2])
    """
    data = Table.of(data) if isinstance(data, Tensor) else data
    shape, units = data.event_shape, Units.of(data)
    if latents is not None and latents < 1:
        raise ConfigError(f"expected at least one channel of latents, got {latents}; leave it out for the default")
    if isinstance(data, Images):
        latent = (latents or 4, *(-(-side // factor) for side in shape[1:])) if factor > 0 else (1, 1, 1)
        settings = {"factor": factor, "width": width or 16}
        encoder = ConvEncoder(shape[0], shape[1:], 2 * latent[0], **settings)
        return Autoencoder(encoder, ConvDecoder(shape[0], shape[1:], latent[0], **settings), units, latent, kl)
    latents, hidden = latents or min(shape[0], 8), [width or 128] * 2
    return Autoencoder(
        MLP(shape[0], 2 * latents, hidden=hidden), MLP(latents, shape[0], hidden=hidden), units, (latents,), kl
    )
