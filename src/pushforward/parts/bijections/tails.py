"""Increasing functions on a box, continued to the whole axis by their tangents, and solved for their argument.

For f on [-B, B], with x_B = x clamped to the box,  z = f(x_B) + f'(x_B) (x - x_B):  value and slope are continuous. At
|x| = 10^6 B the slope becomes 1, since a steep tangent would leave the numbers that float32 has. Both directions are sums
of clamped numbers: nothing overflows in a branch that is not taken, so gradients are finite wherever values are.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pushforward.core.solved import Solved
from pushforward.parts.numerics import monotone_root

FAR = 1e6  # bounds, where the tangents end

Increasing = Callable[[Tensor], tuple[Tensor, Tensor]]  # x -> (f(x), log f'(x)), elementwise


def continued(function: Increasing, x: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """z and log dz/dx of `function`, which is only ever asked about [-bound, bound]."""
    within, near = x.clamp(-bound, bound), x.clamp(-FAR * bound, FAR * bound)
    value, log_slope = function(within)
    return value + log_slope.exp() * (near - within) + (x - near), log_slope * (near == x)


def continued_inverse(function: Increasing, z: Tensor, bound: float) -> tuple[Tensor, Tensor, Solved]:
    """x and log dx/dz where `continued` is z, and how the iteration went; first derivatives are exact.

    Inside the box by Newton's method within a bracket, in the tails by a division.
    """
    edge = torch.full_like(z, bound)
    low, high = function(-edge)[0], function(edge)[0]
    # The bracket is u in [4, 5], a little more than the box: Newton's method lands beside an edge, and may overshoot it. A
    # step that is small beside u is small beside the bound; one small beside a root near 0 would be less than rounding.
    center, width = 4.5, 2.25 * bound

    def scaled(u: Tensor) -> tuple[Tensor, Tensor]:
        value, log_slope = continued(function, (u - center) * width, bound)
        return value, log_slope + math.log(width)

    u, solved = monotone_root(scaled, torch.minimum(torch.maximum(z, low), high), guess=torch.full_like(z, center))
    # In a tail the root is an edge, but for the last digits, and a tangent would carry their error far away.
    x = torch.where(z <= low, -edge, torch.where(z >= high, edge, ((u - center) * width).clamp(-bound, bound)))
    _, log_slope = function(x)
    # What is left is how far z lies below or above the values of the box.
    rest = (z - high).clamp(min=0) - (low - z).clamp(min=0)
    reach = log_slope.exp() * ((FAR - 1) * bound)
    near = torch.minimum(torch.maximum(rest, -reach), reach)
    return x + near * torch.exp(-log_slope) + (rest - near), -log_slope * (near == rest), solved
