"""NCSN: one network for the score at every level of a geometric ladder of noise, from beyond the data to almost nothing.

E_i sigma_i^2 E |s(x~, sigma_i) - grad log q(x~ | x)|^2 with x~ = x + sigma_i noise: the weight sigma_i^2 makes the levels count
alike, and turns the loss into E |noise_theta - noise|^2 for s = -noise_theta / sigma. sigma_1 is the largest distance of two rows of the
data, so that from one mode every other is seen. Song and Ermon 2019, https://arxiv.org/abs/1907.05600; the ladder as in Song and Ermon
2020, https://arxiv.org/abs/2006.09011.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.shapes import as_size
from pushforward.parts.data import Images, Table
from pushforward.parts.paths.noise_ladder import NoiseLadder, ladder_length

from .assemble import Source, assemble
from .diffusion import Diffusion

ROWS = 2000  # of which all pairs are looked at


def ncsn(data: Source = None, *, event_shape: int | Sequence[int] | None = None, classes: int | None = None, levels: int | None = None,
         width: int | None = None, sigma_min: float = 0.01, sigma_max: float | None = None, ladder: int | None = None) -> Diffusion:  # fmt: skip
    """The score at all levels of a `NoiseLadder`; the network is told the level.

    Args:
        sigma_min, sigma_max: the ends of the ladder, in model units (those of standardised numbers, or of pixels from -1 to 1). By
            default sigma_max is `largest_distance(data)`; without data it must be given.
        ladder: how many levels; by default as many as events of this size need.
        The other arguments are those of `ddpm`.

    Training draws levels between those of the ladder too, of which sampling uses the ladder's. The sampler of the papers is
    `pf.diffusion.samplers.AnnealedLangevin()`; all others work as well. Raises `ConfigError` without data and sigma_max.

    >>> ncsn(event_shape=2, sigma_max=8.0).path
    NoiseLadder(sigma_min=0.01, sigma_max=8.0, levels=31)
    """
    if sigma_max is None:
        if data is None:
            raise ConfigError("expected data or sigma_max=, the largest distance of two rows of them, got neither")
        sigma_max = max(largest_distance(data), 2 * sigma_min)
    if data is None:
        shape = as_size(event_shape if event_shape is not None else ())
    else:
        shape = (
            data.shape
            if isinstance(data, Images)
            else as_size(data.features if isinstance(data, Table) else data.shape[1:])
        )
    count = ladder_length(math.prod(shape), sigma_min, sigma_max) if ladder is None else ladder
    return assemble(NoiseLadder(sigma_min, sigma_max, count), "noise", data, event_shape, classes, levels, width)


def largest_distance(data: Images | Table | Tensor) -> float:
    """The largest Euclidean distance of two rows in model units: of all pairs of up to 2,000 rows.

    Of larger data, 2,000 evenly spaced rows are looked at, and the true distance is a little larger.

    >>> largest_distance(torch.tensor([[-1.0], [1.0]])) == 2 / 2**0.5  # standardised by the deviation of the sample
    True
    """
    index = torch.linspace(0, len(data) - 1, min(len(data), ROWS), dtype=torch.float64).round().long()
    if isinstance(data, Images):
        rows = 2 * (data.take(index).x.double() + 0.5) / data.levels - 1
    else:
        values = data.values if isinstance(data, Table) else data
        rows = values[index.to(values.device)].double() / values.double().std(0)
    return torch.cdist(rows.flatten(1), rows.flatten(1)).max().item()
