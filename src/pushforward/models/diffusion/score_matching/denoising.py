"""Denoising score matching: the score of blurred data, learned without ever knowing it.

J(s) = E 1/2 |s(x~) + (x~ - x) / sigma^2|^2 with x~ = x + sigma noise, so (x~ - x) / sigma^2 = noise / sigma.

It differs from 1/2 E |s - grad log p_sigma|^2, and from the implicit form E[tr ds/dx~ + 1/2 |s|^2], by constants only.
Vincent 2011, https://doi.org/10.1162/NECO_a_00142
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.shapes import sum_event


def denoising_score_matching(score: Callable[[Tensor], Tensor], x: Float[Tensor, "n *event"], noise: Float[Tensor, "n *event"],
                             sigma: float) -> Float[Tensor, " n"]:  # fmt: skip
    """1/2 |s(x + sigma noise) + noise / sigma|^2 for every row, to be averaged and minimised.

    `score` maps `(n, *event)` to the same shape; `noise` is standard normal; `sigma` is in the units of x.
    Raises `ConfigError` for a sigma that is not positive.

    >>> import torch
    >>> x, noise = torch.zeros(2, 3), torch.ones(2, 3)
    >>> denoising_score_matching(lambda y: -y, x, noise, 1.0)
    tensor([0., 0.])
    """
    if sigma <= 0:
        raise ConfigError(f"expected a positive sigma, got {sigma}; it is the standard deviation of the blur")
    return sum_event((score(x + sigma * noise) + noise / sigma).square()) / 2
