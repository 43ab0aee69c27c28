"""The training objective of conditional neural processes: guess whole functions from a random part of them.

-E log p(y_1 .. y_N | context of m points), m uniform on 0 .. N (Garnelo et al., 2018, https://arxiv.org/abs/1807.01613,
equation 4); the targets are all N points, those of the context among them. Per point, so that long functions count as
much as short ones.
"""

from typing import Any

import torch
from torch import Tensor

from pushforward.core.objective import Loss
from pushforward.core.process import Context
from pushforward.core.random import RowGenerator


def random_context(x: Tensor, y: Tensor, mask: Tensor, generator: RowGenerator) -> Context:
    """Keep a random part of the real points of each function: none, all, or any number between, equally likely."""
    keys = generator.uniform(mask.shape[1], dtype=torch.float64).masked_fill(~mask, torch.inf)
    rank = keys.argsort(1).argsort(1)
    # floor(u (N + 1)) is uniform on 0 .. N for each function's own N.
    size = (generator.uniform(1, dtype=torch.float64) * (mask.sum(1, keepdim=True) + 1)).long()
    return Context(x, y, mask & (rank < size))


def log_likelihood_per_point(prediction: torch.distributions.Distribution, y: Tensor, mask: Tensor) -> Tensor:
    """Mean over the real points of each function of log p(y_j | context), `(n,)`, for independent predictions.

    `prediction` is `Independent(Normal)` over (targets, y_dim), whose parts are scored one by one so that padding can
    be left out.
    """
    if not isinstance(prediction, torch.distributions.Independent):
        raise TypeError(f"expected a prediction independent over the targets, got {type(prediction).__name__}")
    each = prediction.base_dist.log_prob(torch.where(mask[..., None], y, 0.0)).sum(-1)
    return torch.where(mask, each, 0.0).sum(1) / mask.sum(1).clamp(min=1)


def context_likelihood(model: Any, batch: Any, generator: RowGenerator) -> Loss:
    """Minus the log-likelihood per target point given a random context, averaged over the functions of the batch."""
    x = torch.where(batch.mask[..., None], batch.x, 0.0)
    context = random_context(x, batch.y, batch.mask, generator)
    likelihood = log_likelihood_per_point(model.predict(context, x), batch.y, batch.mask).mean()
    return Loss(-likelihood, {"log_likelihood_per_point": likelihood.detach()})
