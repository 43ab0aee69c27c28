"""Mixtures of distributions.

log p(x) = logsumexp_k (log w_k + log p_k(x)).  To sample: u uniform, k the first with w_1 + ... + w_k > u, x ~ p_k.
"""

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Size, Tensor, nn

from pushforward.core.distribution import Distribution, LogProbKind
from pushforward.core.errors import ConfigError
from pushforward.core.random import RowGenerator
from pushforward.core.registry import dtype_of, register
from pushforward.core.shapes import expand_right

from .checks import require_floats


@register
class Mixture(Distribution):
    """Draws from one of several distributions of one event shape, chosen with probabilities `weights`.

    `weights` `(k,)` are positive and sum to one; with `learn=True` their logarithms become parameters, and `log_prob`
    has gradients to them. The choice of a component is a jump, so draws carry no gradients. A condition, where the
    components take one, goes to all of them. Raises `ConfigError` for weights that do not sum to one and for
    components that do not fit each other.

    >>> import torch
    >>> from pushforward.parts.distributions import Gaussian
    >>> bumps = [Gaussian(torch.tensor([m]), torch.tensor([0.1])) for m in (-1.0, 1.0)]
    >>> mixture = Mixture(torch.tensor([0.3, 0.7]), bumps)
    >>> mixture.sample(5).shape, round(mixture.log_prob(torch.tensor([1.0])).item(), 4)
    (torch.Size([5, 1]), 1.027)
    """

    reparameterised = False
    logits: Tensor

    def __init__(self, weights: Tensor, components: Sequence[Distribution], learn: bool = False):
        super().__init__()
        require_floats({"weights": weights})
        if weights.ndim != 1 or len(weights) != len(components) or not len(components):
            raise ConfigError(f"expected one weight for each component, got weights of shape {tuple(weights.shape)} "
                              f"for {len(components)}; give a vector")  # fmt: skip
        if not (weights > 0).all() or abs(weights.sum(dtype=torch.float64).item() - 1) > 1e-4:
            raise ConfigError(f"expected positive weights that sum to 1, got sum {weights.sum().item():g}, minimum "
                              f"{weights.min().item():g}; divide by the sum, leave out empty components")  # fmt: skip
        first = components[0]
        if any(_form(c) != (first.event_shape, first.condition_shape, weights.dtype) for c in components):
            raise ConfigError("expected components of one event and condition shape, and of the weights' dtype, got "
                              f"{', '.join(str(_form(c)) for c in components)}; make them alike")  # fmt: skip
        self.event_shape, self.condition_shape = first.event_shape, first.condition_shape
        self.condition_optional = all(c.condition_optional for c in components)
        self.log_prob_kind = _weakest([c.log_prob_kind for c in components])
        self.components = nn.ModuleList(components)
        log_weights = weights.detach().log()
        self.logits = nn.Parameter(log_weights) if learn else nn.Buffer(log_weights)

    @property
    def weights(self) -> Tensor:
        """The probabilities of the components, `(k,)`."""
        return self.logits.softmax(0)

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        with torch.no_grad():
            uniform = generator.uniform(dtype=self.logits.dtype)
            chosen = torch.searchsorted(self.weights.cumsum(0)[:-1], uniform, right=True)
            x = torch.empty(generator.rows, *self.event_shape, dtype=uniform.dtype, device=uniform.device)
            for k, component in enumerate(self._parts()):
                # Every component draws all rows from a fork of its own, so that a row does not depend on the others.
                if (mine := chosen == k).any():
                    x = torch.where(expand_right(mine, x), component._sample(condition, generator.fork(k)), x)
        return x

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        each = torch.stack([component._log_prob(x, condition) for component in self._parts()], dim=1)
        return torch.logsumexp(self.logits.log_softmax(0) + each, dim=1)

    def _parts(self) -> Iterable[Distribution]:
        return cast(Iterable[Distribution], self.components)


def _form(component: Distribution) -> tuple[Size, Size | None, torch.dtype]:
    return component.event_shape, component.condition_shape, dtype_of(component)


def _weakest(kinds: Sequence[LogProbKind]) -> LogProbKind:
    """What the logarithm of a sum is when its terms are of these kinds."""
    order: tuple[LogProbKind, ...] = ("none", "estimate", "lower_bound", "exact")
    return next(kind for kind in order if kind in kinds)
