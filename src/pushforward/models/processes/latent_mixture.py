"""The prediction of a process with a hidden variable: a mixture over draws of it.

p(y_1 .. y_m | C) = E_{q(z | C)} prod_j N(y_j; mu_j(z), sigma_j(z)^2), the mean over `draws` values of z. Given z the targets are
independent; z is one for all of them, so the mixture is joint and its draws are coherent functions.
Garnelo et al., 2018, Neural Processes, https://arxiv.org/abs/1807.01622, equation 4.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from pushforward.core.random import RowGenerator

PREDICTION_SEED = 20180704


def latent_mixture(
    mean: Float[Tensor, "n draws targets y_dim"], scale: Float[Tensor, "n draws targets y_dim"]
) -> MixtureSameFamily:
    """Equal parts of normal predictions; a draw `(n, targets, y_dim)` is a function of one part, and its noise.

    `component_distribution.mean` has the functions without noise.

    >>> latent_mixture(torch.zeros(2, 8, 5, 1), torch.ones(2, 8, 5, 1)).sample().shape
    torch.Size([2, 5, 1])
    """
    # Scales are above zero by construction, and the checks of PyTorch wait for the GPU.
    each = Independent(Normal(mean, scale, validate_args=False), 2, validate_args=False)
    return MixtureSameFamily(Categorical(logits=mean.new_zeros(mean.shape[:2])), each, validate_args=False)


def joint_log_prob(prediction: MixtureSameFamily, y: Float[Tensor, "n targets y_dim"],
                   mask: Bool[Tensor, "n targets"]) -> Float[Tensor, " n"]:  # fmt: skip
    """log p of the real targets of each function together, in nats: log-mean-exp over the draws, padding left out.

    By the concavity of the logarithm it is, on average over draws, below that of infinitely many draws.

    >>> prediction = latent_mixture(torch.zeros(1, 4, 2, 1), torch.ones(1, 4, 2, 1))
    >>> joint_log_prob(prediction, torch.zeros(1, 2, 1), torch.tensor([[True, False]]))
    tensor([-0.9189])
    """
    normals, weights = prediction.component_distribution, prediction.mixture_distribution
    assert isinstance(normals, Independent)
    assert isinstance(weights, Categorical)
    each = normals.base_dist.log_prob(torch.where(mask[..., None], y, 0.0)[:, None]).sum(-1)
    return (torch.where(mask[:, None], each, 0.0).sum(-1) + weights.logits.log_softmax(-1)).logsumexp(1)


def prediction_noise(
    n: int, draws: int, size: int, like: Tensor, generator: torch.Generator | None
) -> Float[Tensor, "n draws size"]:
    """Standard normal numbers for z; without a generator in pairs of opposite sign, the same for all rows and at every call.

    So the prediction of a function does not depend on its place in the batch, and places asked for in two calls fit together.
    """
    if generator is not None:
        return RowGenerator.of(generator, n, device=like.device).normal(draws, size, dtype=like.dtype)
    half = RowGenerator(PREDICTION_SEED, -(-draws // 2)).normal(size, dtype=like.dtype).to(like.device)
    return torch.cat([half, -half])[:draws].expand(n, -1, -1)
