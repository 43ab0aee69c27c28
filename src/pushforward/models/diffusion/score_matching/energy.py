"""From an energy to its score: p(x) = exp(-E(x)) / Z has grad log p = -grad E, and Z is gone."""

from collections.abc import Callable

import torch
from torch import Tensor

from pushforward.core.errors import ShapeError


def score_of(energy: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """x `(n, *event)` -> -grad E(x), of the same shape, by autodiff; with a graph where gradients are enabled.

    `energy` maps `(n, *event)` to `(n,)`, each row for itself; for a density, give `lambda x: -model.log_prob(x)`.
    Raises `ShapeError` for another shape.

    >>> score_of(lambda x: x.square().sum(1) / 2)(torch.tensor([[1.0, -2.0]])).tolist()
    [[-1.0, 2.0]]
    """

    def score(x: Tensor) -> Tensor:
        keep = torch.is_grad_enabled()
        with torch.inference_mode(False), torch.enable_grad():
            if not (keep and x.requires_grad):
                x = (x.clone() if x.is_inference() else x.detach()).requires_grad_()
            value = energy(x)
            if value.shape != x.shape[:1]:
                raise ShapeError(f"expected an energy of shape ({len(x)},), one number a row, got {tuple(value.shape)}; sum over "
                                 "the event")  # fmt: skip
            (slope,) = torch.autograd.grad(value.sum(), x, create_graph=keep)
        return -slope

    return score
