"""Yes or no: P(x = 1) = sigmoid(a)."""

import torch
from torch import Size, Tensor, nn
from torch.nn.functional import logsigmoid

from pushforward.core.registry import register

from .output import off_support, require_settings


@register
class Bernoulli(nn.Module):
    """One logit for a number that is 0 or 1.

    >>> Bernoulli().log_prob(torch.zeros(2, 1), torch.tensor([0.0, 1.0])).exp()
    tensor([0.5000, 0.5000])
    """

    size = uniforms = 1
    element = Size(())
    discrete = True
    nucleus = True

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Log mass `(...)` of x `(...)` by logits `(..., 1)`; -inf for what is neither 0 nor 1."""
        log_mass = logsigmoid(parameters[..., 0] * (2 * x - 1))
        return torch.where((x == 0) | (x == 1), log_mass, off_support(x))

    def sample(self, parameters: Tensor, u: Tensor, temperature: float = 1.0, top_p: float = 1.0) -> Tensor:
        """1 where u `(..., 1)` reaches P(x = 0), so that larger u draw larger x; a likelier outcome of `top_p` or more is certain."""
        require_settings(temperature, top_p, self.nucleus)
        no = torch.sigmoid(-parameters[..., 0] / temperature)
        if top_p < 1:
            no = torch.where(torch.maximum(no, 1 - no) >= top_p, (no >= 0.5).to(no.dtype), no)
        return (u[..., 0] >= no).to(parameters.dtype)
