"""A classifier of noised data, p_t(label | x_t), trained apart from the model that it guides.

E_t cross-entropy(label, p_t(. | x_t)), x_t = alpha(t) data + sigma(t) noise with the angle of t uniform: the minimiser is the true
p_t(label | x_t) at every t, whose gradient guides. Song et al. 2021, https://arxiv.org/abs/2011.13456, section 5.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.objective import Loss, Objective
from pushforward.core.path import Path
from pushforward.core.random import RowGenerator
from pushforward.core.registry import dtype_of, register
from pushforward.core.shapes import as_size, expand_right
from pushforward.parts.data import Images
from pushforward.parts.nn import TimeMLP
from pushforward.parts.paths.angle import angle, scale, time_of_angle

from .time_conv_classifier import TimeConvClassifier

if TYPE_CHECKING:
    from pushforward.models.diffusion.diffusion import Diffusion


@register
class TimeClassifier(nn.Module):
    """`classifier(y, t)`: logits `(n, classes)` of x_t = y sqrt(alpha^2 + sigma^2), in the units of the model that it guides.

    `network(y, time)` gives them, with the angle of t in right angles, in [0, 1], as its time. `loc`, `scale` and `integer` (where x holds
    whole numbers) turn data into model units, as in `Diffusion`. `fit` trains it on labelled data.

    Raises `ConfigError` for fewer than two classes.

    >>> from pushforward.parts.paths import Cosine
    >>> TimeClassifier(TimeMLP(2, outputs=3), Cosine(), 2, 3)(torch.zeros(5, 2), torch.full((5,), 0.5)).shape
    torch.Size([5, 3])
    """

    loc: Tensor
    scale: Tensor
    integer: Tensor

    def __init__(self, network: nn.Module, path: Path, event_shape: int | Sequence[int], classes: int, *,
                 loc: Tensor | float = 0.0, scale: Tensor | float = 1.0, integer: Tensor | None = None):  # fmt: skip
        super().__init__()
        if classes < 2:
            raise ConfigError(f"expected at least 2 classes, got {classes}; there is nothing to tell apart")
        self.network, self.path, self.event_shape, self.classes = network, path, as_size(event_shape), classes
        self.loc, self.scale = (nn.Buffer(torch.as_tensor(v, dtype=dtype_of(network)).clone()) for v in (loc, scale))
        self.integer = nn.Buffer(torch.tensor(False) if integer is None else integer.clone())

    @property
    def objective(self) -> Objective:
        """What `fit` minimises: the cross-entropy of noised rows."""
        return noised_cross_entropy

    def forward(self, y: Tensor, t: Tensor) -> Tensor:
        """Unnormalised log probabilities of the classes."""
        return self.network(y, 2 / math.pi * angle(self.path, t))


def noised_cross_entropy(model: TimeClassifier, batch: Any, generator: RowGenerator) -> Loss:
    """-E log p_t(label | x_t) in nats, with the angle of t uniform; and the accuracy, over all levels of noise."""
    labels = labels_in(batch.condition, len(batch.x), model.classes)
    x = batch.x.to(model.loc.dtype)
    data = (x + generator.uniform(*model.event_shape, dtype=x.dtype) * model.integer - model.loc) / model.scale
    ends = torch.tensor([model.path.t_min, model.path.t_max], dtype=torch.float64, device=x.device)
    least, most = angle(model.path, ends)
    theta = least + (most - least) * generator.uniform(dtype=torch.float64)
    t = time_of_angle(model.path, theta).to(x.dtype)
    x_t = model.path.sample(data, generator.normal(*model.event_shape, dtype=x.dtype), t)
    logits = model(x_t / expand_right(scale(model.path, t), x_t), t)
    return Loss(functional.cross_entropy(logits, labels), {"accuracy": (logits.argmax(1) == labels).float().mean()})


def labels_in(condition: Tensor | None, rows: int, classes: int) -> Tensor:
    """Labels `(n,)` from the condition of a batch, `(n,)` or one column of a table."""
    if condition is None or condition.numel() != rows:
        got = "none" if condition is None else f"a condition of shape {tuple(condition.shape)}"
        raise ShapeError(f"expected a label for each of {rows} rows, got {got}; take labelled images, or table.given(the column of labels)")  # fmt: skip
    labels = condition.reshape(rows).long()
    if condition.device.type == "cpu" and (  # elsewhere the look would wait for the device at every step
        (condition.reshape(rows) != labels).any() or not 0 <= int(labels.min()) <= int(labels.max()) < classes
    ):
        raise ShapeError(f"expected labels that are whole numbers in 0 .. {classes - 1}, got {condition.min():g} to "
                         f"{condition.max():g}; number the classes from 0")  # fmt: skip
    return labels


def time_classifier(data: Images | None = None, *, model: "Diffusion", classes: int | None = None, width: int | None = None) -> TimeClassifier:  # fmt: skip
    """A classifier on the path and in the units of `model`, to be trained by `pf.fit(classifier, data)` and to guide it.

    `classes` is their number, by default that of the data or of the model; `width` is of the network: channels (32) for images, hidden
    units (128) for vectors. Raises `ConfigError` when the number of classes is unknown, `ShapeError` for data of another shape.

    >>> import pushforward as pf
    >>> time_classifier(model=pf.diffusion.ddpm(event_shape=2), classes=3).path
    VP(beta_min=0.1, beta_max=20.0)
    """
    classes = classes or (data.classes if data is not None else None) or model.classes
    if classes is None:
        raise ConfigError("expected classes=, the number of classes, or data that know it, got neither; give classes=")
    shape = model.event_shape
    if data is not None and data.shape != shape:
        raise ShapeError(f"expected data of the model's shape {tuple(shape)}, got {tuple(data.shape)}; a guide sees the same events")  # fmt: skip
    if len(shape) == 3:
        network: nn.Module = TimeConvClassifier(shape[0], shape[1:], classes=classes, width=width or 32)
    else:
        network = TimeMLP(shape[0], hidden=width or 128, outputs=classes)
    return TimeClassifier(network, model.path, shape, classes, loc=model.loc, scale=model.scale, integer=model.integer)
