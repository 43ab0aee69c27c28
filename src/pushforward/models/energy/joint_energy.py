r"""Joint energy model: a classifier read as a density. With scores f(x)[k], p(x, k) = exp(f(x)[k]) N(x; 0, s^2) / Z.

So p(k | x) is the softmax of the scores, as in any classifier, and log p(x) = log sum_k exp f(x)[k] + log N(x) - log Z, an energy-based
model, which is trained beside it. Grathwohl et al. 2020, https://arxiv.org/abs/1912.03263
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pushforward.core.batching import in_chunks
from pushforward.core.distribution import Distribution, LogProbKind
from pushforward.core.errors import ConfigError, DataError
from pushforward.core.objective import Loss
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.core.shapes import flatten_batch
from pushforward.models.latent import Units
from pushforward.parts.data import Images, Table
from pushforward.parts.nn import MLP, ConvClassifier

from .energy_model import EnergyModel
from .energy_training import EnergyTraining, Kind
from .log_partition import LogZEstimate

if TYPE_CHECKING:
    from pushforward.core.objective import Objective


@register
class ClassEnergy(nn.Module):
    """-log sum_k exp f(y)[k], `(n,)`, of a classifier with scores f `(n, classes)`.

    >>> ClassEnergy(MLP(2, 3, hidden=[8]))(torch.zeros(5, 2)).shape
    torch.Size([5])
    """

    def __init__(self, classifier: nn.Module):
        super().__init__()
        self.classifier = classifier

    def forward(self, y: Tensor) -> Tensor:
        """The energy of rows in model units."""
        return -torch.logsumexp(self.classifier(y), 1)


@register
class JointEnergy(Distribution):
    """A classifier and a density in one network: `predict`, `class_log_probs`, and what an `EnergyModel` has.

    Args:
        model: an `EnergyModel` whose network is a `ClassEnergy`.
        classes: how many.
        weight: of the density beside the classifier in training; 0 is the classifier alone.

    Training wants labels as the condition of a batch, numbers from 0, or -1 where a label is not known. It minimises
    -log p(k | x) + weight * (the loss of the energy). As a distribution it is p(x), without any condition.

    Raises `ConfigError` for another kind of network, or a negative weight.

    >>> model = joint_energy(features=2, classes=3, width=8)
    >>> x = torch.randn(5, 2)
    >>> model.predict(x).shape, model.energy_score(x).shape
    (torch.Size([5]), torch.Size([5]))
    """

    def __init__(self, model: EnergyModel, classes: int, weight: float = 1.0):
        super().__init__()
        if not isinstance(model.network, ClassEnergy) or classes < 2 or not weight >= 0:
            raise ConfigError(f"expected an EnergyModel of a ClassEnergy, at least 2 classes and no negative weight, got one of "
                              f"{type(model.network).__name__}, {classes} and {weight}; see joint_energy")  # fmt: skip
        self.event_shape, self.model, self.classes, self.weight = model.event_shape, model, classes, weight
        self.reparameterised = False

    @property
    def log_prob_kind(self) -> LogProbKind:  # type: ignore[override]
        """None, or an estimate once `estimate_log_z` has been called."""
        return self.model.log_prob_kind

    @property
    def objective(self) -> "Objective":
        """Cross-entropy of the labels and the loss of the energy."""
        return joint_loss

    def rolled_back(self, times: int) -> str:
        """See `EnergyModel.rolled_back`."""
        return self.model.rolled_back(times)

    def class_log_probs(self, x: Tensor) -> Tensor:
        """log p(k | x) of every class, `(*batch, classes)`, for x `(*batch, *event)`."""
        flat, batch = flatten_batch(x, self.event_shape)
        rows = in_chunks(lambda part: functional.log_softmax(self.scores(self.model.to_model(part, None)), 1),
                         self._rows(len(flat), None), flat)  # fmt: skip
        return rows.reshape(*batch, self.classes)

    def predict(self, x: Tensor) -> Tensor:
        """The likeliest class of every row, `(*batch,)`."""
        with torch.no_grad():
            return self.class_log_probs(x).argmax(-1)

    def energy_score(self, x: Tensor) -> Tensor:
        """log sum_k exp f(x)[k], `(*batch,)`: higher is more like the data. Liu et al. 2020, https://arxiv.org/abs/2010.03759"""
        flat, batch = flatten_batch(x, self.event_shape)
        with torch.no_grad():
            return in_chunks(
                lambda part: -self.model.network_energy(self.model.to_model(part, None)),
                self._rows(len(flat), None),
                flat,
            ).reshape(batch)

    def log_unnormalised(self, x: Tensor) -> Tensor:
        """See `EnergyModel.log_unnormalised`."""
        return self.model.log_unnormalised(x)

    def estimate_log_z(self, *, chains: int = 500, temperatures: int = 200, leaps: int = 5,
                       generator: torch.Generator | None = None) -> LogZEstimate:  # fmt: skip
        """See `EnergyModel.estimate_log_z`."""
        return self.model.estimate_log_z(chains=chains, temperatures=temperatures, leaps=leaps, generator=generator)

    def scores(self, y: Tensor) -> Tensor:
        """f(y), `(n, classes)`, for rows in model units."""
        return self.model.network.classifier(y)  # type: ignore[operator, union-attr]

    def labels(self, condition: Tensor | None, rows: int) -> Tensor:
        """Class numbers `(n,)`, -1 where a label is not known; raises `DataError` for others."""
        if condition is None:
            return torch.full((rows,), -1)
        flat = condition.reshape(len(condition), -1)
        if flat.shape != (rows, 1) or (flat.device.type == "cpu" and not ((flat >= -1) & (flat < self.classes)).all()):
            raise DataError(f"expected a class number from 0 to {self.classes - 1} for each of {rows} rows, or -1 where it is not known, got "
                            f"shape {tuple(condition.shape)} from {condition.min():g} to {condition.max():g}; number the classes from 0")  # fmt: skip
        return flat[:, 0].long()

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        return self.model._log_prob(x, None)

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        return self.model._sample(None, generator)

    def _probe(self, condition: Tensor | None) -> object:
        return self.model._probe(None)


