"""The training objectives of processes with a latent vector: a bound by its posterior, or an estimate by its prior.

elbo: E_{q(z | all)} sum_j log p(y_j | z) - KL(q(z | all) || q(z | context)), Garnelo et al., 2018,
https://arxiv.org/abs/1807.01622, equation 9, with all points for targets, those of the context among them;
npml: log (1/K) sum_k prod_j p(y_j | z_k), z_k ~ q(z | context), Foong et al., 2020, https://arxiv.org/abs/2007.01332, equation 5.
Both are sums over the targets, divided by their number once at the end, so that long functions count as much as short ones.
"""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Independent, kl_divergence

from pushforward.core.objective import Loss
from pushforward.core.process import Context
from pushforward.core.random import RowGenerator

from .latent_mixture import joint_log_prob, latent_mixture
from .likelihood import random_context


def log_likelihoods(parts: Independent, y: Tensor, mask: Tensor) -> Tensor:
    """sum_j log p(y_j | z_k) over the real points, `(n, draws)`, for parts of batch `(n, draws)`."""
    each = parts.base_dist.log_prob(torch.where(mask[..., None], y, 0.0)[:, None]).sum(-1)
    return torch.where(mask[:, None], each, 0.0).sum(-1)


def neural_process_elbo(model: Any, batch: Any, generator: RowGenerator) -> Loss:
    """Minus the evidence lower bound per target point given a random context, averaged over the functions of the batch."""
    x, context, count = _setting(batch, generator)
    q, prior = model.posterior(Context(x, batch.y, batch.mask)), model.posterior(context)
    z = _draws(model, q, generator)
    likelihood = log_likelihoods(model.decode(z, context, x), batch.y, batch.mask).mean(1) / count
    divergence = kl_divergence(q, prior).sum(-1) / count
    value = (likelihood - divergence).mean()
    return Loss(-value, {"bound_per_point": value.detach(), "divergence_per_point": divergence.mean().detach()})


def neural_process_likelihood(model: Any, batch: Any, generator: RowGenerator) -> Loss:
    """Minus the log-mean-exp of the likelihoods of latent vectors that saw the context alone, per target point."""
    x, context, count = _setting(batch, generator)
    z = _draws(model, model.posterior(context), generator)
    parts = model.decode(z, context, x).base_dist
    value = (joint_log_prob(latent_mixture(parts.mean, parts.stddev), batch.y, batch.mask) / count).mean()
    return Loss(-value, {"log_likelihood_per_point": value.detach()})


def _setting(batch: Any, generator: RowGenerator) -> tuple[Tensor, Context, Tensor]:
    x = torch.where(batch.mask[..., None], batch.x, 0.0)
    return x, random_context(x, batch.y, batch.mask, generator.fork(0)), batch.mask.sum(1).clamp(min=1)


def _draws(model: Any, q: Any, generator: RowGenerator) -> Tensor:
    noise = generator.fork(1).normal(model.training_draws, model.latents, dtype=q.mean.dtype)
    return q.mean[:, None] + q.stddev[:, None] * noise
