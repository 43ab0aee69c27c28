"""A hybrid model: one invertible network that knows how likely a row is and which class it is of.

log p(y, x) is learned as log p(y | x) + weight / D log p(x), where p(x) is a flow, p(y | x) a linear (or other) head on its
noise z = T^-1(x), and D the numbers of an event. A row without a label contributes log p(x) alone.
Nalisnick, Matsukawa, Teh, Gorur and Lakshminarayanan 2019, https://arxiv.org/abs/1902.02767, equation 5.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from pushforward.core.batching import in_chunks
from pushforward.core.data import Batch
from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError, DataError
from pushforward.core.objective import Loss
from pushforward.core.random import RowGenerator
from pushforward.core.registry import dtype_of, register
from pushforward.core.shapes import flatten_batch, match_dtype
from pushforward.parts.distributions import Dequantised, Flow, VariationalDequantised

if TYPE_CHECKING:
    from pushforward.core.objective import Objective


@register
class HybridModel(Distribution):
    """p(x) of a flow, and p(y | x) = softmax(head(z)) of the noise z that the flow takes x to.

    `flow` is a `Flow` without condition, or one made to score whole numbers (`Dequantised`, `VariationalDequantised`).
    `head` takes z, flattened to `(n, D)`, to `(n, classes)` scores; `MLP(D, classes, hidden=())` is linear, as in the paper.
    As a distribution this is the flow: `log_prob(x)` is its log density and `sample` its draws, without any condition.

    Training (`objective`) wants labels as the condition of a batch, `(n,)` or `(n, 1)` class numbers, -1 where a label is
    not known (see `pf.data.hide_labels`), or no condition at all. It minimises the mean over all rows of

        -[y known] log p(y | x) - weight / D log p(x),

    so weight = 1 sets one nat a class against one nat a number of the event, weight = D is the joint likelihood, and
    weight = 0 a classifier. A row of whole numbers is moved within its cell, once for both terms; class probabilities
    take the middle of the cell.

    Raises `ConfigError` for another kind of flow, one with a condition, a head of another width, or a negative weight.

    >>> from pushforward.models.flows import realnvp
    >>> from pushforward.parts.nn import MLP
    >>> model = HybridModel(realnvp(features=2), MLP(2, 3, hidden=()))
    >>> x = torch.randn(5, 2)
    >>> model.log_prob(x).shape, model.class_log_probs(x).shape, model.predict(x).shape
    (torch.Size([5]), torch.Size([5, 3]), torch.Size([5]))
    """

    def __init__(self, flow: Distribution, head: nn.Module, weight: float = 1.0):
        super().__init__()
        inner = flow_inside(flow)
        if inner.condition_shape is not None:
            raise ConfigError(f"expected a flow without condition, got one given events of shape {tuple(inner.condition_shape)}; "
                              "the head sees the labels, the flow does not")  # fmt: skip
        self.numbers = inner.base.event_shape.numel()
        if getattr(head, "inputs", None) != self.numbers or getattr(head, "condition", 0):
            raise ConfigError(f"expected a head of {self.numbers} inputs without condition, got one with inputs {getattr(head, 'inputs', None)}; "
                              f"build it as MLP({self.numbers}, classes, hidden=())")  # fmt: skip
        if not weight >= 0:
            raise ConfigError(
                f"expected a weight of at least 0, got {weight:g}; 1 is usual, 0 a classifier without density"
            )
        self.event_shape, self.log_prob_kind = flow.event_shape, flow.log_prob_kind
        self.reparameterised = flow.reparameterised
        self.flow, self.head, self.weight, self.classes = flow, head, weight, int(head.outputs)  # type: ignore[arg-type]

    @property
    def objective(self) -> "Objective":
        """Minus the weighted sum of log p(y | x), where y is known, and log p(x)."""
        return hybrid_loss

    def features(self, x: Tensor) -> Tensor:
        """The noise z = T^-1(x) that the head reads, `(*batch, D)` for x `(*batch, *event)`; whole numbers at half their cell."""
        flat, batch = flatten_batch(x, self.event_shape)
        flat = match_dtype(flat, dtype_of(self))
        return in_chunks(self._features, self._rows(len(flat), None), flat).reshape(*batch, self.numbers)

    def class_log_probs(self, x: Tensor) -> Tensor:
        """log p(y | x) of every class, `(*batch, classes)`, in nats."""
        return functional.log_softmax(self.scores(self.features(x)), -1)

    def predict(self, x: Tensor) -> Tensor:
        """The likeliest class of every row, `(*batch,)`, as a number."""
        with torch.no_grad():
            return self.class_log_probs(x).argmax(-1)

    def scores(self, features: Tensor) -> Tensor:
        """What the head makes of features `(*batch, D)`: scores `(*batch, classes)`, before the softmax."""
        flat = features.reshape(-1, self.numbers)
        return self.head(flat).reshape(*features.shape[:-1], self.classes)

    def features_and_log_prob(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """z `(n, D)` and log p(x), or its bound of one draw, `(n,)`, of rows moved within their cells by u, both `(n, *event)`."""
        y, log_weight = self.flow.spread(x, u) if isinstance(self.flow, _SPREADS) else (x, x.new_zeros(()))
        inner = flow_inside(self.flow)
        z, log_det = inner.bijection._inverse(y, None)
        return z.reshape(len(x), self.numbers), inner.base._log_prob(z, None) + log_det + log_weight

    def labels(self, condition: Tensor | None, rows: int) -> Tensor:
        """The condition of a batch as class numbers `(n,)`, -1 where a label is not known; raises `DataError` for others."""
        if condition is None:
            return torch.full((rows,), -1)
        flat = condition.reshape(len(condition), -1)
        fits = flat.shape == (rows, 1)
        if fits and flat.device.type == "cpu":  # elsewhere the check would wait for the device at every step
            fits = bool(((flat >= -1) & (flat < self.classes) & (flat == flat.round())).all())
        if not fits:
            raise DataError(f"expected a class number from 0 to {self.classes - 1} for each of {rows} rows, or -1 where it is not known, got "
                            f"shape {tuple(condition.shape)} from {condition.min():g} to {condition.max():g}; number the classes from 0")  # fmt: skip
        return flat[:, 0].long()

    def _features(self, x: Tensor) -> Tensor:
        return self.features_and_log_prob(x, torch.full_like(x, 0.5))[0]

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        return self.flow._sample(None, generator)

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        return self.flow._log_prob(x, None)

    def _sample_and_log_prob(self, condition: Tensor | None, generator: RowGenerator) -> tuple[Tensor, Tensor]:
        return self.flow._sample_and_log_prob(None, generator)

    def _probe(self, condition: Tensor | None) -> object:
        return self.flow._probe(None)


_SPREADS = (Dequantised, VariationalDequantised)


def hybrid_loss(model: HybridModel, batch: Batch, generator: RowGenerator) -> Loss:
    """-mean over rows of [y known] log p(y | x) + weight / D log p(x)."""
    x, _ = flatten_batch(match_dtype(batch.x, dtype_of(model)), model.event_shape)
    labels = model.labels(batch.condition, len(x)).to(x.device)
    z, log_p = model.features_and_log_prob(x, generator.uniform(*model.event_shape, dtype=x.dtype))
    known = labels >= 0
    of_all = functional.log_softmax(model.scores(z), -1)
    of_label = of_all.gather(1, labels.clamp(min=0)[:, None])[:, 0]
    classes = -torch.where(known, of_label, 0).mean()
    # Without weight the density is left out, not multiplied by 0: it may be infinite.
    value = classes - model.weight / model.numbers * log_p.mean() if model.weight else classes
    return Loss(value, {"class loss": classes.detach(), "density loss": -log_p.detach().mean()})


def flow_inside(flow: Distribution) -> Flow:
    """The flow itself, without what makes it score whole numbers; raises `ConfigError` for another kind of model."""
    inner = flow.model if isinstance(flow, _SPREADS) else flow
    if not isinstance(inner, Flow):
        raise ConfigError(
            f"expected a Flow, Dequantised or not, got {type(inner).__name__}; the head needs the noise that x comes from"
        )
    return inner
