"""How good are samples for what they cost? Distances to real rows against the evaluations of the network that a sampler makes.

The floor is the distance of two fresh sets of real rows: no sampler comes below it but by chance. Where the curve is flat above the floor, the
network is what limits the samples, and more steps are wasted. Karras et al. 2022, https://arxiv.org/abs/2206.00364, figure 2, draw such curves.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Num
from torch import Tensor, nn

from pushforward.core.errors import ConfigError, UserError
from pushforward.core.kernel import Kernel
from pushforward.core.registry import device_of

from .mmd import mmd
from .rows import as_rows
from .wasserstein import wasserstein

NFE = (1, 2, 5, 10, 20, 50)


@dataclass(frozen=True)
class SamplingCurve:
    """For each number of network evaluations a row, the exact W2 and the unbiased MMD^2 of samples to real rows, and their floors.

    Lengths are in standard deviations of the real rows: of every column of a table, of all pixels of images.
    """

    evaluations: tuple[int, ...]
    wasserstein: tuple[float, ...]
    mmd: tuple[float, ...]
    wasserstein_floor: float
    mmd_floor: float
    rows: int


def sampling_curve(model: Any, real: Num[Tensor, "n *event"], condition: Tensor | None = None, *, nfe: Sequence[int] = NFE,
                   sampler: Callable[[int], Kernel] | None = None, guide: Any = None, rows: int = 500,
                   seed: int = 0) -> SamplingCurve:  # fmt: skip
    """Sample a diffusion model with `sampler(steps)` for every number of steps in `nfe`, and compare with real rows.

    Args:
        model: a `Diffusion`.
        real: rows that the model has not seen, in the units of the data. One half is compared with samples, and with the other half for
            the floor, so that at most `rows` of each are used; a first half of `condition`, theirs, is what samples are drawn for.
        nfe: steps to take. What is returned is the evaluations that were counted: a second-order sampler makes two a step.
        sampler: one of `pf.diffusion.samplers`, as a function of its steps; by default `DDIM`.
        guide: as in `Diffusion.sample`.
        seed: of the draws; each number of steps begins at the same noise.

    Raises `ConfigError` for another kind of model or a number of steps below 1, `UserError` for fewer than four rows.

    >>> import pushforward as pf
    >>> model = pf.diffusion.flow_matching(event_shape=2, width=8)
    >>> sampling_curve(model, torch.randn(80, 2), nfe=[1, 4]).evaluations
    (1, 4)
    """
    from pushforward.models.diffusion.samplers import DDIM

    network = getattr(model, "network", None)
    if not isinstance(network, nn.Module) or not hasattr(model, "path"):
        raise ConfigError(
            f"expected a diffusion model, which samples in steps, got {type(model).__name__}; compare its samples by wasserstein and mmd"
        )
    if not nfe or min(nfe) < 1:
        raise ConfigError(f"expected numbers of steps of at least 1, got {tuple(nfe)}; take such as (1, 5, 20)")
    each = min(len(real) // 2, rows)
    if each < 2:
        raise UserError(
            f"expected at least four real rows, two to compare with and two for the floor, got {len(real)}; give more"
        )
    unit = _unit(real)
    known, fresh = (as_rows(part) / unit for part in (real[:each], real[each : 2 * each]))
    given = None if condition is None else condition[:each].to(device_of(model))
    counted, found = [], []
    for steps in nfe:
        kernel = DDIM(steps) if sampler is None else sampler(steps)
        evaluated, drawn = _draw(model, network, kernel, each, given, guide, seed)
        counted.append(evaluated)
        found.append(as_rows(drawn) / unit)
    return SamplingCurve(
        tuple(counted),
        tuple(wasserstein(x, known, max_rows=each) for x in found),
        tuple(mmd(x, known, max_rows=each).squared for x in found),
        wasserstein(fresh, known, max_rows=each),
        mmd(fresh, known, max_rows=each).squared,
        each,
    )


def _draw(model: Any, network: nn.Module, kernel: Kernel, rows: int, condition: Tensor | None, guide: Any,
          seed: int) -> tuple[int, Tensor]:  # fmt: skip
    """Evaluations a row, and the samples `(rows, *event)`."""
    seen = 0

    def note(_module: nn.Module, arguments: Any) -> None:
        nonlocal seen
        seen += len(arguments[0])

    generator = torch.Generator(device=device_of(model)).manual_seed(seed)
    handle = network.register_forward_pre_hook(note)
    try:
        drawn = model.sample(
            () if condition is not None else rows, condition, sampler=kernel, guide=guide, generator=generator
        )
    finally:
        handle.remove()
    return seen // rows, drawn  # rounded down: one row more may have been evaluated to see how many fit in memory


def _unit(real: Tensor) -> Tensor:
    rows = as_rows(real)
    spread = rows.std(0)
    if real.ndim > 2:  # some pixels are always black
        spread = spread.square().mean().sqrt().expand_as(spread)
    return torch.where(spread > 0, spread, math.inf) if bool((spread > 0).any()) else torch.ones_like(spread)
