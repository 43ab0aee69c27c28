"""From data to a model of the right size: what the named models of this folder share."""

from collections.abc import Callable, Sequence

import torch
from torch import Size, Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.core.objective import Objective
from pushforward.core.path import Path, Prediction
from pushforward.core.shapes import as_size
from pushforward.parts.data import Images, Table
from pushforward.parts.nn import TimeMLP, UNet

from .diffusion import Diffusion
from .scaled_condition import ScaledCondition

Source = Images | Table | Tensor | None
Wrap = Callable[[nn.Module, Path], nn.Module]
ImageNetwork = Callable[[Size, int | None, int], nn.Module]


def assemble(path: Path, predict: Prediction, data: Source, event_shape: int | Sequence[int] | None, classes: int | None,
             levels: int | None, width: int | None, *, loss: Objective | None = None, learned_variance: bool = False,
             wrap: Wrap | None = None, image_network: ImageNetwork | None = None) -> Diffusion:  # fmt: skip
    """A `Diffusion` for these data, or for events of this shape when there are none yet.

    `wrap(network, path)` is put around the network, if given. `image_network(shape, classes, output channels)` makes the network of
    images in the place of a U-Net; there are no such networks for vectors.
    """
    if (data is None) == (event_shape is None):
        raise ConfigError(
            "expected data or event_shape=, one of the two, got " + ("neither" if data is None else "both")
        )
    if data is not None and not (classes is levels is None):
        raise ConfigError(
            "expected no classes and levels beside data, which know their own; leave them out, or use images.unlabelled()"
        )
    if isinstance(data, Images):
        return assemble(path, predict, None, data.shape, data.classes, data.levels, width, loss=loss,
                        learned_variance=learned_variance, wrap=wrap, image_network=image_network)  # fmt: skip
    if image_network is not None and (data is not None or len(as_size(event_shape or ())) != 3):
        raise ConfigError("expected images for this backbone, got vectors; leave backbone out")
    around = wrap or (lambda network, path: network)
    if data is not None:
        table = data if isinstance(data, Table) else Table.of(data)
        return _for_table(path, predict, table, width, loss, learned_variance, around)
    shape = as_size(event_shape if event_shape is not None else ())
    if len(shape) not in (1, 3):
        raise ConfigError(f"expected events of shape (features,) or (channels, height, width), got {tuple(shape)}; reshape them, or "
                          "build Diffusion with a network of your own")  # fmt: skip
    outputs = shape[0] * (2 if learned_variance else 1)
    if len(shape) == 1:
        network: nn.Module = TimeMLP(shape[0], hidden=width or 256, classes=classes, outputs=outputs)
    elif image_network is not None:
        network = image_network(shape, classes, outputs)
    else:
        patch = _patch(max(shape[1:]))
        network = UNet(shape[0], shape[1:], width=width or 32, classes=classes, patch=patch, outputs=outputs)
    return Diffusion(around(network, path), path, shape, predict, classes=classes, levels=levels, loss=loss,
                     learned_variance=learned_variance)  # fmt: skip


def _for_table(path: Path, predict: Prediction, table: Table, width: int | None, loss: Objective | None, learned_variance: bool,
               around: Wrap) -> Diffusion:  # fmt: skip
    table.require_fittable(2)
    whole = torch.tensor([column.kind == "integer" for column in table.columns])
    # Dequantising moves whole numbers by 1/2 on average and adds the variance 1/12.
    loc = table.values.mean(0) + 0.5 * whole
    scale = (table.values.var(0) + whole / 12).sqrt()
    given = table.condition
    outputs = table.features * (2 if learned_variance else 1)
    network: nn.Module = TimeMLP(table.features, hidden=width or 256, condition=0 if given is None else given.shape[1], outputs=outputs)  # fmt: skip
    network = around(network, path)
    if given is not None:
        network = ScaledCondition(network, given.mean(0), given.std(0))
    return Diffusion(network, path, table.event_shape, predict, condition_features=None if given is None else given.shape[1],
                     loc=loc, scale=scale, integer=whole, loss=loss, learned_variance=learned_variance)  # fmt: skip


def _patch(side: int) -> int:
    """The power of two that leaves at most 16 x 16 places to the U-Net: two cores afford no more."""
    patch = 1
    while side > 16 * patch:
        patch *= 2
    return patch
