"""Which rows a step sees: a fresh permutation every epoch, a function of the seed and the step alone."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pushforward.core.data import Batch, Data
from pushforward.core.errors import DataError
from pushforward.core.random import RowGenerator, mix
from pushforward.core.shapes import require_tensor

from .distributed import World


@dataclass(frozen=True)
class TensorRows:
    """Plain tensors as data: x `(n, *event)` and, where there is one, condition `(n, *condition_shape)`."""

    x: Tensor
    condition: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: Tensor) -> Batch:
        """Rows by number."""
        return Batch(self.x[index], None if self.condition is None else self.condition[index])

    def to(self, device: torch.device | str) -> "TensorRows":
        """Move to a device."""
        return replace(
            self, x=self.x.to(device), condition=None if self.condition is None else self.condition.to(device)
        )

    def split(self, fractions: tuple[float, ...], seed: int = 0) -> "tuple[TensorRows, ...]":
        """Divide at random, the same way for the same seed."""
        order = torch.from_numpy(np.random.Generator(np.random.PCG64(seed)).permutation(len(self)))
        edges = [round(len(self) * sum(fractions[:i])) for i in range(len(fractions) + 1)]
        parts = [order[a:b] for a, b in pairwise(edges)]
        if min(len(part) for part in parts) == 0:
            raise DataError(
                f"expected enough rows to fill the parts {fractions}, got {len(self)}; give more rows or pass (train, held_out)"
            )
        return tuple(TensorRows(self.x[p], None if self.condition is None else self.condition[p]) for p in parts)


def as_data(data: Any) -> Data:
    """Accept a data set, a tensor, or a numpy array."""
    if isinstance(data, np.ndarray):
        data = torch.from_numpy(data)
        data = data.to(torch.get_default_dtype()) if data.is_floating_point() else data
    if isinstance(data, Tensor) or not hasattr(data, "take"):
        return TensorRows(require_tensor(data, "data"))
    return data


class Sampler:
    """Batches by step: rows and randomness for `step`, this process's share of them."""

    def __init__(self, data: Data, batch_size: int, seed: int, world: World):
        if len(data) == 0:
            raise DataError("expected at least one row to train on, got none")
        self.data, self.seed, self.world = data, seed, world
        self.batch_size = min(batch_size, len(data))
        self.per_epoch = len(data) // self.batch_size  # a different remainder is left out every epoch
        self._epoch, self._order = -1, torch.empty(0)

    def batch(self, step: int) -> tuple[Any, RowGenerator]:
        """Rows and generator of `step`."""
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(mix(self.seed, 1, epoch))
            self._epoch, self._order = epoch, torch.randperm(len(self.data), generator=generator).to(self.world.device)
        first, last = self.world.share(self.batch_size)
        start = position * self.batch_size
        batch = self.data.take(self._order[start + first : start + last]).to(self.world.device)
        generator = RowGenerator(mix(self.seed, 2, step), self.batch_size, device=self.world.device)
        return batch, generator.slice(first, last)