def joint_loss(model: JointEnergy, batch: Any, generator: RowGenerator) -> Loss:
    """Mean of [label known] -log p(k | x), plus weight times the loss of the energy."""
    y = model.model.to_model(batch.x, generator)
    labels = model.labels(batch.condition, len(y)).to(y.device)
    log_p = functional.log_softmax(model.scores(y), 1).gather(1, labels.clamp(min=0)[:, None])[:, 0]
    classes = -torch.where(labels >= 0, log_p, 0).mean()
    # Held-out rows are scored by what they are for, the labels: a score matching loss would drown them.
    if not model.weight or not model.training:
        return Loss(classes, {"class loss": classes.detach()})
    density = model.model.rule(model.model, batch, generator.fork(9))
    return Loss(classes + model.weight * density.value, {"class loss": classes.detach(), **density.metrics})


def joint_energy(data: Images | Table | None = None, *, features: int | None = None, classes: int | None = None, training: Kind = "pcd",
                 weight: float = 1.0, width: int | None = None, blur: float = 0.1, steps: int = 20, step_size: float = 0.005,
                 sample_steps: int = 300, seed: int = 0) -> JointEnergy:  # fmt: skip
    """A joint energy model of labelled images, or of a table whose given column is the class.

    Args:
        data: images with labels, or a table given one column of class numbers.
        features, classes: numbers of columns and classes, where there are no data.
        weight: see `JointEnergy`.
        training, width, blur, steps, step_size, sample_steps, seed: see `energy_model`.

    >>> joint_energy(features=2, classes=3, width=8).class_log_probs(torch.zeros(4, 2)).shape
    torch.Size([4, 3])
    """
    if (data is None) == (features is None or classes is None):
        raise ConfigError("expected data, or features= and classes=, one of the two; give images with labels, say")
    if isinstance(data, Images):
        classes = data.classes
    elif data is not None:
        classes = None if data.condition is None or data.condition.shape[1] != 1 else int(data.condition.max()) + 1
    if classes is None:
        raise ConfigError(
            "expected labels, got data without; give images with labels, or a table given one column of class numbers"
        )
    units = Units((features or 0,)) if data is None else Units.of(data)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(data, Images):
            classifier: nn.Module = ConvClassifier(data.shape[0], data.shape[1:], classes=classes, width=width or 32)
        else:
            classifier = MLP(units.event_shape.numel(), classes, hidden=[width or 128] * 3)
    scale = 1.0 if isinstance(data, Images) else 2.0
    rule = EnergyTraining(training, steps, step_size, blur=blur)
    model = EnergyModel(units, ClassEnergy(classifier), rule, scale, steps=sample_steps, step_size=step_size)
    return JointEnergy(model, classes, weight)
