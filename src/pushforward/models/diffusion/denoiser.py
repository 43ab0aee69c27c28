"""What samplers, likelihood and guidance ask of a model: a prediction on a path."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from pushforward.core.path import Path, Prediction


@runtime_checkable
class Denoiser(Protocol):
    """`model(y, t, condition)` predicts `predict` from y = x_t / sqrt(alpha^2 + sigma^2).

    `y` is `(n, *event)` in model units, of unit scale on every path; `t` is `(n,)`; `condition` has n rows or is None.
    Whatever changes a prediction (guidance, say) is another denoiser, and no sampler needs to know of it.
    """

    path: Path
    predict: Prediction

    def __call__(self, y: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        """The prediction, of the shape of y."""
        ...
