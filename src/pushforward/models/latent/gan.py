"""From data to an adversarial network of the right size."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.models.flows.columns import seeded
from pushforward.parts.data import Images, Table
from pushforward.parts.nn import MLP

from .critic import Critic
from .dense import DenseDecoder, DenseEncoder
from .gated import GatedDecoder, GatedEncoder
from .generative_adversarial import GenerativeAdversarial
from .units import Units


def gan(data: Images | Table | Tensor, *, latents: int | None = None, loss: Literal["non_saturating", "wasserstein"] = "non_saturating",
        penalty: float | None = None, network: Literal["dense", "conv"] = "dense", hidden: Sequence[int] | None = None,
        seed: int = 0) -> GenerativeAdversarial:  # fmt: skip
    """A generator and a critic for a table or for small images; labels and given columns are the condition.

    The baseline that is known to be unstable: look at the draws, not at the losses. Weights of a table's networks move fast; a learning rate
    of 1e-4 to 1e-3 is usual.

    Args:
        data: images, a table, or a tensor `(n, features)`.
        latents: numbers of noise: 32 for images, for a table as many as it has columns, at least 2.
        loss: "non_saturating" with R1, or "wasserstein" with the gradient penalty.
        penalty: its weight, in standardised units: 0.003 for R1 and 0.1 for "wasserstein"; for images 0.1 and 10.
        network: "dense", or for images "conv", gated convolutions.
        hidden: widths of the generator, and of the critic; of "conv" (channels, features).
        seed: of the first weights.

    Raises `ConfigError` for names that do not fit.

    >>> import torch
    >>> gan(Table.of(torch.rand(50, 3)).given("x2"), hidden=[8]).sample((), torch.rand(5, 1)).shape
    torch.Size([5, 2])
    """
    data = Table.of(data) if isinstance(data, Tensor) else data
    if network not in ("dense", "conv") or (network == "conv" and not isinstance(data, Images)):
        raise ConfigError(f"expected a network dense, or conv for images, got {network!r} for {type(data).__name__.lower()}; leave it out")  # fmt: skip
    shape, units = data.event_shape, Units.of(data)
    classes = data.classes if isinstance(data, Images) else None
    given = None if isinstance(data, Images) else data.condition
    width = classes or (0 if given is None else given.shape[1])
    latents = latents if latents is not None else 32 if isinstance(data, Images) else max(2, shape[0])
    if latents < 1:
        raise ConfigError(f"expected at least 1 number of noise, got {latents}; leave it out for the default")
    with seeded(seed):
        if network == "conv":
            channels, outputs = hidden or (16, 128)
            generator = GatedDecoder(latents + width, shape, 1, channels)
            encoder = GatedEncoder(shape, channels, outputs)
        else:
            widths = tuple(hidden or ((256, 256) if isinstance(data, Images) else (128, 128)))
            generator = DenseDecoder(latents + width, shape, 1, widths)
            encoder = DenseEncoder(shape, widths)
        critic = Critic(encoder, MLP(encoder.outputs, 1, (encoder.outputs,), condition=width))
    usual = (0.1, 10.0) if isinstance(data, Images) else (0.003, 0.1)
    weight = penalty if penalty is not None else usual[loss == "wasserstein"]
    moments = {} if given is None else {"condition_loc": given.mean(0), "condition_scale": given.std(0)}
    return GenerativeAdversarial(generator, critic, units, latents, loss=loss, penalty=weight, every=5 if loss == "wasserstein" else 1,
                                 classes=classes, **moments)  # fmt: skip
