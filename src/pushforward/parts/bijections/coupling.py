"""Coupling: one part of the vector passes, and says how the other part is mapped.

x_a = z_a,  x_b = tau(z_b; h(z_a, condition)).  The Jacobian is triangular, so log abs det = sum log tau', and both
directions cost one evaluation of the network h, which need not be invertible (Dinh et al. 2015, https://arxiv.org/abs/1410.8516).
"""

from collections.abc import Sequence

import torch
from torch import Size, Tensor, nn

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .conditioned import Layout, Pulled, conditioned, relu_network
from .elementwise import ElementwiseTransformer, parameters_of, require_widths


@register
class Coupling(Bijection):
    """x = z where `mask` is True; elsewhere x = transformer(z), with parameters from the conditioner of what passed.

    `mask` has an entry for every feature. `conditioner` takes the features that pass (and the condition, if built with
    one) to `transformer.size` parameters for each other feature: output `k * features + i` is parameter k of the i-th.
    With a mask of False alone the parameters depend on the condition only, or are constants.

    Raises `ConfigError` for a mask that lets everything pass, or a conditioner of other widths.

    >>> from pushforward.parts.bijections import AffineTransformer
    >>> from pushforward.parts.nn import MLP
    >>> coupling = Coupling([True, False, False], AffineTransformer(), MLP(1, 4))
    >>> x, log_det = coupling(torch.randn(10, 3))
    >>> x.shape, log_det.shape
    (torch.Size([10, 3]), torch.Size([10]))
    """

    parted: Tensor
    order: Tensor

    def __init__(self, mask: Sequence[bool], transformer: ElementwiseTransformer, conditioner: nn.Module):
        super().__init__()
        passing = [i for i, passes in enumerate(mask) if passes]
        mapped = [i for i, passes in enumerate(mask) if not passes]
        if not mapped:
            raise ConfigError(
                f"expected a mask with a False, got {len(passing)} features that all pass; set one to False"
            )
        width = require_widths(conditioner, len(passing), transformer.size * len(mapped))
        self.event_shape = self.output_shape = Size((len(mask),))
        self.condition_shape = Size((width,)) if width else None
        self.inverse_kind = "iterative" if hasattr(transformer, "solved") else "exact"
        self.transformer, self.conditioner = transformer, conditioner
        self.pulled = transformer if isinstance(transformer, Pulled) else None
        self.passing, self.mapped = passing, mapped
        self.parted = nn.Buffer(torch.tensor(passing + mapped), persistent=False)
        self.order = nn.Buffer(self.parted.argsort(), persistent=False)

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return self._map(z, condition, inverse=False)

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return self._map(x, condition, inverse=True)

    def _map(self, value: Tensor, condition: Tensor | None, inverse: bool) -> tuple[Tensor, Tensor]:
        if self.pulled is not None and self._fits(condition):
            network = relu_network(self.conditioner)
            if network is not None:
                layout = Layout(len(self.passing), self.parted, self.order)
                return conditioned(value, condition, self.pulled, inverse, layout, network)
        # One row of memory a feature: picking features copies rows, and the next coupling finds them so.
        a, b = value.T.index_select(0, self.parted).split([len(self.passing), len(self.mapped)])
        parameters = parameters_of(self.conditioner, a.T, condition, self.transformer.size)
        b, log_derivative = (self.transformer.inverse if inverse else self.transformer.forward)(b, parameters)
        return torch.cat([a, b]).index_select(0, self.order).T, log_derivative.sum(0)

    def _fits(self, condition: Tensor | None) -> bool:
        """Whether there is a condition where one is wanted; the network itself says what is wrong otherwise."""
        return (condition is None) == (self.condition_shape is None)
