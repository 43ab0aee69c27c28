"""What `fit` asks of data: rows by number. Not an interface to subclass; anything with these methods will do."""

from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Rows of data: x `(n, *event)` and, for conditional models, condition `(n, *condition_shape)`."""

    x: Tensor
    condition: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: torch.device | str) -> "Batch":
        """Move to a device."""
        return replace(
            self, x=self.x.to(device), condition=None if self.condition is None else self.condition.to(device)
        )


@runtime_checkable
class Data(Protocol):
    """A data set that lies in memory or draws its rows by number."""

    def __len__(self) -> int:
        """Number of rows."""
        ...

    def take(self, index: Tensor) -> Any:
        """The batch of these rows, on the device the data is on."""
        ...

    def to(self, device: torch.device | str) -> "Data":
        """Move the rows to a device."""
        ...

    def split(self, fractions: tuple[float, ...], seed: int = 0) -> "tuple[Data, ...]":
        """Divide the rows at random, the same way for the same seed."""
        ...
