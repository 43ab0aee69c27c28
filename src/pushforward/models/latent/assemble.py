"""From data to a latent diffusion of the right size, for an autoencoder that is trained, or to train both at once."""

import copy
from functools import partial
from typing import Literal, get_args

import torch
from torch import Size, Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.models.diffusion import Diffusion, ScaledCondition
from pushforward.models.diffusion.dit import transformer
from pushforward.parts.data import Images, Table
from pushforward.parts.nn import TimeMLP, UNet
from pushforward.parts.paths import Cosine

from .autoencoder import Autoencoder
from .autoencoder import autoencoder as new_autoencoder
from .latent_diffusion import LatentDiffusion

Backbone = Literal["unet", "dit"]


def latent_diffusion(data: Images | Table | Tensor, *, autoencoder: Autoencoder | None = None, latents: int | None = None,
                     factor: int = 2, width: int | None = None, kl: float = 1e-6, backbone: Backbone = "unet",
                     joint: bool | None = None) -> LatentDiffusion:  # fmt: skip
    """v prediction on the cosine path, in the latents of an autoencoder; labels and given columns are the condition.

    Without an `autoencoder` one `pf.fit` trains both at once, the diffusion on latents as they are at the moment. With one that has been
    fitted, a copy of it is kept as it is, latents are standardised by their moments over the data, and `pf.fit` trains the diffusion.

    Args:
        data: images, a table, or a tensor `(n, features)`.
        autoencoder: as `pf.latent.autoencoder` makes it; its sizes are then its own.
        latents, factor, kl: those of `pf.latent.autoencoder`, without one.
        width: of the network of the diffusion: channels of the U-Net (32), numbers of a token of "dit" (128), hidden units (128).
        backbone: of the diffusion of images: "unet" or "dit", the diffusion transformer.
        joint: train the autoencoder as well; by default if none is given.

    >>> model = latent_diffusion(torch.randn(50, 3), latents=2)
    >>> model.diffusion.event_shape, model.joint
    (torch.Size([2]), True)
    """
    if backbone not in get_args(Backbone):
        raise ConfigError(f"expected a backbone among {', '.join(get_args(Backbone))}, got {backbone!r}")
    data = Table.of(data) if isinstance(data, Tensor) else data
    if autoencoder is not None and not (latents is None and factor == 2 and kl == 1e-6):
        raise ConfigError("expected no latents, factor or kl beside an autoencoder, which has its own; leave them out")
    if autoencoder is not None and autoencoder.event_shape != data.event_shape:
        raise ConfigError(f"expected an autoencoder of events {tuple(data.event_shape)}, got one of {tuple(autoencoder.event_shape)}; "
                          "build it from the same data")  # fmt: skip
    stage = copy.deepcopy(autoencoder) if autoencoder else new_autoencoder(data, latents=latents, factor=factor, kl=kl)
    loc, scale = latent_moments(stage, data)
    if isinstance(data, Images):
        network = image_network(backbone, stage.latent_shape, data.classes, width)
        diffusion = Diffusion(network, Cosine(), stage.latent_shape, "v", classes=data.classes)
    else:
        if backbone == "dit":
            raise ConfigError("expected images for the backbone dit, got a table; leave backbone out")
        diffusion = _of_vectors(stage.latent_shape, data.condition, width)
    return LatentDiffusion(stage, diffusion, loc, scale, autoencoder is None if joint is None else joint)


def image_network(backbone: Backbone, shape: Size, classes: int | None, width: int | None) -> nn.Module:
    """The network for latents `(channels, rows, columns)`."""
    if backbone == "dit":
        return partial(transformer, width=width, layers=4)(shape, classes, shape[0])
    return UNet(shape[0], shape[1:], width=width or 32, classes=classes)


def _of_vectors(shape: Size, given: Tensor | None, width: int | None) -> Diffusion:
    features = 0 if given is None else given.shape[1]
    network: nn.Module = TimeMLP(shape[0], hidden=width or 128, condition=features)
    if given is not None:
        network = ScaledCondition(network, given.mean(0), given.std(0))
    return Diffusion(network, Cosine(), shape, "v", condition_features=features or None)


@torch.no_grad()
def latent_moments(stage: Autoencoder, data: Images | Table, most: int = 4096) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of q's draws over the data (at most so many rows, evenly spread), for each channel."""
    rows = torch.linspace(0, len(data) - 1, min(len(data), most)).long()
    device = stage.log_std.device
    means, log_stds = zip(*(stage.posterior(stage.units.to_model(data.take(part).x.to(device), None)) for part in rows.split(512)))  # fmt: skip
    mean, log_std = torch.cat(means), torch.cat(log_stds)
    others = [axis for axis in range(mean.ndim) if axis != 1]
    loc = mean.mean(others)
    variance = mean.var(others, correction=0) + (2 * log_std).exp().mean(others)
    return loc, variance.sqrt().clamp(min=1e-6)
