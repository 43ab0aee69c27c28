"""The monotone rational-quadratic spline and its gradient (Durkan et al. 2019, https://arxiv.org/abs/1906.04032).

Each of K bins has a width w, a height h and slopes d0, d1 at its ends. With the mean slope s = h/w, the place theta in
[0, 1] in the bin and phi = 1 - theta, the paper's equations 4 and 5 are, written in sums of positive numbers only,

    A0 = s theta + d0 phi,  A1 = s phi + d1 theta,  D = theta A0 + phi A1,  M = phi A0 + theta A1,
    g(x) = y_k + h theta A0 / D,   g'(x) = s^2 M / D^2.

Its inverse at r = (y - y_k) / h solves a quadratic. With b = d0 (1 - r) - d1 r, the discriminant is a sum of squares,
and the root needs no difference either:

    theta = 2 s r / (b + 2 s r + sqrt(b^2 + 4 s^2 r (1 - r)))  where b >= 0, its mirror image elsewhere.

Sizes are shares of the box [-bound, bound]^2, so that the slopes at its corners, which are 1, meet the identity outside.
Tensors are flat: values `(m,)`, parameters `(3 K - 1, m)`: K - 1 inner slopes, K widths, K heights, all before activation.
With one slope more, `(3 K, m)`, the first is that of both ends: the box is then a circle.
"""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from pushforward.parts.numerics.tangents import tangents_of

LEAST_SHARE = 1e-3  # of a bin, of the box
STEEPEST = math.log(1e3)  # slopes at the knots are within 1e-3 .. 1e3


def spline(value: Tensor, parameters: Tensor, bins: int, bound: float, solve: bool) -> tuple[Tensor, ...]:
    """g(value), or g^-1(value) with `solve`, and its log derivative; then what `gradient` wants to know.

    Differentiable as it stands: that is what second derivatives use.
    """
    m, axis, free = len(value), int(solve), 1 - LEAST_SHARE * bins
    within = value.clamp(-bound, bound)
    inside = (within == value).to(value.dtype)
    u = (within + bound) / (2 * bound)
    slopes = parameters[: len(parameters) - 2 * bins]
    # The first and the last of the K + 1 slopes are exp(0), never learned; or one, on a circle.
    slopes = pad(slopes, (0, 0, 1, 1)) if len(slopes) < bins else torch.cat([slopes, slopes[:1]])
    shares = parameters[-2 * bins :].reshape(2, bins, m).softmax(1)
    edges = shares.cumsum(1)
    # A bin has LEAST_SHARE + free * share of the box; that is added after the look-up, where there is less to compute.
    least = torch.arange(1, bins, device=value.device, dtype=value.dtype) * (LEAST_SHARE / free)
    below = edges[axis, :-1] + least[:, None] <= u / free
    k = below.sum(0)
    at = k.expand(2, 1, m)
    size = shares.gather(1, at)[:, 0] * free + LEAST_SHARE
    upper = torch.add(edges.gather(1, at)[:, 0] * free, k + 1, alpha=LEAST_SHARE)
    lower = upper - size
    # Two of the K + 1 slopes are needed.
    turn = torch.tanh(slopes.gather(0, torch.stack([k, k + 1])) / STEEPEST)
    d = torch.exp(turn * STEEPEST)
    w, h = size
    s = h / w
    place = torch.stack([u - lower[axis], upper[axis] - u]).clamp(min=0) / size[axis]
    if solve:
        r, rest = place
        b = d[0] * rest - d[1] * r
        n = 2 * s * torch.where(b >= 0, r, rest)
        n = n / (b.abs() + n + torch.sqrt(b * b + 4 * s * s * r * rest))
        theta = torch.where(b >= 0, n, 1 - n)
        place = torch.stack([theta, 1 - theta])
    a = torch.addcmul(s * place, d, place.flip(0))
    straight, crossed = place * a, place.flip(0) * a
    D, M = straight[0] + straight[1], crossed[0] + crossed[1]
    log_derivative = ((s / D).square() * M).log() * inside
    if solve:
        share, log_derivative = torch.addcmul(lower[0], w, place[0]), -log_derivative
    else:
        share = torch.addcmul(lower[1], h, straight[0] / D)
    # Outside the box `within` is a corner, which g leaves where it is: adding what was cut off gives the identity,
    # without a torch.where whose unused branch could overflow.
    out = (share * (2 * bound) - bound) + (value - within)
    return out, log_derivative, inside, shares, below, k, size, lower, turn, d, place, a, D, M


