"""Rows in batches chosen to fit: peak memory is bounded however many rows are asked for."""

import math
import os
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from .registry import device_of


def memory_budget(device: torch.device) -> int:
    """Bytes that one batch may take: an eighth of what is free, at most 1 GiB."""
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    else:
        try:
            free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (ValueError, OSError, AttributeError):
            free = 1 << 31
    return min(free // 8, 1 << 30)


def widest_output(module: nn.Module, probe: Callable[[], object]) -> int:
    """The most numbers that any submodule gives out while `probe` runs (a probe of one row gives numbers per row)."""
    widest = 1

    def note(_module: nn.Module, _inputs: object, outputs: object) -> None:
        nonlocal widest
        for output in outputs if isinstance(outputs, tuple | list) else (outputs,):
            if isinstance(output, Tensor):
                widest = max(widest, output.numel())

    handles = [part.register_forward_hook(note) for part in module.modules()]
    try:
        probe()
    finally:
        for handle in handles:
            handle.remove()
    return widest


def rows_that_fit(module: nn.Module, event_numel: int, probe: Callable[[], object] | None = None) -> int:
    """How many rows to compute at once without gradients; a power of two, so that blocks of randomness stay whole."""
    widest = max(event_numel, widest_output(module, probe) if probe is not None else 0, 1)
    # Sixteen live tensors of the widest kind in 8-byte numbers is more than any of our networks holds at one time.
    device = device_of(module)
    rows = min(65536, memory_budget(device) // (16 * 8 * widest))
    if (
        device.type == "cpu"
    ):  # more rows than the cache holds are slower, not faster: a third, for the flows of `bench/`
        rows = min(rows, max(64, (1 << 21) // (4 * widest)))
    return 1 << max(0, rows.bit_length() - 1)


def chunks(total: int, size: int) -> Iterator[tuple[int, int]]:
    """`(start, stop)` pairs that cover `range(total)` in order."""
    for start in range(0, total, size):
        yield start, min(start + size, total)


def in_chunks(function: Callable[..., Tensor], size: int, *rows: Tensor | None) -> Tensor:
    """Apply `function` to `size` rows at a time and concatenate."""
    total = next(len(r) for r in rows if r is not None)
    if total <= size:
        return function(*rows)
    parts = [function(*(None if r is None else r[a:b] for r in rows)) for a, b in chunks(total, size)]
    return torch.cat(parts)


def count(shape: torch.Size) -> int:
    """Number of elements of a shape."""
    return math.prod(shape)
