"""A normalizing flow: a base distribution pushed forward by a bijection.

x = T(z) with z ~ p_Z:  log p(x) = log p_Z(z) - log abs det dT/dz,  z = T^-1(x)
(Rezende and Mohamed 2015, https://arxiv.org/abs/1505.05770).
"""

from typing import TYPE_CHECKING

import torch
from torch import Size, Tensor, nn

from pushforward.core.bijection import Bijection
from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.random import RowGenerator
from pushforward.core.registry import dtype_of, register

if TYPE_CHECKING:
    from .check_report import CheckReport


@register
class Flow(Distribution):
    """p(x | condition) for x = bijection(z, condition) and z from `base`; exact where the base is.

    `condition_loc` and `condition_scale`, of the condition's shape, standardise conditions in the user's units before
    the bijection sees them; they are copied. Conditions of whole numbers are converted, floating ones must have the
    model's dtype.

    Raises `ConfigError` for a base of another event shape, or with a condition of its own, or a condition_scale that
    is not positive.

    >>> from pushforward.parts.bijections import Affine
    >>> from pushforward.parts.distributions import Uniform
    >>> flow = Flow(Uniform(torch.zeros(1), torch.ones(1)), Affine(torch.ones(1), torch.tensor([2.0])))
    >>> flow.log_prob(torch.tensor([[2.0], [3.5]])).exp()
    tensor([0.5000, 0.0000])
    """

    condition_loc: Tensor | None
    condition_scale: Tensor | None

    def __init__(self, base: Distribution, bijection: Bijection, condition_loc: Tensor | None = None,
                 condition_scale: Tensor | None = None):  # fmt: skip
        super().__init__()
        if base.event_shape != bijection.event_shape or base.condition_shape is not None:
            raise ConfigError(f"expected a base without condition over events of shape {tuple(bijection.event_shape)}, got events of shape "
                              f"{tuple(base.event_shape)} and condition {base.condition_shape}; build it for the noise side of the bijection")  # fmt: skip
        self.event_shape, self.condition_shape = bijection.output_shape, bijection.condition_shape
        self.log_prob_kind, self.reparameterised = base.log_prob_kind, base.reparameterised
        if bijection.log_det_kind == "estimate" and base.log_prob_kind != "none":
            self.log_prob_kind = "estimate"
        self.base, self.bijection = base, bijection
        self.condition_loc = _buffer(condition_loc, self.condition_shape, "condition_loc")
        self.condition_scale = _buffer(condition_scale, self.condition_shape, "condition_scale")
        if self.condition_scale is not None and not (self.condition_scale > 0).all():
            raise ConfigError(f"expected a positive condition_scale, got one with minimum {self.condition_scale.min():g}; "
                              "leave out conditions that never change")  # fmt: skip

    def check(self, x: Tensor, condition: Tensor | None = None) -> "CheckReport":
        """Is each layer invertible at x, with the log det of its Jacobian? A report to print, with `ok`; see `check`."""
        from .check import check

        return check(self, x, condition)

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        z = self.base._sample(None, generator)
        return self.bijection._forward(z, self._standardised(condition))[0].contiguous()

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        z, log_det = self.bijection._inverse(x, self._standardised(condition))
        return self.base._log_prob(z, None) + log_det

    def _sample_and_log_prob(self, condition: Tensor | None, generator: RowGenerator) -> tuple[Tensor, Tensor]:
        z, log_prob = self.base._sample_and_log_prob(None, generator)
        x, log_det = self.bijection._forward(z, self._standardised(condition))
        return x.contiguous(), log_prob - log_det

    def _standardised(self, condition: Tensor | None) -> Tensor | None:
        if condition is None:
            return None
        dtype = dtype_of(self)
        if condition.is_floating_point() and condition.dtype != dtype:
            raise ShapeError(
                f"expected a condition of dtype {dtype}, got {condition.dtype}; convert it with condition.to({dtype})"
            )
        condition = condition.to(dtype)
        condition = condition if self.condition_loc is None else condition - self.condition_loc
        return condition if self.condition_scale is None else condition / self.condition_scale


def _buffer(value: Tensor | None, shape: Size | None, name: str) -> Tensor | None:
    if value is None:
        return None
    if value.shape != shape or not torch.isfinite(value).all():
        raise ConfigError(f"expected finite numbers of the condition's shape {shape} as {name}, got shape {tuple(value.shape)}; leave it out "
                          "for a flow without condition")  # fmt: skip
    return nn.Buffer(value.detach().clone())
