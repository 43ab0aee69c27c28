"""Classifier-free guidance: away from what the model says without a label, towards what it says with one.

prediction = without + weight (with - without): the score of p_t(x) p_t(label | x)^weight, where the classifier is the one that the
model implies by Bayes' rule. All predictions (noise, data, v, ...) are x_t and the score times numbers, so the rule is the same for each.
Ho and Salimans 2022, https://arxiv.org/abs/2207.12598; their w is `weight` - 1.
"""

import math

import torch
from torch import Tensor, nn

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.path import Path, Prediction
from pushforward.core.registry import register
from pushforward.models.diffusion.denoiser import Denoiser


@register
class ClassifierFree(nn.Module):
    """A `Denoiser`: `model` with its labels weighed by `weight`; 1 is the model itself, 0 the model without labels.

    The model must take labels or none, as one built with `classes=` and trained with `Denoising(drop_condition=...)` does. Beyond 1,
    samples are more typical of their class and less varied: with guidance p_t is no longer the marginal of any process, so it
    is a heuristic, not a posterior. One evaluation of twice the rows a step.

    Raises `ConfigError` for a model without classes or a weight that is not finite, `ShapeError` when no label is given.

    >>> import functools
    >>> import pushforward as pf
    >>> model = pf.diffusion.flow_matching(event_shape=2, classes=3)
    >>> guide = functools.partial(ClassifierFree, weight=3.0)
    >>> model.sample(condition=torch.tensor([0, 2, 2]), guide=guide).shape
    torch.Size([3, 2])
    """

    path: Path
    predict: Prediction

    def __init__(self, model: Denoiser, weight: float = 2.0):
        super().__init__()
        classes = getattr(model, "classes", None)
        if classes is None:
            raise ConfigError(f"expected a model with labels, got a {type(model).__name__} without classes; build it with classes=, "
                              "or guide it by a classifier")  # fmt: skip
        require_finite(weight)
        self.model, self.weight, self.classes = model, weight, classes
        self.path, self.predict = model.path, model.predict

    def forward(self, y: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        """The guided prediction; the condition holds labels `(n,)`."""
        if condition is None:
            raise ShapeError(f"expected labels 0 .. {self.classes - 1} to guide towards, got none; pass condition=")
        if self.weight == 1:
            return self.model(y, t, condition)
        none = torch.full_like(condition, self.classes)
        if self.weight == 0:
            return self.model(y, t, none)
        both = self.model(torch.cat([y, y]), torch.cat([t, t]), torch.cat([condition, none]))
        given, free = both.chunk(2)
        return torch.lerp(free, given, self.weight)


def require_finite(weight: float) -> None:
    """Raise `ConfigError` for a weight that is NaN or infinite."""
    if not math.isfinite(weight):
        raise ConfigError(f"expected a finite weight, got {weight}; 1 is no more guidance than Bayes' rule has")
