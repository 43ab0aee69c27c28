"""A softmax over levels 0 .. levels - 1: P(x = k) = exp(a_k) / sum_j exp(a_j).

The output of PixelRNN and WaveNet (van den Oord et al. 2016, https://arxiv.org/abs/1601.06759). Draws can be sharpened:
a / temperature instead of a, and the nucleus, the fewest most probable levels that hold `top_p` of the mass, instead of all
(Holtzman et al. 2020, https://arxiv.org/abs/1904.09751).
"""

import torch
from torch import Size, Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .output import off_support, require_settings, select


@register
class Categorical(nn.Module):
    """`levels` logits for a whole number 0 .. levels - 1, held as a float.

    Raises `ConfigError` for fewer than 2 levels.

    >>> Categorical(4).log_prob(torch.zeros(1, 4), torch.tensor([3.0])).exp()
    tensor([0.2500])
    """

    uniforms = 1
    element = Size(())
    discrete = True
    nucleus = True

    def __init__(self, levels: int):
        super().__init__()
        if levels < 2:
            raise ConfigError(f"expected at least 2 levels, got {levels}; a column that never changes says nothing")
        self.levels = self.size = levels

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Log mass `(...)` of x `(...)` by logits `(..., levels)`; -inf for what is no level."""
        is_level = (x == x.round()) & (x >= 0) & (x < self.levels)
        level = torch.where(is_level, x, 0)  # so that even what is no number has an index
        log_mass = parameters.gather(-1, level.long()[..., None])[..., 0] - parameters.logsumexp(-1)
        return torch.where(is_level, log_mass, off_support(x))

    def sample(self, parameters: Tensor, u: Tensor, temperature: float = 1.0, top_p: float = 1.0) -> Tensor:
        """The level `(...)` at which the distribution function passes u `(..., 1)`."""
        require_settings(temperature, top_p, self.nucleus)
        mass = (parameters / temperature).softmax(-1)
        if top_p < 1:
            ranked, place = mass.sort(dim=-1, descending=True, stable=True)
            # A level stays when those before it do not yet hold top_p: the most probable one always does.
            kept = ranked.cumsum(-1) - ranked < top_p
            mass = torch.zeros_like(mass).scatter(-1, place, ranked * kept)
        return select(mass, u[..., 0]).to(parameters.dtype)