def gradient(
    out_bar: Tensor, log_bar: Tensor, saved: tuple[Tensor, ...], bins: int, bound: float, solve: bool, circle: bool
) -> tuple[Tensor, Tensor]:
    """Gradients of the value and of the parameters, from those of `spline`'s first two results.

    First g and log g' are differentiated in (theta, s, h, d0, d1), then those in the corner and the size of the bin, and
    then the softmax: of a cumulative sum of shares and one share more, so that its mean is known without summing.
    For the inverse x = g^-1(y) the same partial derivatives serve, by dx = (dy - dg) / g'.
    """
    inside, shares, below, k, size, lower, turn, d, place, a, D, M = saved
    w, h = size
    s, (theta, phi), other, (A0, A1) = h / w, place, place.flip(0), a
    free = 1 - LEAST_SHARE * bins
    out_bar, tail = out_bar * inside, out_bar * (1 - inside)
    log_bar = -log_bar * inside if solve else log_bar * inside
    # log g' = 2 log s + log M - 2 log D: by A0 and A1, then by theta.
    over_D, by_M = 1 / D, log_bar / M
    by_D = 2 * log_bar * over_D
    a_bar = torch.addcmul(by_M * other, by_D, place, value=-1)
    rise = torch.stack([s - d[0], d[1] - s]) * a_bar
    theta_bar = torch.addcmul(rise[0] + rise[1], A1 - A0, by_M + by_D)
    if solve:
        slope = (s * over_D).square() * M
        g_bar = -torch.addcmul(out_bar * (2 * bound), theta_bar, 1 / w) / slope
    else:
        g_bar = out_bar * (2 * bound)
    # g, in shares of the box, is y_k + h theta A0 / D.
    g_over_D = g_bar * over_D
    bent = g_over_D * over_D * h
    both = bent * theta * phi
    a_bar = torch.stack([torch.addcmul(a_bar[0], both, A1), torch.addcmul(a_bar[1], both, A0, value=-1)])
    theta_bar = torch.addcmul(theta_bar, bent * s, M)
    mixed = a_bar * place
    s_bar = mixed[0] + mixed[1] + 2 * log_bar / s
    x_bar = theta_bar / w
    corner_bar = torch.stack([-x_bar, g_bar])
    size_bar = torch.stack([-torch.addcmul(theta_bar * theta, s_bar, s), g_over_D * theta * A0 * w + s_bar]) / w
    # Back through the softmax. `new_empty` rather than `empty`: under vmap it is a batch of tensors.
    own = size - LEAST_SHARE
    mean = torch.addcmul(corner_bar * torch.sub(lower, k, alpha=LEAST_SHARE), size_bar, own)
    full = mean.new_empty(3 * bins, len(k))
    # The end slopes go to rows 0 and K. The last is overwritten by the first width; the first is cut off, or holds both.
    full[: bins + 1].zero_().scatter_(0, torch.stack([k, k + 1]), a_bar * other * d * (1 - turn * turn))
    if circle:
        full[0] += full[bins]
    logits_bar = full[bins:].view(2, bins, len(k))
    logits_bar[:, :-1] = below * (corner_bar * free)[:, None]
    logits_bar[:, -1] = 0
    logits_bar.sub_(mean[:, None]).mul_(shares).scatter_add_(1, k.expand(2, 1, len(k)), (size_bar * own)[:, None])
    value_bar = -g_bar if solve else x_bar
    return value_bar / (2 * bound) + tail, full if circle else full[1:]


class Spline(torch.autograd.Function):
    """`spline` with `gradient` as its first derivative; further derivatives come from autograd."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, parameters: Tensor, bins: int, bound: float, solve: bool) -> tuple[Tensor, ...]:
        """`spline`."""
        return spline(value, parameters, bins, bound, solve)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep the tensors that the gradient reads."""
        ctx.shape = inputs[2:]
        ctx.save_for_backward(*inputs[:2], *output[2:])
        ctx.save_for_forward(*inputs[:2])
        ctx.mark_non_differentiable(*output[2:])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, out_bar: Tensor | None, log_bar: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        """The gradient; one that can itself be differentiated, where that is asked for."""
        given = out_bar if out_bar is not None else log_bar
        if given is None:
            return None, None, None, None, None
        out_bar, log_bar = (torch.zeros_like(given) if bar is None else bar for bar in (out_bar, log_bar))
        value, parameters, *saved = ctx.saved_tensors
        if torch.is_grad_enabled():
            return *torch.func.vjp(_pair(ctx), value, parameters)[1]((out_bar, log_bar)), None, None, None
        bins, bound, solve = ctx.shape
        circle = len(parameters) == 3 * bins
        return *gradient(out_bar, log_bar, tuple(saved), bins, bound, solve, circle), None, None, None

    @staticmethod
    def jvp(ctx: Any, value_dot: Tensor | None, parameters_dot: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        """Tangents, for forward-mode differentiation."""
        return *tangents_of(_pair(ctx), ctx.saved_tensors, (value_dot, parameters_dot)), *[None] * 12


def _pair(ctx: Any) -> Any:
    bins, bound, solve = ctx.shape
    whole = partial(spline, bins=bins, bound=bound, solve=solve)
    return lambda value, parameters: whole(value, parameters)[:2]
