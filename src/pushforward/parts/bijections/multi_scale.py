"""Multi-scale architecture: after each level, from data to noise, some of the channels have become noise and leave.

(h_i, e_i) = level_i^-1(h_{i-1}),  z = (h_L, e_{L-1}, .., e_1),  log abs dets add. Depth is spent on what is left, and the
noise has the size of the image (Dinh et al. 2017, section 3.6, https://arxiv.org/abs/1605.08803).
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Size, Tensor, nn

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import register


@register
class MultiScale(Bijection):
    """One flat vector of noise `(features,)` to an image `(channels, height, width)`, through `levels`, noise -> data.

    Every level takes the image that the one before it gave, and as many channels of fresh noise as its event has more:
    first come the channels of the image, then those of the noise. The vector holds the noise of the first level,
    flattened, then that of the second, and so on; so any base of vectors will do.

    A level that begins with an `ImageCoupling` of channels makes the fresh noise depend on the image so far: that is Glow's
    learned prior of what leaves, N(mean(h), exp(2 s(h))), of which this is the map from noise.

    Raises `ConfigError` for no levels, or for levels that do not fit together.

    >>> from pushforward.parts.bijections import Squeeze
    >>> two = MultiScale([Squeeze((2, 4, 4)), Squeeze((1, 8, 8))])
    >>> two.event_shape, two.output_shape
    (torch.Size([64]), torch.Size([1, 8, 8]))
    """

    def __init__(self, levels: Sequence[Bijection]):
        super().__init__()
        if not levels:
            raise ConfigError(
                "expected at least one level, got none; give bijections of images in the order noise -> data"
            )
        for i, (before, after) in enumerate(pairwise(levels)):
            given, wanted = before.output_shape, after.event_shape
            if len(wanted) != 3 or given[1:] != wanted[1:] or given[0] >= wanted[0]:
                raise ConfigError(f"expected level {i + 1} to take more channels than the image {tuple(given)} of level {i}, of its height "
                                  f"and width, got {tuple(wanted)}; squeeze between them, and let half of the channels leave")  # fmt: skip
        conditions = list({level.condition_shape for level in levels if level.condition_shape is not None})
        if len(conditions) > 1:
            raise ConfigError(f"expected one shape of condition for all levels, got {', '.join(str(tuple(c)) for c in conditions)}; "
                              "build them for the same one")  # fmt: skip
        fresh = [levels[0].event_shape]
        fresh += [Size((b.event_shape[0] - a.output_shape[0], *b.event_shape[1:])) for a, b in pairwise(levels)]
        self.fresh, self.sizes = fresh, [shape.numel() for shape in fresh]
        self.event_shape, self.output_shape = Size((sum(self.sizes),)), levels[-1].output_shape
        self.condition_shape = conditions[0] if conditions else None
        self.inverse_kind = "iterative" if any(level.inverse_kind == "iterative" for level in levels) else "exact"
        self.log_det_kind = "estimate" if any(level.log_det_kind == "estimate" for level in levels) else "exact"
        self.levels = nn.ModuleList(levels)

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        image, total = None, z.new_zeros(len(z))
        for level, noise, shape in zip(self._ordered(), z.split(self.sizes, 1), self.fresh):
            noise = noise.reshape(len(z), *shape)
            image = noise if image is None else torch.cat([image, noise], 1)
            image, log_det = level._forward(image, None if level.condition_shape is None else condition)
            total = total + log_det
        assert image is not None
        return image, total

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        image, total, parts = x, x.new_zeros(len(x)), []
        for level, shape in zip(reversed(self._ordered()), reversed(self.fresh)):
            image, log_det = level._inverse(image, None if level.condition_shape is None else condition)
            total = total + log_det
            stays = image.shape[1] - shape[0]
            parts.append(image[:, stays:].flatten(1))
            image = image[:, :stays]
        return torch.cat(parts[::-1], 1), total

    def _ordered(self) -> list[Bijection]:
        return [level for level in self.levels if isinstance(level, Bijection)]
