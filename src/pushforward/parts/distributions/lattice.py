"""Numbers on a lattice {0, +-step, +-2 step, ...} and the cells [x, x + step) between them: what dequantising needs.

`steps` has the shape of an event, and is 0 at places where numbers are continuous. Noise comes from the row itself.
"""

import math

import torch
from torch import Size, Tensor

from pushforward.core.errors import ConfigError, DataError


def require_steps(steps: Tensor, event_shape: Size, samples: int) -> None:
    """Raise `ConfigError` unless `steps` describes a lattice for events of this shape, with at least 1 sample of noise."""
    if steps.shape != event_shape or not (torch.isfinite(steps).all() and (steps >= 0).all() and (steps > 0).any()):
        raise ConfigError(f"expected steps of shape {tuple(event_shape)}, at least 0 and some above, got shape {tuple(steps.shape)} and "
                          f"{steps.flatten().tolist()[:8]}; a model of continuous numbers needs no dequantising")  # fmt: skip
    if samples < 1:
        raise ConfigError(f"expected at least 1 sample of the noise, got {samples}; 16 are usual")


def in_cell(x: Tensor, u: Tensor, steps: Tensor) -> Tensor:
    """x + u step, kept below x + step where rounding would reach it."""
    return torch.minimum(x + u * steps, torch.nextafter(x + steps, x))


def log_cell(steps: Tensor) -> Tensor:
    """Log volume of a cell of the lattice, over the places that have one."""
    return torch.where(steps > 0, steps, 1).log().sum()


def round_down(y: Tensor, steps: Tensor) -> Tensor:
    """The lattice value whose cell y is in; y itself at continuous places."""
    index = torch.floor(y / torch.where(steps > 0, steps, 1))
    return torch.where(steps > 0, _lattice_value(index, steps), y)


def require_lattice(x: Tensor, steps: Tensor) -> None:
    """Raise `DataError` for a number of x `(n, *event)` that is not on the lattice."""
    index = torch.round(x / torch.where(steps > 0, steps, 1))
    # float32 knows a large multiple of the step to a few units in its last place only.
    far = (x - index * steps).abs() > 1e-3 * steps + 4 * torch.finfo(x.dtype).eps * x.abs()
    if (bad := far & (steps > 0)).any():
        row, *place = bad.nonzero()[0].tolist()
        at = tuple(place)
        raise DataError(f"expected multiples of {steps[at]:g} at place {at[0] if len(at) == 1 else at} of the event, got {x[(row, *at)]:g} "
                        f"in row {row}; round it, since numbers between have probability zero")  # fmt: skip


def noise_of_rows(x: Tensor, samples: int) -> Tensor:
    """Uniform numbers in [0, 1), `(n, samples, *event)`, that are a function of each row of x `(n, *event)`.

    A row's bits are hashed to a seed, and seed and place to a number (the finaliser of SplitMix64; Steele, Lea and
    Flood 2014): rows that differ anywhere get independent noise, and a row the same noise wherever it stands.
    """
    flat = x.detach().reshape(len(x), math.prod(x.shape[1:])).double() + 0.0  # + 0.0: -0 and 0 are one number
    place = torch.arange(1, flat.shape[1] + 1, device=x.device)
    seed = _scramble(_scramble(flat.view(torch.int64)) + _scramble(place)).sum(1)
    count = torch.arange(samples * flat.shape[1], device=x.device)
    words = _scramble(_scramble(seed)[:, None] + count * _GOLDEN)
    # 24 bits fill the significand of a float32 and never round up to 1.
    return ((words >> 40) & 0xFFFFFF).to(x.dtype).div_(1 << 24).reshape(len(x), samples, *x.shape[1:])


_GOLDEN = -0x61C8864680B583EB  # 2^64 divided by the golden ratio, as a signed number
_FIRST, _SECOND = -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15


def _scramble(words: Tensor) -> Tensor:
    """Mix 64-bit integers; products wrap around, as they do in C."""
    words = (words ^ ((words >> 30) & 0x3FFFFFFFF)) * _FIRST
    words = (words ^ ((words >> 27) & 0x1FFFFFFFFF)) * _SECOND
    return words ^ ((words >> 31) & 0x1FFFFFFFF)


def _lattice_value(index: Tensor, steps: Tensor) -> Tensor:
    """index * step; index / 100 for a step of 0.01, which is the number that 0.07 is read as."""
    parts = torch.round(1 / torch.where(steps > 0, steps, 1))
    divides = (parts > 1) & ((parts * steps - 1).abs() < 1e-6)
    return torch.where(divides, index / parts.clamp(min=1), index * steps)
