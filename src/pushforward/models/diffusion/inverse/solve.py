"""The front door of inverse problems: from a measurement in the units of the data to draws of what was measured."""

import copy
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from pushforward.core.batching import count
from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.kernel import Kernel
from pushforward.core.registry import device_of, dtype_of
from pushforward.core.shapes import as_size, flatten_batch, flatten_condition, match_dtype
from pushforward.models.diffusion.denoiser import Denoiser
from pushforward.models.diffusion.diffusion import Diffusion
from pushforward.models.diffusion.guided import Guide, guided
from pushforward.models.diffusion.samplers import Ancestral

from .dps import DPS
from .operators import LinearOperator, Operator
from .pigdm import PiGDM, require_noise
from .projection import Projection

Method = Literal["pigdm", "dps", "projection", "repaint"]
RESAMPLINGS = 10  # of RePaint
DENSE = 4096  # the most numbers of an event for which a matrix is written down


def solve(model: Diffusion, measurement: Tensor, operator: Operator, *, method: Method = "pigdm", noise: float = 0.0,
          condition: Tensor | None = None, draws: int | Sequence[int] = (), steps: int = 100, sampler: Kernel | None = None,
          guide: Guide | None = None, generator: torch.Generator | None = None) -> Tensor:  # fmt: skip
    """Draw data x of which `measurement` = A x + N(0, noise^2) was seen: `(*draws, *batch, *event)`, in the units of the data.

    Args:
        model: the prior.
        measurement: `(*batch, *measured)`, in the units of the data.
        operator: A: `Inpaint(mask)`, `Colorise()`, `SuperResolve(factor)` or `LinearOperator(matrix)`.
        method: "pigdm", for any sampler, is exact for data that are normal with the same variance in every direction. "projection" and
            its careful sister "repaint" (10 times the work) need no gradients; "dps" follows those of the misfit.
        noise: standard deviation of each measured number; "dps" has no use for it.
        condition: of the model, as in `sample`. guide: as in `sample`; the measurement is added to it.
        sampler: of "pigdm", `Ancestral(steps)` by default.

    Raises `ConfigError` for an unknown method, and `ShapeError` where measurement, operator and model do not fit together.

    >>> import pushforward as pf
    >>> model, seen = pf.diffusion.flow_matching(event_shape=2), pf.diffusion.inverse.Inpaint(torch.tensor([True, False]))
    >>> pf.diffusion.inverse.solve(model, torch.tensor([0.5, float("nan")]), seen, draws=4, steps=10).shape
    torch.Size([4, 2])
    """
    if method not in get_args(Method):
        raise ConfigError(f"expected a method among {', '.join(get_args(Method))}, got {method!r}")
    if sampler is not None and method != "pigdm":
        raise ConfigError(f"expected no sampler for {method!r}, which is one itself, got {type(sampler).__name__}; leave it out, or use 'pigdm'")  # fmt: skip
    require_noise(noise)
    shape = operator.measured_shape(model.event_shape)
    flat, batch = flatten_batch(measurement, shape, "measurement")
    given = flatten_condition(condition, model.condition_shape, batch, model.condition_optional)
    a, seen, spread = in_model_units(model, operator, flat, noise)
    leading = as_size(draws)
    seen = seen.repeat(count(leading), *(1,) * (seen.ndim - 1))
    arguments: dict[str, Any] = {"generator": generator, "guide": guide}
    if method == "pigdm":

        def both(prior: Denoiser) -> PiGDM:
            return PiGDM(guided(prior, guide), a, seen, spread)

        arguments |= {"guide": both, "sampler": Ancestral(steps) if sampler is None else sampler}
    elif method == "dps":
        arguments["sampler"] = DPS(a, seen, steps)
    else:
        arguments["sampler"] = Projection(a, seen, spread, steps, RESAMPLINGS if method == "repaint" else 1)
    if given is None:
        return model.sample(leading + batch, **arguments)
    return model.sample(leading, given.reshape(batch + given.shape[1:]), **arguments)


def in_model_units(
    model: Diffusion, operator: Operator, measurement: Tensor, noise: float
) -> tuple[Operator, Tensor, float]:
    """A, m and noise for z with x = scale z + loc (for whole numbers, of the middle of their cells).

    Raises `ShapeError` for a measurement that is not finite, and for large events in several units.
    """
    device, dtype = device_of(model), dtype_of(model)
    a: Any = copy.deepcopy(operator)
    if isinstance(a, torch.nn.Module):
        a = a.to(device=device, dtype=dtype)
    seen = a.spectral(match_dtype(measurement, dtype).to(device), torch.ones_like)  # hidden numbers may be NaN
    if not torch.isfinite(seen).all():
        raise ShapeError(f"expected a finite measurement, got {int((~torch.isfinite(seen)).sum())} inf or NaN; mask them by Inpaint")  # fmt: skip
    seen = seen - a.apply((model.loc - 0.5 * model.integer)[None])
    unit = float(model.scale.flatten()[0])
    if bool((model.scale == unit).all()):
        return a, seen / unit, noise / unit
    numbers = model.event_shape.numel()
    if numbers > DENSE:
        raise ShapeError(f"expected events of at most {DENSE} numbers where their units differ, got {numbers}; build the model with one scale")  # fmt: skip
    columns = a.apply(model.scale.flatten().diag().reshape(numbers, *model.event_shape))
    return LinearOperator(columns.flatten(1).T.contiguous(), model.event_shape), seen.flatten(1), noise
