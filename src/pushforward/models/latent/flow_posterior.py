"""q(z | x): a diagonal Gaussian that an encoder's features decide, and perhaps a flow after it.

    z_0 = mean(h) + std(h) noise,    z = T(z_0; h),    log q(z | x) = log N(z_0) - log abs det dT/dz_0

with h the features, which also move the parameters of T (Rezende and Mohamed 2015, https://arxiv.org/abs/1505.05770; IAF, Kingma et al.
2016, https://arxiv.org/abs/1606.04934; Sylvester, van den Berg et al. 2018, https://arxiv.org/abs/1803.05649).
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import register
from pushforward.core.shapes import sum_event
from pushforward.parts.bijections import Inverse

from .units import log_normal


@register
class FlowPosterior(nn.Module):
    """Features `(n, features)` to draws z `(n, latents)` with their log density.

    `flow` takes events `(latents,)` and, if it wants a condition, the features. Raises `ConfigError` for another flow.

    >>> z, log_q = FlowPosterior(4, 2).draw(torch.zeros(3, 4), torch.randn(3, 2))
    >>> z.shape, log_q.shape
    (torch.Size([3, 2]), torch.Size([3]))
    """

    def __init__(self, features: int, latents: int, flow: Bijection | None = None):
        super().__init__()
        if flow is not None and (flow.event_shape != (latents,) or flow.condition_shape not in (None, (features,))):
            raise ConfigError(f"expected a flow of events ({latents},) given ({features},), got {tuple(flow.event_shape)} given "
                              f"{flow.condition_shape}; build it for the latents and the features")  # fmt: skip
        self.features, self.latents = features, latents
        self.head = nn.Linear(features, 2 * latents)
        self.flow = flow

    def moments(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of z_0, `(n, latents)`."""
        mean, log_variance = self.head(h).chunk(2, 1)
        return mean, 0.5 * log_variance.clamp(-20, 10)

    def draw(self, h: Tensor, noise: Tensor, path: bool = False) -> tuple[Tensor, Tensor]:
        """z and log q(z | x). With `path`, log q has a gradient through z alone, none through the parameters of q."""
        mean, log_std = self.moments(h)
        z0 = mean + log_std.exp() * noise
        z, log_det = (z0, 0.0) if self.flow is None else self.flow._forward(z0, self._given(h))
        if path and torch.is_grad_enabled():
            return z, self.frozen_log_prob(z, h)
        return z, sum_event(log_normal(z0, mean, log_std)) - log_det

    def frozen_log_prob(self, z: Tensor, h: Tensor) -> Tensor:
        """log q(z | x) as a function of z with all else held fixed: the flow is run back, which takes its time."""
        mean, log_std = (value.detach() for value in self.moments(h))
        if self.flow is None:
            return sum_event(log_normal(z, mean, log_std))
        back = Inverse(self.flow)
        frozen = {name: value.detach() for name, value in back.named_parameters()}
        given = None if self.flow.condition_shape is None else h.detach()
        z0, log_det = functional_call(back, frozen, (z, given))
        return sum_event(log_normal(z0, mean, log_std)) + log_det

    def divergence(self, h: Tensor) -> Tensor:
        """KL(N(mean, std^2), N(0, 1)) in closed form for each latent number of z_0, `(n, latents)`."""
        mean, log_std = self.moments(h)
        return 0.5 * (mean.square() + (2 * log_std).exp() - 1) - log_std

    def _given(self, h: Tensor) -> Tensor | None:
        return None if self.flow is None or self.flow.condition_shape is None else h
