"""A mixture of logistic distributions, discretised: the probability of a level is what falls into its cell.

    P(x) = sum_k w_k [sigmoid((y + h - m_k) / s_k) - sigmoid((y - h - m_k) / s_k)],   y = 2 x / (levels - 1) - 1,

with h = 1 / (levels - 1); the lowest cell keeps the tail below it and the highest the one above. Of a colour pixel one
component is chosen for all three numbers, and the means of green and blue move with what was drawn before:

    m_g + a r,   m_b + b r + c g.

Salimans, Karpathy, Chen and Kingma 2017, https://arxiv.org/abs/1701.05517, section 2.1 and 2.2.
"""

import torch
from torch import Size, Tensor, nn
from torch.nn.functional import logsigmoid

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .output import off_support, require_settings, select


@register
class LogisticMixture(nn.Module):
    """Parameters `[logits, means, log_scales]`, each `components` wide, for a whole number 0 .. levels - 1.

    Means and scales are in the units of y, from -1 to 1; `log s` never falls below `lowest`. At a temperature T weights are
    w^(1/T) and scales T s. Raises `ConfigError` for fewer than 1 component or 2 levels.

    >>> output = LogisticMixture(3, levels=16)
    >>> round(output.log_prob(torch.randn(9).expand(16, 9), torch.arange(16.0)).exp().sum().item(), 4)
    1.0
    """

    uniforms = 2
    element = Size(())
    discrete = True
    nucleus = False

    def __init__(self, components: int = 10, levels: int = 256, lowest: float = -7.0):
        super().__init__()
        _require(components, levels)
        self.components, self.levels, self.lowest = components, levels, lowest
        self.size = 3 * components

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Log mass `(...)` of x `(...)`; -inf for what is no level."""
        logits, mean, log_scale = parameters.split(self.components, -1)
        each = log_cell_mass(x[..., None], mean, log_scale.clamp(min=self.lowest), self.levels)
        return (logits.log_softmax(-1) + each).logsumexp(-1)

    def sample(self, parameters: Tensor, u: Tensor, temperature: float = 1.0, top_p: float = 1.0) -> Tensor:
        """u `(..., 2)` selects a component, and the level in it."""
        require_settings(temperature, top_p, self.nucleus)
        logits, mean, log_scale = parameters.split(self.components, -1)
        chosen = select((logits / temperature).softmax(-1), u[..., 0])[..., None]
        mean, log_scale = (p.gather(-1, chosen)[..., 0] for p in (mean, log_scale.clamp(min=self.lowest)))
        return _level(mean + temperature * log_scale.exp() * _logit(u[..., 1], mean.dtype), self.levels)


@register
class ColourLogisticMixture(nn.Module):
    """Three whole numbers 0 .. levels - 1 of one pixel, red, green and blue: `10 * components` parameters.

    They are the logits, then means, log scales and coefficients `(a, b, c)`, each `3 * components` wide (numbers first,
    components last); the coefficients go through tanh, and r and g are in the units of y. Otherwise as `LogisticMixture`.

    >>> output = ColourLogisticMixture(2, levels=4)
    >>> colours = torch.cartesian_prod(*[torch.arange(4.0)] * 3)
    >>> round(output.log_prob(torch.randn(20).expand(64, 20), colours).exp().sum().item(), 4)
    1.0
    """

    uniforms = 4
    element = Size((3,))
    discrete = True
    nucleus = False

    def __init__(self, components: int = 10, levels: int = 256, lowest: float = -7.0):
        super().__init__()
        _require(components, levels)
        self.components, self.levels, self.lowest = components, levels, lowest
        self.size = 10 * components

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Log mass `(...)` of x `(..., 3)`; -inf where one of the three is no level."""
        logits, mean, log_scale, (a, b, c) = self._split(parameters)
        red, green, _ = (2 * x / (self.levels - 1) - 1)[..., None].unbind(-2)
        mean = torch.stack([mean[0], mean[1] + a * red, mean[2] + b * red + c * green], -2)
        each = log_cell_mass(x[..., None], mean, log_scale, self.levels).sum(-2)
        return (logits.log_softmax(-1) + each).logsumexp(-1)

    def sample(self, parameters: Tensor, u: Tensor, temperature: float = 1.0, top_p: float = 1.0) -> Tensor:
        """u `(..., 4)` selects a component, and the levels of red, green and blue, in turn."""
        require_settings(temperature, top_p, self.nucleus)
        logits, mean, log_scale, coefficients = self._split(parameters)
        chosen = select((logits / temperature).softmax(-1), u[..., 0])[..., None]
        m, (a, b, c) = ([p.gather(-1, chosen)[..., 0] for p in group] for group in (mean, coefficients))
        scale = temperature * log_scale.exp().gather(-1, chosen[..., None, :].expand(*chosen.shape[:-1], 3, 1))[..., 0]
        noise = scale * _logit(u[..., 1:], scale.dtype)
        top = (self.levels - 1) / 2
        red = _level(m[0] + noise[..., 0], self.levels)
        green = _level(m[1] + a * (red / top - 1) + noise[..., 1], self.levels)
        blue = _level(m[2] + b * (red / top - 1) + c * (green / top - 1) + noise[..., 2], self.levels)
        return torch.stack([red, green, blue], -1)

    def _split(self, parameters: Tensor) -> tuple[Tensor, tuple[Tensor, ...], Tensor, tuple[Tensor, ...]]:
        logits, rest = parameters.split([self.components, 9 * self.components], -1)
        mean, log_scale, coefficients = rest.unflatten(-1, (3, 3, self.components)).unbind(-3)
        return logits, mean.unbind(-2), log_scale.clamp(min=self.lowest), coefficients.tanh().unbind(-2)


def log_cell_mass(x: Tensor, mean: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    """Log of what a logistic distribution puts into the cell of x, a level 0 .. levels - 1; -inf for what is none."""
    y, h = 2 * x / (levels - 1) - 1, 1 / (levels - 1)
    per_scale = (-log_scale).exp()
    above, below = (y + h - mean) * per_scale, (y - h - mean) * per_scale
    # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)): no difference of numbers that are nearly alike.
    inner = torch.log(-torch.expm1(-2 * h * per_scale))
    low, high = x == 0, x == levels - 1
    mass = (
        torch.where(high, 0, logsigmoid(above))
        + torch.where(low, 0, logsigmoid(-below))
        + torch.where(low | high, 0, inner)
    )
    return torch.where((x == x.round()) & (x >= 0) & (x <= levels - 1), mass, off_support(x))


def _level(y: Tensor, levels: int) -> Tensor:
    return ((y + 1) * ((levels - 1) / 2)).round().clamp(0, levels - 1)


def _logit(u: Tensor, dtype: torch.dtype) -> Tensor:
    # Of 53 bits, 0 is moved by half a bit, since its logit is infinite.
    return u.double().clamp(min=2.0**-54).logit().to(dtype)


def _require(components: int, levels: int) -> None:
    if components < 1 or levels < 2:
        raise ConfigError(f"expected at least 1 component and 2 levels, got {components} and {levels}; "
                          "10 components and 256 levels are usual for pixels")  # fmt: skip
