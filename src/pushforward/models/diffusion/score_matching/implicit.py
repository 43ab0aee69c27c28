r"""Explicit and implicit score matching: the Fisher divergence of a score from that of the data, with and without knowing it.

    explicit   1/2 E |s(x) - grad log p(x)|^2
    implicit   E[tr(ds/dx) + 1/2 |s(x)|^2]

Integration by parts turns the mixed term -E[s' grad log p] = -int s' grad p dx into +E[tr ds/dx], where p s vanishes far out; so
the two differ by 1/2 E |grad log p|^2, which no parameter of s moves. The trace is that of the Jacobian of s.
Hyvarinen 2005, https://jmlr.org/papers/v6/hyvarinen05a.html, theorem 1.
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from pushforward.core.errors import ShapeError
from pushforward.core.shapes import sum_event
from pushforward.parts.numerics.divergence import divergence_exact


def explicit_score_matching(score: Callable[[Tensor], Tensor], x: Float[Tensor, "n *event"], target: Float[Tensor, "n *event"],
                            ) -> Float[Tensor, " n"]:  # fmt: skip
    """1/2 |s(x) - target|^2 for every row, where `target` is the true score at x.

    `score` maps `(n, *event)` to the same shape. Raises `ShapeError` for another.

    >>> import torch
    >>> x = torch.tensor([[1.0, 2.0]])
    >>> explicit_score_matching(lambda y: -2 * y, x, -x)
    tensor([2.5000])
    """
    found = score(x)
    if found.shape != x.shape:
        raise ShapeError(
            f"expected a score of the shape of x, {tuple(x.shape)}, got {tuple(found.shape)}; it is a vector field"
        )
    return sum_event((found - target).square()) / 2


def implicit_score_matching(score: Callable[[Tensor], Tensor], x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
    """tr(ds/dx) + 1/2 |s(x)|^2 for every row, to be averaged and minimised; the trace is exact.

    `score` maps `(n, *event)` to the same shape, each row for itself. As many backward passes as an event has numbers: for more
    than some tens of them, take `sliced_score_matching_vr` or `denoising_score_matching`.
    Raises `ShapeError` if the score has another shape than x.

    >>> import torch
    >>> implicit_score_matching(lambda y: -y, torch.tensor([[1.0, 2.0]])).detach()  # -2 + 5 / 2
    tensor([0.5000])
    """
    found, trace = divergence_exact(score, x)
    return trace + sum_event(found.square()) / 2
