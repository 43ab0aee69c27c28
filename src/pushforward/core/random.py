"""Randomness with one stream per sample.

Sample 17 is the same whether it is drawn alone, among 32 or among a million, on one process or on eight, because
its numbers depend on the seed and on 17 only. Rows are drawn in blocks of fixed size, each with a seed of its own,
and the rows that were not asked for are thrown away: a block costs little more than a row.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

_MASK = (1 << 64) - 1


def mix(*words: int) -> int:
    """Hash integers to one well-spread 63-bit seed (the finaliser of SplitMix64; Steele, Lea and Flood, 2014)."""
    state = 0
    for word in words:
        state = (state + word + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1


class RowGenerator:
    """Draws `(n, *event)` tensors whose row `i` depends only on the seed, on `start + i`, and on the draws before it.

    `RowGenerator(0, 5).normal(3)` equals the first five rows of `RowGenerator(0, 9).normal(3)`.

    >>> bool((RowGenerator(0, 5).normal(3) == RowGenerator(0, 9).normal(3)[:5]).all())
    True
    """

    def __init__(self, seed: int, rows: int, *, start: int = 0, device: torch.device | str = "cpu"):
        self.seed, self.rows, self.start, self.device = seed, rows, start, torch.device(device)
        self._blocks: dict[int, list[torch.Generator]] = {}

    @classmethod
    def of(cls, generator: torch.Generator | None, rows: int, *, device: torch.device | str = "cpu") -> "RowGenerator":
        """Take a seed from a `torch.Generator` (or from PyTorch's global one), advancing it by one draw."""
        where = generator.device if generator is not None else "cpu"
        seed = int(torch.randint(1 << 62, (), generator=generator, device=where))
        return cls(seed, rows, device=device)

    def slice(self, first: int, last: int) -> "RowGenerator":
        """Rows `first` to `last` of this generator, from the beginning of their streams."""
        return RowGenerator(self.seed, last - first, start=self.start + first, device=self.device)

    def fork(self, label: int) -> "RowGenerator":
        """An independent generator for the same rows; the same label gives the same one."""
        return RowGenerator(mix(self.seed, label), self.rows, start=self.start, device=self.device)

    def normal(self, *event: int, dtype: torch.dtype | None = None) -> Tensor:
        """Standard normal numbers of shape `(rows, *event)`."""
        return self._draw(event, dtype, "normal_")

    def uniform(self, *event: int, dtype: torch.dtype | None = None) -> Tensor:
        """Uniform numbers in [0, 1) of shape `(rows, *event)`."""
        return self._draw(event, dtype, "uniform_")

    def rademacher(self, *event: int, dtype: torch.dtype | None = None) -> Tensor:
        """Fair signs, -1 or +1, of shape `(rows, *event)`."""
        return (self._draw(event, dtype, "uniform_") < 0.5).to(dtype or torch.get_default_dtype()) * 2 - 1

    def integers(self, high: int, *event: int) -> Tensor:
        """Uniform integers in 0 .. high - 1 of shape `(rows, *event)`."""
        return (self._draw(event, torch.float64, "uniform_") * high).long().clamp_(max=high - 1)

    def _draw(self, event: Sequence[int], dtype: torch.dtype | None, fill: str) -> Tensor:
        numel = 1
        for size in event:
            numel *= size
        # A block must not depend on how many rows are asked for, so its size is a function of the event alone.
        most, budget = (256, 4096) if self.device.type == "cpu" else (65536, 1 << 20)
        block = max(1, min(most, budget // max(numel, 1)))
        first, last = self.start // block, -(-(self.start + self.rows) // block)
        if block not in self._blocks:
            self._blocks[block] = [self._seeded(block, number) for number in range(first, last)]
        full = torch.empty(((last - first) * block, *event), dtype=dtype, device=self.device)
        for position, generator in enumerate(self._blocks[block]):
            getattr(full[position * block : (position + 1) * block], fill)(generator=generator)
        offset = self.start - first * block
        return full[offset : offset + self.rows]

    def _seeded(self, block: int, number: int) -> torch.Generator:
        # On the CPU a seed counts by its lower 32 bits, and 100,000 hashes of 32 bits collide: permute numbers instead.
        low = (mix(self.seed, block) + number) & 0xFFFFFFFF
        low = ((low ^ low >> 16) * 0x85EBCA6B) & 0xFFFFFFFF
        low = ((low ^ low >> 13) * 0xC2B2AE35) & 0xFFFFFFFF
        high = mix(self.seed, block, number) >> 32 << 32
        return torch.Generator(device=self.device).manual_seed(high | low ^ low >> 16)
