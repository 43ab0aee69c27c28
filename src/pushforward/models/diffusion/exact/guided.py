"""What a guided model samples at every time: p_t(x) p_t(c | x)^w, up to a constant.

Weight 0 is the mixture, 1 the class, and more than 1 what guidance draws from at each noise level (not what it ends at: the
densities of different times do not belong to one diffusion). Ho and Salimans 2022, https://arxiv.org/abs/2207.12598.
"""

from torch import Tensor

from pushforward.core.path import Path

from .mixture import GaussianMixture


def guided_log_density(mixture: GaussianMixture, x_t: Tensor, t: Tensor, path: Path, label: Tensor, weight: float) -> Tensor:  # fmt: skip
    """log p_t(x_t) + weight log p_t(label | x_t), `(n,)`, not normalised."""
    return mixture.log_prob_at(x_t, t, path) + weight * mixture.class_log_prob_at(x_t, t, path, label)


def guided_score(mixture: GaussianMixture, x_t: Tensor, t: Tensor, path: Path, label: Tensor, weight: float) -> Tensor:
    """Its gradient, `(n, d)`: (1 - weight) score + weight score of the class."""
    free = mixture.predicted(x_t, t, path, "score")
    return free + weight * (mixture.predicted(x_t, t, path, "score", label) - free)
