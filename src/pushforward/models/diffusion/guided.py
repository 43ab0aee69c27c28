"""How a guide gets between a model and a sampler: a function that turns the model into another `Denoiser`.

A guide (or a sampler) that holds something for every row, such as labels or measurements, has `row_count`, how many rows it was
made for, and `rows(first, last)`, itself for these rows: draws are made in as many chunks as memory asks for.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.path import Path, Prediction
from pushforward.core.shapes import expand_right
from pushforward.parts.paths.angle import scale

from .denoiser import Denoiser

Guide = Callable[[Denoiser], Denoiser]


def guided(model: Denoiser, guide: Guide | None) -> Denoiser:
    """`guide(model)`, or the model itself without a guide. Raises `ConfigError` for what is no denoiser of the same path."""
    if guide is None:
        return model
    denoiser = guide(model)
    if not isinstance(denoiser, Denoiser):
        raise ConfigError(f"expected a guide that turns a model into a denoiser, got one that gives {type(denoiser).__name__}; "
                          "functools.partial(pf.diffusion.guidance.ClassifierFree, weight=2.0) is a guide")  # fmt: skip
    require_path("a guide", denoiser.path, model.path)
    return denoiser


def require_path(what: str, path: Path, wanted: Path) -> None:
    """Raise `ConfigError` unless both are the same path."""
    if path != wanted:
        raise ConfigError(f"expected {what} on the path of the model, {wanted}, got one on {path}; they share the noise, "
                          "so build both on one path")  # fmt: skip


def require_rows(part: Any, rows: int) -> None:
    """Raise `ShapeError` for a guide or a sampler that was made for another number of rows."""
    count = getattr(part, "row_count", None)
    if count is not None and count != rows:
        raise ShapeError(f"expected {rows} draws to have {rows} rows in {type(part).__name__}, got {count}; "
                         "give one label or measurement for each draw, or one for all")  # fmt: skip


def of_rows(part: Any, first: int, last: int) -> Any:
    """The part of a guide or a sampler that is about rows `first` to `last`; itself if it is the same for all rows."""
    return part.rows(first, last) if getattr(part, "row_count", None) is not None else part


def leaf(x: Tensor) -> Tensor:
    """A copy of x to differentiate by, whatever mode x was made in; to be called with gradients enabled."""
    return x.detach().clone().requires_grad_()


def tilted(path: Path, predict: Prediction, prediction: Tensor, gradient: Tensor, t: Tensor, weight: float = 1.0) -> Tensor:  # fmt: skip
    """The prediction for the density p_t(x_t) exp(weight h(x_t)), from that for p_t and `gradient` = dh/dy, y = x_t / scale(t).

    score' = score + weight dh/dx_t, and every prediction is x_t and the score, each times a number.

    >>> import torch
    >>> from pushforward.parts.paths import Cosine
    >>> zero, t = torch.zeros(1, 1), torch.tensor([0.5])
    >>> tilted(Cosine(), "noise", zero, torch.ones(1, 1), t)  # the noise is -sigma score
    tensor([[-0.7071]])
    """
    _, of_score = path.conversion("score", predict, t)
    return prediction + expand_right(weight * of_score / scale(path, t), gradient) * gradient
