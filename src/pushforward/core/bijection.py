"""`Bijection`: x = T(z), the interface behind every flow. `forward` is always noise -> data."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Literal

from torch import Size, Tensor, nn

from .shapes import flatten_batch, flatten_condition

InverseKind = Literal["exact", "iterative"]
LogDetKind = Literal["exact", "estimate"]


class Bijection(nn.Module):
    """An invertible, differentiable map, possibly given a condition.

    The fused pair (value, log abs det J) is the one primitive, in both directions; `log_det` is always that of the
    map just applied, so the two directions have opposite signs. A final class sets the fields below and writes
    `_forward` and `_inverse`, which see exactly one batch dimension, `(n, *event)`, and a condition
    `(n, *condition_shape)` or None. The public methods check, flatten and restore the batch shape.
    """

    event_shape: Size  # of z
    output_shape: Size  # of x; the same as event_shape for all but reshaping maps
    condition_shape: Size | None = None
    inverse_kind: InverseKind = "exact"
    log_det_kind: LogDetKind = "exact"

    @abstractmethod
    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """x `(n, *output)` and log abs det dx/dz `(n,)`."""

    @abstractmethod
    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """z `(n, *event)` and log abs det dz/dx `(n,)`."""

    def forward(self, z: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map noise `(*batch, *event)` to data; return it with log abs det dx/dz, `(*batch,)`, in nats."""
        return self._apply_checked(self._forward, z, "z", self.event_shape, self.output_shape, condition)

    def inverse(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data `(*batch, *event)` to noise; return it with log abs det dz/dx, `(*batch,)`, in nats."""
        return self._apply_checked(self._inverse, x, "x", self.output_shape, self.event_shape, condition)

    def _apply_checked(self, apply: Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]], value: Tensor, name: str,
                       source: Size, target: Size, condition: Tensor | None) -> tuple[Tensor, Tensor]:  # fmt: skip
        flat, batch = flatten_batch(value, source, name)
        given = flatten_condition(condition, self.condition_shape, batch)
        out, log_det = apply(flat, given)
        return out.reshape(batch + target), log_det.reshape(batch)
