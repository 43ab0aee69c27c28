r"""Sliced score matching: the implicit loss along random directions, one backward pass whatever the dimension.

    E_v[v' (ds/dx) v + 1/2 (v' s)^2]                 for E v v' = I
    E_v[v' (ds/dx) v] + 1/2 |s|^2                    with the second mean taken in closed form: less variance

Both have the mean of tr(ds/dx) + 1/2 |s|^2 over v. Directions are signs or standard normal numbers; signs have less variance.
Song, Garg, Shi and Ermon 2019, https://arxiv.org/abs/1905.07088, eqs. 7 and 8.
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from pushforward.core.shapes import sum_event
from pushforward.parts.numerics.divergence import pulled


def sliced_score_matching(score: Callable[[Tensor], Tensor], x: Float[Tensor, "n *event"], v: Float[Tensor, "n *event"],
                          ) -> Float[Tensor, " n"]:  # fmt: skip
    """v' (ds/dx) v + 1/2 (v' s)^2 for every row, with a direction v for each; to be averaged and minimised.

    `score` maps `(n, *event)` to the same shape, each row for itself. Raises `ShapeError` if it does not.

    >>> import torch
    >>> x, v = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, -1.0]])
    >>> sliced_score_matching(lambda y: -y, x, v).detach()  # -2 + 1 / 2
    tensor([-1.5000])
    """
    found, moved = pulled(score, x, v[None])
    return sum_event(moved[0] * v) + sum_event(found * v).square() / 2


def sliced_score_matching_vr(score: Callable[[Tensor], Tensor], x: Float[Tensor, "n *event"], v: Float[Tensor, "n *event"],
                             ) -> Float[Tensor, " n"]:  # fmt: skip
    """v' (ds/dx) v + 1/2 |s|^2 for every row: the one of reduced variance, for directions with E v v' = I.

    >>> import torch
    >>> x, v = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, -1.0]])
    >>> sliced_score_matching_vr(lambda y: -y, x, v).detach()  # -2 + 5 / 2
    tensor([0.5000])
    """
    found, moved = pulled(score, x, v[None])
    return sum_event(moved[0] * v) + sum_event(found.square()) / 2
