"""Predictions number by number: densities, quantiles and scores of the marginals of any predictive distribution.

A prediction of series or functions is a distribution over `(points, channels)`, often a joint one. Here each of its numbers is
taken on its own, which any model can be asked for and any two models compared by.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from pushforward.core.random import mix

from .crps import crps, crps_from_samples

_HALVINGS = 30


def marginal_log_prob(
    prediction: Distribution, y: Float[Tensor, "n points channels"]
) -> Float[Tensor, "n points channels"]:
    """log p of every number on its own, exactly for independent numbers and for mixtures of them.

    Any other distribution (a multivariate normal) is asked for mean and standard deviation, and its marginals taken as normal.

    >>> marginal_log_prob(Independent(Normal(torch.zeros(1, 3, 2), 1.0), 2), torch.zeros(1, 3, 2)).shape
    torch.Size([1, 3, 2])
    """
    parts = _mixture(prediction)
    if parts is not None:
        weight, each = parts
        return (each.log_prob(y[:, None]) + weight[..., None, None]).logsumexp(1)
    return _single(prediction).log_prob(y)


def marginal_cdf(prediction: Distribution, y: Float[Tensor, "n points channels"]) -> Float[Tensor, "n points channels"]:
    """The probability that each number is at most `y`: uniform where the prediction is right."""
    parts = _mixture(prediction)
    if parts is not None:
        weight, each = parts
        return (each.cdf(y[:, None]) * weight.exp()[..., None, None]).sum(1)
    return _single(prediction).cdf(y)


def marginal_quantiles(prediction: Distribution, levels: Sequence[float]) -> Float[Tensor, "levels n points channels"]:
    """Quantiles of every number on its own; those of a mixture by halving the interval between the quantiles of its parts.

    >>> low, high = marginal_quantiles(Independent(Normal(torch.zeros(1, 3, 2), 1.0), 2), (0.05, 0.95))
    >>> bool((high + low).abs().max() < 1e-6)
    True
    """
    parts = _mixture(prediction)
    if parts is None:
        single = _single(prediction)
        return torch.stack([single.icdf(torch.full_like(single.mean, level)) for level in levels])
    weight, each = parts[0].exp()[..., None, None], parts[1]
    found = []
    for level in levels:
        edges = each.icdf(torch.full_like(each.mean, level))
        low, high = edges.amin(1), edges.amax(1)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            above = (each.cdf(middle[:, None]) * weight).sum(1) > level
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        found.append((low + high) / 2)
    return torch.stack(found)


def marginal_crps(
    prediction: Distribution, y: Float[Tensor, "n points channels"], *, draws: int = 400, seed: int = 0
) -> Float[Tensor, "n points channels"]:
    """CRPS of every number on its own: in closed form for normal ones, otherwise from `draws` draws."""
    if isinstance(prediction, Independent) and isinstance(prediction.base_dist, Normal):
        return crps(prediction.base_dist.mean, prediction.base_dist.stddev, y)
    return crps_from_samples(draw_seeded(prediction, draws, seed), y)


def draw_seeded(prediction: Distribution, draws: int, seed: int) -> Float[Tensor, "draws n points channels"]:
    """Draws that depend on the seed; PyTorch's own generators are left as they were."""
    device = prediction.mean.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad():
        torch.manual_seed(mix(seed, 5))
        parts = _mixture(prediction)
        if parts is None or not isinstance(parts[1], Normal):
            return prediction.sample(torch.Size([draws]))
        # PyTorch draws from every part and keeps one, which is too much memory for long series of many channels.
        weight, each = parts
        row = torch.arange(len(weight), device=device)
        chosen = Categorical(logits=weight).sample(torch.Size([draws]))
        return torch.normal(each.mean[row, chosen], each.stddev[row, chosen])


def _mixture(prediction: Distribution) -> tuple[Tensor, Distribution] | None:
    """log weights `(n, parts)` and the distributions of the numbers `(n, parts, points, channels)` of a mixture."""
    if not isinstance(prediction, MixtureSameFamily):
        return None
    each, mixing = prediction.component_distribution, prediction.mixture_distribution
    if not isinstance(each, Independent) or not isinstance(mixing, Categorical):
        return None
    return mixing.logits.log_softmax(-1), each.base_dist


def _single(prediction: Distribution) -> Distribution:
    """The distribution of each number, normal where the prediction does not have it apart."""
    if isinstance(prediction, Independent) and prediction.base_dist.batch_shape == prediction.mean.shape:
        return prediction.base_dist
    return Normal(prediction.mean, prediction.stddev)
