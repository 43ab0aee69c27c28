"""`Objective`: a function (model, batch, generator) -> Loss. Nothing to subclass."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from .random import RowGenerator


@dataclass(frozen=True)
class Loss:
    """`value` is the mean over the rows of the batch, a scalar to differentiate; `metrics` are numbers to log."""

    value: Tensor
    metrics: Mapping[str, Tensor | float] = field(default_factory=dict)


Objective = Callable[[Any, Any, RowGenerator], Loss]


def negative_log_likelihood(model: Any, batch: Any, generator: RowGenerator) -> Loss:
    """-E log p(x | condition), all constants kept: KL(data, model) up to the entropy of the data.

    A model that was built without a condition is not shown the one that the data have.
    """
    return Loss(-model.log_prob(batch.x, batch.condition if model.condition_shape is not None else None).mean())
