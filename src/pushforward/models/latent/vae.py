"""From data to a variational autoencoder of the right size, with a posterior flow and a prior by name."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.models.flows import realnvp
from pushforward.models.flows.columns import seeded
from pushforward.models.flows.orders import turned
from pushforward.parts.bijections import (
    AffineTransformer,
    Chain,
    Inverse,
    InverseTransformer,
    MaskedAutoregressive,
    Planar,
    Sylvester,
)
from pushforward.parts.data import Images, Table
from pushforward.parts.nn import MaskedMLP

from .dense import DenseDecoder, DenseEncoder
from .flow_posterior import FlowPosterior
from .gated import GatedDecoder, GatedEncoder
from .likelihoods import likelihood_for
from .variational_autoencoder import VariationalAutoencoder

Posterior = Literal["none", "planar", "iaf", "sylvester"]
Network = Literal["dense", "conv"]
Prior = Literal["normal", "flow"]


def vae(data: Images | Table | Tensor, *, latents: int | None = None, posterior: Posterior = "none", flow_layers: int = 4,
        prior: Prior = "normal", likelihood: Literal["gaussian", "bernoulli", "logistic"] | None = None,
        network: Network = "dense", hidden: Sequence[int] | None = None, warmup: int = 0, free_bits: float = 0.0,
        gradient: Literal["total", "path"] = "total", seed: int = 0) -> VariationalAutoencoder:  # fmt: skip
    """A variational autoencoder of a table or of images.

    Args:
        data: images, a table, or a tensor `(n, features)`, from which the model takes size, units and likelihood.
        latents: how many latent numbers; 16 for images, for a table its columns, at most 8.
        posterior: what follows the Gaussian q(z | x), `flow_layers` times; the features of the encoder move its parameters.
        prior: "normal", N(0, I), or "flow", a RealNVP that is learned with the rest.
        likelihood: "gaussian", "bernoulli" (grey images are binarised at random) or "logistic"; by default what suits the data.
        network: "dense", or for images "conv", gated convolutions.
        hidden: widths of the encoder, and turned round of the decoder; of "conv" (channels, features).
        warmup, free_bits, gradient: see `VariationalAutoencoder`.
        seed: of the first weights.

    The first weights of encoder and decoder are the same whatever the posterior. Raises `ConfigError` for names and sizes that do not fit.

    >>> model = vae(torch.randn(50, 3), latents=2, posterior="iaf", flow_layers=2, hidden=[16])
    >>> model.sample(4).shape, model.likelihood.__class__.__name__
    (torch.Size([4, 3]), 'GaussianLikelihood')
    """
    data = Table.of(data) if isinstance(data, Tensor) else data
    for name, value, known in (("posterior", posterior, Posterior), ("network", network, Network), ("prior", prior, Prior)):  # fmt: skip
        if value not in get_args(known):
            raise ConfigError(f"expected a {name} among {', '.join(get_args(known))}, got {value!r}")
    if isinstance(data, Table):
        data.require_fittable(2)
    if network == "conv" and not isinstance(data, Images):
        raise ConfigError("expected images for the network conv, got a table; leave network out")
    latents = latents if latents is not None else 16 if isinstance(data, Images) else min(8, data.event_shape[0])
    if latents < 1 or flow_layers < 1:
        raise ConfigError(
            f"expected at least 1 latent number and flow layer, got {latents} and {flow_layers}; use posterior='none' for no flow"
        )
    kind = likelihood_for(data, likelihood)
    shape, encoder, decoder = data.event_shape, None, None
    widths = tuple(hidden or ((300, 300) if isinstance(data, Images) else (128, 128)))
    outputs = (hidden or (16, 256))[1] if network == "conv" else widths[-1]
    with seeded(seed + 1):  # apart, so that what follows is drawn alike whatever the flow
        flow = _flow(posterior, latents, outputs, flow_layers)
    with seeded(seed):
        if network == "conv":
            width, outputs = hidden or (16, 256)
            encoder, decoder = GatedEncoder(shape, width, outputs), GatedDecoder(latents, shape, kind.size, width)
        else:
            encoder = DenseEncoder(shape, widths)
            decoder = DenseDecoder(latents, shape, kind.size, widths[::-1])
        q = FlowPosterior(encoder.outputs, latents, flow)
        start_narrow(q)
    before = realnvp(features=latents, layers=4, hidden=(64, 64), seed=seed) if prior == "flow" else None
    return VariationalAutoencoder(
        encoder, q, decoder, kind, before, warmup=warmup, free_bits=free_bits, gradient=gradient
    )


def start_narrow(q: FlowPosterior) -> None:
    """Let q begin near N(0, 1) for every row, so that the first bounds are finite and small."""
    with torch.no_grad():
        q.head.weight.mul_(0.1)
        nn.init.zeros_(q.head.bias)


def _flow(name: Posterior, latents: int, features: int, layers: int) -> Bijection | None:
    """The flow of this name, linear in the features, as the papers have it; IAF sees them beside z."""
    if name == "none":
        return None
    if name == "planar":
        return Chain([Planar(latents, condition=features, hidden=()) for _ in range(layers)])
    if name == "sylvester":
        # Triangular: no basis to make orthogonal, and turned about so that all numbers lead once.
        rank = min(latents, 32)
        return Chain([Sylvester(latents, rank, "triangular", None, bool(layer % 2), features, ()) for layer in range(layers)])  # fmt: skip
    # Turned round twice: the direction that is direct evaluates z exp(s) + t as it stands.
    transformer = InverseTransformer(AffineTransformer())
    width = max(64, 4 * latents)
    return Chain([Inverse(MaskedAutoregressive(transformer, MaskedMLP(latents, 2, (width,), "relu", features, order, zero_last=True)))
                  for order in turned(latents, layers)])  # fmt: skip
