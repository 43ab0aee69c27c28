"""A `Distribution` seen as a `torch.distributions.Distribution`, for code that expects one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Size, Tensor
from torch.distributions.constraints import Constraint

from .shapes import flatten_batch

if TYPE_CHECKING:
    from .distribution import Distribution


class TorchView(torch.distributions.Distribution):
    """`sample`, `rsample` and `log_prob` of a model at a fixed condition, with batch shape that of the condition."""

    def __init__(self, model: "Distribution", condition: Tensor | None):
        batch, _ = model._batch_of((), condition)
        self.model, self.condition = model, condition
        super().__init__(batch, model.event_shape, validate_args=False)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        """None: the parameters are the model's own affair."""
        return {}

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether draws carry gradients."""
        return self.model.reparameterised

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        """Draw `(*sample_shape, *batch, *event)` without gradients."""
        return self.model.sample(sample_shape, self.condition)

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        """Draw `(*sample_shape, *batch, *event)` with gradients."""
        return self.model.rsample(sample_shape, self.condition)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, broadcast against the batch of the condition."""
        if self.condition is not None:
            _, batch = flatten_batch(value, self.event_shape, "value")
            value = value.expand(torch.broadcast_shapes(batch, self.batch_shape) + self.event_shape)
        return self.model.log_prob(value, self.condition)
