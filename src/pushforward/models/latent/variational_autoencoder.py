"""Variational autoencoder: data as draws of a decoder, with an encoder that says which latents they may have come from.

    log p(x) >= E_q[ log p(x | z) + log p(z) - log q(z | x) ]                       the bound (ELBO) that training raises
    log p(x) >= E log 1/k sum_i p(x | z_i) p(z_i) / q(z_i | x),  z_i ~ q             rises with k, to log p(x)

Kingma and Welling 2014, https://arxiv.org/abs/1312.6114; Rezende et al. 2014, https://arxiv.org/abs/1401.4082; k draws: Burda et al. 2016,
https://arxiv.org/abs/1509.00519; the path gradient: Roeder et al. 2017, https://arxiv.org/abs/1703.09194; free bits: Kingma et al. 2016,
https://arxiv.org/abs/1606.04934; warm-up: Sønderby et al. 2016, https://arxiv.org/abs/1602.02282.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from pushforward.core.data import Batch
from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.core.objective import Loss, Objective
from pushforward.core.random import RowGenerator
from pushforward.core.registry import device_of, dtype_of, register
from pushforward.core.shapes import flatten_batch, match_dtype, sum_event
from pushforward.parts.data import Images, Table
from pushforward.parts.distributions.lattice import noise_of_rows

from .flow_posterior import FlowPosterior
from .likelihoods import BernoulliLikelihood, Likelihood
from .units import log_normal

Gradient = Literal["total", "path"]


@dataclass(frozen=True)
class ImportanceBound:
    """A bound of log p(x) for each row, `(*batch,)`, in nats, and its standard error over the draws."""

    value: Tensor
    std_error: Tensor


@register
class VariationalAutoencoder(Distribution):
    """p(x) = int p(z) p(x | z) dz with q(z | x) beside it; built by `vae`.

    Args:
        encoder: what the likelihood shows `(n, *event)` to features `(n, features)`.
        posterior: of the features.
        decoder: z `(n, latents)` to `(n, size, *event)`.
        likelihood: what those numbers say about x.
        prior: of z; N(0, I) if there is none.
        warmup: training steps in which the weight of the divergence grows from 0 to 1; scores always have 1.
        free_bits: nats of divergence for each latent number that training does not try to save.
        gradient: "total", or "path", which leaves out the score of q: its mean is zero, and its noise does not vanish at the optimum.
        draws: k of `log_prob`.

    `log_prob` is the bound of k draws, which are a function of the row: a lower bound of log p(x) in the mean over draws, and no likelihood.
    `iwae` takes more draws and tells its standard error. Raises `ConfigError` for parts that do not fit together.

    >>> from pushforward.models.latent.vae import vae
    >>> model = vae(torch.randn(50, 3), latents=2, hidden=[8])
    >>> model.encode(torch.zeros(5, 3)).shape, model.log_prob(torch.zeros(5, 3)).shape, model.log_prob_kind
    (torch.Size([5, 2]), torch.Size([5]), 'lower_bound')
    """

    steps_seen: Tensor

    def __init__(self, encoder: nn.Module, posterior: FlowPosterior, decoder: nn.Module, likelihood: Likelihood,
                 prior: Distribution | None = None, *, warmup: int = 0, free_bits: float = 0.0,
                 gradient: Gradient = "total", draws: int = 16):  # fmt: skip
        super().__init__()
        if warmup < 0 or not 0 <= free_bits < math.inf or draws < 1 or gradient not in get_args(Gradient):
            raise ConfigError(f"expected warmup and free_bits of at least 0, 1 draw or more and a gradient total or path, got {warmup}, "
                              f"{free_bits:g}, {draws} and {gradient!r}")  # fmt: skip
        if prior is not None and prior.event_shape != (posterior.latents,):
            raise ConfigError(
                f"expected a prior of events ({posterior.latents},), got {tuple(prior.event_shape)}; give it the width of z"
            )
        self.encoder, self.posterior, self.decoder, self.likelihood = encoder, posterior, decoder, likelihood
        self.prior, self.warmup, self.free_bits, self.gradient = prior, warmup, free_bits, gradient
        self.draws, self.latents, self.event_shape = draws, posterior.latents, likelihood.event_shape
        self.log_prob_kind, self.reparameterised = "lower_bound", likelihood.reparameterised
        self.steps_seen = nn.Buffer(torch.zeros((), dtype=torch.long))

    @property
    def objective(self) -> Objective:
        """Minus the bound in nats, one draw a row."""
        return negative_bound

    @property
    def closed_form(self) -> bool:
        """Whether KL(q, prior) needs no draws: a Gaussian q and the standard prior."""
        return self.prior is None and self.posterior.flow is None

    def log_prior(self, z: Tensor) -> Tensor:
        """log p(z), `(n,)`."""
        zero = torch.zeros((), dtype=z.dtype, device=z.device)
        return sum_event(log_normal(z, zero, zero)) if self.prior is None else self.prior._log_prob(z, None)

    def features(self, target: Tensor) -> Tensor:
        """The encoder's features of targets `(n, *event)`."""
        return self.encoder(self.likelihood.view(target))

    def log_weights(self, x: Tensor, draws: int, generator: RowGenerator | None) -> Tensor:
        """log p(x, z) / q(z | x), `(n, draws)`, for z ~ q; without a generator, z is a function of the row."""
        n, fresh, event = len(x), self.likelihood.fresh, self.event_shape
        copies = draws if fresh else 1
        rows, u = x[:, None].expand(n, copies, *event), None
        if self.likelihood.uniform:
            # Which greys are white is part of the data, so no generator draws it; noise of dequantising is the bound's.
            drawn = None if generator is None or not fresh else generator.uniform(copies, *event, dtype=x.dtype)
            u = (noise_of_rows(x, copies) if drawn is None else drawn).flatten(0, 1)
        target = self.likelihood.target(rows.flatten(0, 1), u)
        h = self.features(target)
        if not fresh:
            target, h = target.repeat_interleave(draws, 0), h.repeat_interleave(draws, 0)
        noise = self._noise_of(x, draws) if generator is None else generator.normal(draws, self.latents, dtype=x.dtype)
        z, log_q = self.posterior.draw(h, noise.flatten(0, 1))
        joint = self.likelihood.log_prob(target, self.decoder(z)) + self.log_prior(z)
        return (joint - log_q).reshape(n, draws)

    def _noise_of(self, x: Tensor, draws: int) -> Tensor:
        # Another number for each row's hash than the one that whitens its greys: two copies of the row side by side.
        places = torch.ones(draws, self.latents, dtype=x.dtype, device=x.device)
        u = noise_of_rows(
            torch.cat([x.flatten(1), x.flatten(1)], 1), -(-draws * self.latents // (2 * self.event_shape.numel()))
        )
        u = u.flatten(1)[:, : places.numel()].reshape(len(x), draws, self.latents)
        return torch.special.ndtri(u.double() + 2.0**-25).to(x.dtype)

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        return torch.logsumexp(self.log_weights(x, self.draws, None), 1) - math.log(self.draws)

    def elbo(self, x: Tensor, *, draws: int = 16, generator: torch.Generator | None = None) -> ImportanceBound:
        """E_q[log p(x, z) - log q(z | x)] by the mean of so many draws, without gradients."""
        log_w, batch = self._collect(x, draws, generator)
        return ImportanceBound(log_w.mean(1).reshape(batch), (log_w.var(1) / draws).sqrt().reshape(batch))

    def iwae(self, x: Tensor, *, draws: int = 500, generator: torch.Generator | None = None) -> ImportanceBound:
        """log of the mean importance weight: in the mean a bound too, and one that is log p(x) as draws grow.

        The standard error is that of the log, to first order; where it is not small, the bound is loose as well.

        >>> from pushforward.models.latent.vae import vae
        >>> model = vae(torch.randn(50, 3), latents=2, hidden=[8])
        >>> model.iwae(torch.zeros(3), draws=100).value.shape
        torch.Size([])
        """
        log_w, batch = self._collect(x, draws, generator)
        log_mean = torch.logsumexp(log_w, 1) - math.log(draws)
        relative = (log_w - log_mean[:, None]).exp().var(1)
        return ImportanceBound(log_mean.reshape(batch), (relative / draws).sqrt().reshape(batch))

    @torch.no_grad()
    def _collect(self, x: Tensor, draws: int, generator: torch.Generator | None) -> tuple[Tensor, tuple[int, ...]]:
        if draws < 2:
            raise ConfigError(f"expected at least 2 draws, for a standard error, got {draws}; 500 are usual")
        flat, batch = flatten_batch(x, self.event_shape)
        flat = match_dtype(flat, dtype_of(self))
        source = RowGenerator.of(generator, len(flat), device=device_of(self))
        rows, each, collected = max(1, 1024 // min(draws, 64)), 64, []
        for a in range(0, len(flat), rows):
            part = flat[a : a + rows]
            own = source.slice(a, a + len(part))
            collected.append(torch.cat([self.log_weights(part, min(each, draws - d), own) for d in range(0, draws, each)], 1))  # fmt: skip
        return torch.cat(collected).double() if collected else flat.new_zeros(0, draws), batch

    def encode(self, x: Tensor) -> Tensor:
        """Where q puts its middle, `(*batch, latents)`: its mean, or what the flow makes of the mean."""
        flat, batch = flatten_batch(x, self.event_shape)
        flat = match_dtype(flat, dtype_of(self))
        u = noise_of_rows(flat, 1)[:, 0] if self.likelihood.uniform and not self.likelihood.fresh else None
        half = torch.full_like(flat, 0.5) if self.likelihood.fresh else u
        h = self.features(self.likelihood.target(flat, half))
        return self.posterior.draw(h, flat.new_zeros(len(flat), self.latents))[0].reshape(*batch, self.latents)

    def decode(self, z: Tensor) -> Tensor:
        """The means of p(x | z), `(*batch, *event)`, in the units of x."""
        flat, batch = flatten_batch(z, torch.Size((self.latents,)), "z")
        return self.likelihood.mean(self.decoder(flat)).reshape(*batch, *self.event_shape)

    def reconstruct(self, x: Tensor) -> Tensor:
        """`decode(encode(x))`."""
        return self.decode(self.encode(x))

    def interpolate(self, first: Tensor, last: Tensor, steps: int = 8) -> Tensor:
        """Decoded points of the line between two events' latents, both included: `(steps, *batch, *event)`."""
        t = torch.linspace(0, 1, steps, dtype=dtype_of(self), device=device_of(self))
        a, b = self.encode(first), self.encode(last)
        return self.decode(torch.stack([a + s * (b - a) for s in t]))

    def traverse(self, x: Tensor, *, places: int | None = None, steps: int = 7, reach: float = 2.5) -> Tensor:
        """One event, its latents moved one at a time from -reach to reach: `(places, steps, *event)`.

        Without `places` all of them; with it the first so many in the order of what q knows of them (the divergence at x).
        """
        flat, _ = flatten_batch(x, self.event_shape)
        z = self.encode(flat)[:1]
        grid = torch.linspace(-reach, reach, steps, dtype=z.dtype, device=z.device)
        u = noise_of_rows(flat[:1], 1)[:, 0] if self.likelihood.uniform else None
        known = self.posterior.divergence(self.features(self.likelihood.target(flat[:1].to(z), u)))[0]
        order = known.argsort(descending=True)[: places or self.latents]
        rows = z.expand(len(order), steps, self.latents).clone()
        rows.scatter_(2, order[:, None, None].expand(-1, steps, 1), grid[:, None].expand(len(order), steps, 1))
        return self.decode(rows)

    def as_seen(self, data: Images | Table) -> Images | Table:
        """The data as the model scores them: grey images in black and white where the likelihood is Bernoulli's."""
        if not isinstance(data, Images) or not isinstance(self.likelihood, BernoulliLikelihood) or data.levels == 2:
            return data
        device = device_of(self)
        bits = [self.likelihood.target(part, noise_of_rows(part, 1)[:, 0])
                for part in (rows.to(device, dtype_of(self)) for rows in data.pixels.split(1024))]  # fmt: skip
        pixels = torch.cat(bits).to(data.pixels.device, torch.uint8) * (data.levels - 1)
        return Images(pixels, data.labels, data.levels, data.class_names)

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        z = generator.normal(self.latents, dtype=dtype_of(self)) if self.prior is None else self.prior._sample(None, generator)  # fmt: skip
        return self.likelihood.draw(self.decoder(z), generator)

    def _probe(self, condition: Tensor | None) -> object:
        low = getattr(self.likelihood, "low", torch.zeros((), device=device_of(self)))
        return self._log_prob(low + torch.zeros(1, *self.event_shape, dtype=dtype_of(self), device=device_of(self)), None)  # fmt: skip


def negative_bound(model: VariationalAutoencoder, batch: Batch, generator: RowGenerator) -> Loss:
    """-(E log p(x | z) - weight KL(q, prior)) in nats a row, one z a row; KL in closed form where there is one.

    In training the weight follows the warm-up and free bits are granted; in evaluation it is the bound itself.
    """
    likelihood = model.likelihood
    x = match_dtype(batch.x, dtype_of(model))
    u = generator.uniform(*model.event_shape, dtype=x.dtype) if likelihood.uniform else None
    target = likelihood.target(x, u)
    h = model.features(target)
    z, log_q = model.posterior.draw(h, generator.normal(model.latents, dtype=x.dtype), model.gradient == "path")
    fit = likelihood.log_prob(target, model.decoder(z)).mean()
    closed = model.closed_form and model.gradient == "total"
    # Without a closed form one sum for all latents: a flow mixes them.
    each = model.posterior.divergence(h).mean(0) if closed else (log_q - model.log_prior(z)).mean()[None]
    divergence = paid = each.sum()
    if model.training:
        if model.free_bits:
            paid = each.clamp(min=model.free_bits * model.latents / len(each)).sum()
        if model.warmup:
            paid = paid * (model.steps_seen / model.warmup).clamp(max=1.0).to(x.dtype)
            if torch.is_grad_enabled():
                model.steps_seen += 1
    return Loss(paid - fit, {"reconstruction": -fit.detach(), "kl": divergence.detach()})
