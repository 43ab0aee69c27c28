"""The affine elementwise map of RealNVP: x = z exp(s) + t (Dinh et al. 2017, https://arxiv.org/abs/1605.08803)."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register
from pushforward.parts.numerics.tangents import tangents_of


@register
class AffineTransformer:
    """x = z exp(s) + t, elementwise, with s = limit * tanh(a / limit), for parameters (t, a).

    Without a limit a single row can make exp(s) overflow, and nothing in the likelihood warns of it: the inverse divides
    by the same number. tanh leaves small s alone (slope 1 at zero) and keeps every scale within e^-limit .. e^limit, 0.05
    to 20 by default, in every layer; layers multiply. `limit=math.inf` is the bare exponential.

    Raises `ConfigError` for a limit that is not positive.

    >>> transformer = AffineTransformer()
    >>> x, log_derivative = transformer.forward(torch.tensor([2.0]), torch.tensor([[1.0], [0.0]]))
    >>> x, log_derivative
    (tensor([3.]), tensor([0.]))
    """

    size = 2

    def __init__(self, limit: float = 3.0):
        if not limit > 0:
            raise ConfigError(
                f"expected a positive limit, got {limit:g}; the scale is kept within exp(-limit) .. exp(limit)"
            )
        self.limit = limit

    def forward(self, z: Float[Tensor, "*shape"],
                parameters: Float[Tensor, "2 *shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:  # fmt: skip
        """x and log dx/dz = s."""
        return _apply(z, parameters, self.limit, False)

    def inverse(self, x: Float[Tensor, "*shape"],
                parameters: Float[Tensor, "2 *shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:  # fmt: skip
        """z and log dz/dx = -s."""
        return _apply(x, parameters, self.limit, True)

    def evaluate(self, value: Tensor, parameters: Tensor, inverse: bool) -> tuple[Tensor, ...]:
        """As `Pulled` wants it (see `conditioned.py`)."""
        found = _affine(value, parameters, self.limit, inverse)
        return found if inverse else (*found, value)

    def pull(self, bar: Tensor, log_bar: Tensor, kept: Sequence[Tensor], inverse: bool) -> tuple[Tensor, Tensor]:
        """Gradients of the value and of the parameters."""
        return _gradient(bar, log_bar, kept, self.limit, inverse)


def _apply(value: Tensor, parameters: Tensor, limit: float, inverse: bool) -> Any:
    # Half of the time of a sequential draw was spent on graphs that nobody wanted.
    run = _Affine.apply if torch.is_grad_enabled() else _affine
    return run(value, parameters, limit, inverse)[:2]


def _affine(value: Tensor, parameters: Tensor, limit: float, inverse: bool) -> tuple[Tensor, ...]:
    """The map, its log derivative, and what the gradient reads: its slope, tanh(a / limit), and of the inverse x - t."""
    t, a = parameters[0], parameters[1]
    turn = a if limit == math.inf else torch.tanh(a * (1 / limit))
    scale = 1.0 if limit == math.inf else limit
    log_slope = turn * (-scale if inverse else scale)
    slope = log_slope.exp()
    if inverse:
        gap = value - t
        return gap * slope, log_slope, slope, turn, gap
    return torch.addcmul(t, value, slope), log_slope, slope, turn


def _gradient(
    bar: Tensor, log_bar: Tensor, kept: Sequence[Tensor], limit: float, inverse: bool
) -> tuple[Tensor, Tensor]:
    """Gradients of the value and of the parameters; `kept` ends with what the slope multiplies."""
    slope, turn, scaled = kept
    value_bar = bar * slope
    # By the log of the slope, which is s, or -s in the inverse.
    s_bar = torch.addcmul(log_bar, value_bar, scaled)
    s_bar = s_bar.neg_() if inverse else s_bar
    if limit != math.inf:
        s_bar = torch.addcmul(s_bar, s_bar * turn, turn, value=-1)
    return value_bar, torch.stack([-value_bar if inverse else bar, s_bar])


class _Affine(torch.autograd.Function):
    """`_affine` with its first derivative by hand, in a third of the operations; further ones come from autograd."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, parameters: Tensor, limit: float, inverse: bool) -> tuple[Tensor, ...]:
        return _affine(value, parameters, limit, inverse)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.limit, ctx.inverse, ctx.extra = *inputs[2:], len(output) - 2
        ctx.save_for_backward(*inputs[:2], *output[2:])
        ctx.save_for_forward(*inputs[:2])
        ctx.mark_non_differentiable(*output[2:])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, bar: Tensor | None, log_bar: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        value, parameters, *kept = ctx.saved_tensors
        if bar is None and log_bar is None:
            return None, None, None, None
        bar, log_bar = (torch.zeros_like(value) if given is None else given for given in (bar, log_bar))
        if torch.is_grad_enabled():
            return *torch.func.vjp(_pair(ctx), value, parameters)[1]((bar, log_bar)), None, None
        kept = kept if ctx.inverse else [*kept, value]
        return *_gradient(bar, log_bar, kept, ctx.limit, ctx.inverse), None, None

    @staticmethod
    def jvp(ctx: Any, value_dot: Tensor | None, parameters_dot: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        return *tangents_of(_pair(ctx), ctx.saved_tensors, (value_dot, parameters_dot)), *[None] * ctx.extra


def _pair(ctx: Any) -> Callable[[Tensor, Tensor], Any]:
    return lambda value, parameters: _affine(value, parameters, ctx.limit, ctx.inverse)[:2]
