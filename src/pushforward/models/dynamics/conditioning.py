"""What the models of series share: masks of contexts, and which points a model is shown."""

import torch
from torch import Tensor

from pushforward.core.process import Context
from pushforward.core.random import RowGenerator
from pushforward.parts.data import SeriesBatch

CONTEXTS = ("all", "random", "past")


def channel_mask(context: Context) -> Tensor:
    """The mask of a context for each channel, `(n, points, channels)`."""
    mask = context.mask
    return mask if mask.ndim == 3 else mask[..., None].expand(context.y.shape)


def condition_on(kind: str, batch: SeriesBatch, generator: RowGenerator) -> Context:
    """The points of a batch of series that a model is shown: "all", a "random" part, or those of the "past".

    A part has none, all, or any number of a row's points, equally likely.
    """
    t, observed = batch.t, batch.observed
    real = observed.any(-1)
    if kind != "all":
        keys = generator.uniform(t.shape[1], dtype=torch.float64) if kind == "random" else t.double()
        rank = keys.masked_fill(~real, torch.inf).argsort(dim=1, stable=True).argsort(1)
        size = (generator.fork(1).uniform(1, dtype=torch.float64) * (real.sum(1, keepdim=True) + 1)).long()
        observed = observed & (rank < size)[..., None]
    return Context(t[..., None], batch.x, observed)
