"""Along the probability flow and back: data to noise and noise to data, one to one.

dy/dtheta = E[v | y] from the least angle to the largest encodes, the other way decodes; the ends are joined to clean
data by y = cos(theta_min) data, which leaves out noise of standard deviation sin(theta_min), about 0.001.
Song et al. 2021, https://arxiv.org/abs/2011.13456, section 4.3.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pushforward.core.batching import in_chunks
from pushforward.core.shapes import flatten_batch, flatten_condition
from pushforward.parts.diffeq import solve
from pushforward.parts.paths.angle import angle

from .denoiser import Denoiser
from .field import flow_field

if TYPE_CHECKING:
    from .diffusion import Diffusion


def encode(model: "Diffusion", x: Tensor, condition: Tensor | None, tolerance: float) -> Tensor:
    """Data `(*batch, *event)` in the user's units to noise."""
    least, most = angle_range(model)

    def run(x: Tensor, condition: Tensor | None) -> Tensor:
        return _move(model, model.to_model_units(x, None) * math.cos(least), condition, least, most, tolerance)

    return _in_rows(model, run, x, condition, "x")


def decode(model: "Diffusion", noise: Tensor, condition: Tensor | None, tolerance: float) -> Tensor:
    """Noise `(*batch, *event)` to data in the user's units."""
    least, most = angle_range(model)

    def run(noise: Tensor, condition: Tensor | None) -> Tensor:
        return model.to_user_units(_move(model, noise, condition, most, least, tolerance) / math.cos(least))

    return _in_rows(model, run, noise, condition, "noise")


def angle_range(model: Denoiser) -> tuple[float, float]:
    """The angles at t_min and t_max."""
    path = model.path
    least, most = angle(path, torch.tensor([path.t_min, path.t_max], dtype=torch.float64)).tolist()
    return least, most


def _move(
    model: "Diffusion", y: Tensor, condition: Tensor | None, start: float, end: float, tolerance: float
) -> Tensor:
    return solve(flow_field(model, condition), y, [start, end], rtol=tolerance, atol=tolerance).y[-1]


@torch.no_grad()
def _in_rows(
    model: "Diffusion",
    run: Callable[[Tensor, Tensor | None], Tensor],
    value: Tensor,
    condition: Tensor | None,
    name: str,
) -> Tensor:
    flat, batch = flatten_batch(value, model.event_shape, name)
    flat = model.checked(flat)
    given = flatten_condition(condition, model.condition_shape, batch, model.condition_optional)
    return in_chunks(run, model._rows(len(flat), given), flat, given).reshape(value.shape)
