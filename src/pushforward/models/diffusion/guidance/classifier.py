"""Classifier guidance: the score of p_t(x | label) from that of p_t(x) and a classifier that was trained apart.

score(x_t | label) = score(x_t) + weight grad log p_t(label | x_t), where p_t(label | x_t) is a classifier of noised data: the one of
clean data says nothing about them. With weight 1 it is Bayes' rule and no approximation.
Song et al. 2021, https://arxiv.org/abs/2011.13456, section 5; Dhariwal and Nichol 2021, https://arxiv.org/abs/2105.05233.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.path import Path, Prediction
from pushforward.core.registry import register
from pushforward.models.diffusion.denoiser import Denoiser
from pushforward.models.diffusion.guided import leaf, of_rows, require_path, tilted

from .classifier_free import require_finite


@register
class ClassifierGuidance(nn.Module):
    """A `Denoiser`: `model` steered to `labels` by `classifier(y, t)`, which gives logits `(n, classes)`.

    y and t are those of a `Denoiser`: y is in model units, of unit scale at every t. `TimeClassifier` is such a classifier. `labels` is one
    for all rows, or `(n,)` of them. The model may have a condition of its own, which passes through.

    Raises `ConfigError` for a classifier on another path, for another number of classes than the model has, and for a weight
    that is not finite; `ShapeError` for labels that are out of range or not `(n,)` whole numbers.

    >>> import functools
    >>> import pushforward as pf
    >>> model = pf.diffusion.flow_matching(event_shape=2)
    >>> classifier = pf.diffusion.guidance.time_classifier(model=model, classes=3)
    >>> model.sample(5, guide=functools.partial(ClassifierGuidance, classifier=classifier, labels=2)).shape
    torch.Size([5, 2])
    """

    path: Path
    predict: Prediction

    def __init__(self, model: Denoiser, classifier: Callable[[Tensor, Tensor], Tensor], labels: Tensor | int, weight: float = 1.0):  # fmt: skip
        super().__init__()
        require_path("a classifier", getattr(classifier, "path", model.path), model.path)
        classes, own = getattr(classifier, "classes", None), getattr(model, "classes", None)
        if None not in (classes, own) and classes != own:
            raise ConfigError(f"expected a classifier of the model's {own} classes, got one of {classes}; train it on the same labels")  # fmt: skip
        require_finite(weight)
        labels = torch.as_tensor(labels)
        if labels.ndim > 1 or labels.is_floating_point() or labels.is_complex():
            raise ShapeError(f"expected a whole-number label, or labels of shape (n,), got {labels.dtype} of shape {tuple(labels.shape)}; "
                             "use labels.long().flatten()")  # fmt: skip
        if (
            classes is not None
            and len(labels.reshape(-1))
            and not 0 <= int(labels.min()) <= int(labels.max()) < classes
        ):
            raise ShapeError(f"expected labels in 0 .. {classes - 1}, got {int(labels.min())} to {int(labels.max())}; "
                             "the classifier knows no others")  # fmt: skip
        self.model, self.classifier, self.labels, self.weight = model, classifier, labels.long(), weight
        self.path, self.predict = model.path, model.predict

    @property
    def row_count(self) -> int | None:
        """For how many rows there are labels; None when one is for all."""
        return len(self.labels) if self.labels.ndim else getattr(self.model, "row_count", None)

    def rows(self, first: int, last: int) -> "ClassifierGuidance":
        """This guide for some of its rows."""
        labels = self.labels[first:last] if self.labels.ndim else self.labels
        return ClassifierGuidance(of_rows(self.model, first, last), self.classifier, labels, self.weight)

    def forward(self, y: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        """The guided prediction."""
        with torch.inference_mode(False), torch.enable_grad():
            at = leaf(y)
            log_p = self.classifier(at, t.clone()).log_softmax(1)
            labels = self.labels.to(y.device).expand(len(y))
            (gradient,) = torch.autograd.grad(log_p.gather(1, labels[:, None]).sum(), at)
        return tilted(self.path, self.predict, self.model(y, t, condition), gradient, t, self.weight)
