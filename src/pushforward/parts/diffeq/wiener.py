"""Brownian motion as one solve meets it: an independent normal increment for every step, and nothing in between.

W(t1) - W(t0) = sqrt(h) z_k for step k, with h = |t1 - t0|, and the space-time area of the step, which is independent of it,

    H = 1/h int_{t0}^{t1} (W(s) - W(t0)) ds - (W(t1) - W(t0)) / 2 ~ N(0, h/12)

(Foster, Lyons and Oberhauser, 2020, https://arxiv.org/abs/1904.06998). This is the fastest source of noise, and right for any
solve whose path nobody asks about afterwards; `BrownianPath` can be queried at any time.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.random import RowGenerator, mix
from pushforward.core.registry import register
from pushforward.core.shapes import as_size

Place = int | tuple[int, int]
MOST_STEPS, MOST_NUMBERS = 16, 4096  # drawn at once for a row: the last ones of a solve are often not needed


@register
class WienerIncrements:
    """Normal increments `(n, *shape)` for the steps of a solve; row i's depend on the seed, on `start + i` and on the step.

    The loop says which step it takes by `seek`; the same step has the same numbers whenever it is taken, so that steps
    can be taken again in a backward pass. Two solves with the same seed and steps see the same path; a solve with other
    steps sees another path, not the same one at another resolution.

    Raises `ConfigError` when it is asked outside a solve, where it cannot tell one step from the next.

    >>> path = WienerIncrements(2, seed=0)
    >>> path.seek(0)
    >>> path.increment(0.0, 0.25, torch.zeros(3, 2)).shape
    torch.Size([3, 2])
    """

    def __init__(self, shape: int | Sequence[int] = (), seed: int = 0, start: int = 0):
        self.shape, self.seed, self.start = as_size(shape), seed, start
        self._steps = max(1, min(MOST_STEPS, MOST_NUMBERS // max(1, self.shape.numel())))
        self._place: Place | None = None
        # For each kind of number: block, rows, dtype and device it was drawn for, and a tensor for each step.
        self._drawn: dict[int, tuple[Any, int, torch.dtype, torch.device, Sequence[Tensor]]] = {}

    def begin(self, low: float, high: float, step: float | None) -> None:
        """Nothing needs to be known before a solve."""

    def seek(self, place: Place | None) -> None:
        """Say which step comes: its number where all samples share the steps, else (interval, step in it); None at the end."""
        self._place = place
        if place is None:
            self._drawn.clear()

    def increment(self, t0: Tensor | float, t1: Tensor | float, like: Tensor) -> Tensor:
        """W(t1) - W(t0), `(n, *shape)`, n, dtype and device of `like`; times are `(n,)` or numbers."""
        if isinstance(t0, float) and isinstance(t1, float):
            return self._normal(0, like) * math.sqrt(abs(t1 - t0))
        return self._normal(0, like) * self._scale(t0, t1, like)

    def increment_and_area(self, t0: Tensor | float, t1: Tensor | float, like: Tensor) -> tuple[Tensor, Tensor]:
        """W(t1) - W(t0) and the space-time area H, `(n, *shape)` each."""
        scale = self._scale(t0, t1, like)
        return self._normal(0, like) * scale, self._normal(1, like) * (scale * math.sqrt(1 / 12))

    def _scale(self, t0: Tensor | float, t1: Tensor | float, like: Tensor) -> Tensor | float:
        if not isinstance(t0, Tensor) and not isinstance(t1, Tensor):
            return math.sqrt(abs(t1 - t0))
        root = torch.as_tensor(t1 - t0, device=like.device).detach().abs().sqrt().to(like.dtype)
        return root.reshape(-1, *(1,) * len(self.shape))

    def _normal(self, kind: int, like: Tensor) -> Tensor:
        place = self._place
        if place is None:
            raise ConfigError("expected a step of a solve, got a question about a path that is known at such steps only; "
                              "use BrownianPath(t0, t1, shape, seed), which answers at any time")  # fmt: skip
        block, step = divmod(place, self._steps) if isinstance(place, int) else (place, 0)
        kept, rows = self._drawn.get(kind), like.shape[0]
        if kept is None or kept[0] != block or kept[1] != rows or kept[2] != like.dtype or kept[3] != like.device:
            kept = self._drawn[kind] = block, rows, like.dtype, like.device, self._draw(kind, block, like)
        return kept[4][step]

    def _draw(self, kind: int, block: Place, like: Tensor) -> Sequence[Tensor]:
        """Numbers `(n, *shape)` for all steps of a block, or for one step where samples have steps of their own."""
        label, steps = (mix(kind, 0, block), self._steps) if isinstance(block, int) else (mix(kind, 1, *block), 1)
        rows = RowGenerator(mix(self.seed, label), like.shape[0], start=self.start, device=like.device)
        return rows.normal(steps, *self.shape, dtype=like.dtype).unbind(1)
