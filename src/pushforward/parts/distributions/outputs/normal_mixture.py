"""A mixture of normal distributions: p(x) = sum_k w_k N(x; m_k, s_k^2), from logits of w, means and log s.

Bishop 1994, "Mixture density networks", https://publications.aston.ac.uk/id/eprint/373/; with one component, a Gaussian.
"""

import math

import torch
from torch import Size, Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .output import require_settings, select

_LOG_ROOT_2PI = math.log(2 * math.pi) / 2


@register
class NormalMixture(nn.Module):
    """Parameters `[logits, means, log_scales]`, each `components` wide; one component has no logit.

    `log s` never falls below `lowest`, or the density of a number that is repeated would grow without end. At a temperature T
    weights are w^(1/T) and scales T s. Raises `ConfigError` for fewer than 1 component.

    >>> NormalMixture().log_prob(torch.zeros(1, 2), torch.zeros(1)).exp()
    tensor([0.3989])
    """

    uniforms = 2
    element = Size(())
    discrete = False
    nucleus = False

    def __init__(self, components: int = 1, lowest: float = -7.0):
        super().__init__()
        if components < 1:
            raise ConfigError(f"expected at least 1 component, got {components}; 1 is a Gaussian")
        self.components, self.lowest = components, lowest
        self.size = 2 if components == 1 else 3 * components

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Log density `(...)` of x `(...)`."""
        logits, mean, log_scale = self._split(parameters)
        z = (x[..., None] - mean) * (-log_scale).exp()
        each = -z.square() / 2 - log_scale - _LOG_ROOT_2PI
        return each[..., 0] if logits is None else (logits.log_softmax(-1) + each).logsumexp(-1)

    def sample(self, parameters: Tensor, u: Tensor, temperature: float = 1.0, top_p: float = 1.0) -> Tensor:
        """u `(..., 2)` selects a component, and the place in it by the inverse distribution function."""
        require_settings(temperature, top_p, self.nucleus)
        logits, mean, log_scale = self._split(parameters)
        if logits is None:
            mean, log_scale = mean[..., 0], log_scale[..., 0]
        else:
            chosen = select((logits / temperature).softmax(-1), u[..., 0])[..., None]
            mean, log_scale = (p.gather(-1, chosen)[..., 0] for p in (mean, log_scale))
        # Of 53 bits, 0 is moved by half a bit, since its place is infinitely far away.
        z = torch.special.ndtri(u[..., 1].double().clamp(min=2.0**-54)).to(mean.dtype)
        return mean + temperature * log_scale.exp() * z

    def _split(self, parameters: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        *logits, mean, log_scale = parameters.split(self.components, -1)
        return logits[0] if logits else None, mean, log_scale.clamp(min=self.lowest)
