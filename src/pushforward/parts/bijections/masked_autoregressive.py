"""Masked autoregressive flow: each feature is mapped by what the features before it decide.

x_i = tau(z_i; h_i(x_<i, condition)), with h one masked network. From data to noise all h_i come from one evaluation; the
Jacobian is triangular, log abs det dz/dx = -sum_i log tau'. From noise to data x_i needs x_<i, one after the other
(Papamakarios et al. 2017, https://arxiv.org/abs/1705.07057); turned round by `Inverse`, sampling is the direct one
(Kingma et al. 2016, https://arxiv.org/abs/1606.04934).
"""

from typing import Literal, get_args

import torch
from torch import Size, Tensor, nn

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import register
from pushforward.parts.nn.column_walk import Walk
from pushforward.parts.nn.masked_mlp import MaskedMLP
from pushforward.parts.numerics import fixed_point

from .conditioned import Pulled, conditioned, relu_network
from .elementwise import ElementwiseTransformer, require_widths

Solve = Literal["columns", "jacobi"]


@register
class MaskedAutoregressive(Bijection):
    """x_i = transformer(z_i) with parameters from the features before i in the conditioner's order.

    `inverse`, data to noise, is one evaluation of the conditioner. `forward` is sequential and exact to rounding. With
    `solve="columns"` it walks along the features and computes no hidden unit twice, at the price of about one evaluation
    in all (see `column_walk.py`). With "jacobi" it evaluates the whole network again and again, all features at once, until
    no row moves; that takes at most as many evaluations as there are features, and few launches where features depend on
    each other weakly, which can pay on a GPU. Gradients of `forward` come from the implicit function theorem, in one
    pass backward. Dropout acts in `inverse` only: the solution would be of no one network.

    Raises `ConfigError` for a conditioner that is no `MaskedMLP` or of another size, or an unknown `solve`.

    >>> from pushforward.parts.bijections import AffineTransformer
    >>> from pushforward.parts.nn import MaskedMLP
    >>> part = MaskedAutoregressive(AffineTransformer(), MaskedMLP(5, 2, hidden=(16,)))
    >>> z = torch.randn(10, 5)
    >>> x, log_det = part(z)
    >>> torch.allclose(part.inverse(x)[0], z, atol=1e-5)
    True
    """

    def __init__(self, transformer: ElementwiseTransformer, conditioner: nn.Module, solve: str = "columns"):
        super().__init__()
        if solve not in get_args(Solve):
            raise ConfigError(f"expected solve {' or '.join(map(repr, get_args(Solve)))}, got {solve!r}")
        if not isinstance(conditioner, MaskedMLP):
            raise ConfigError(
                f"expected a MaskedMLP as the conditioner, got {type(conditioner).__name__}; others do not keep the order"
            )
        width = require_widths(conditioner, conditioner.inputs, transformer.size * conditioner.inputs)
        self.event_shape = self.output_shape = Size((conditioner.inputs,))
        self.condition_shape = Size((width,)) if width else None
        self.inverse_kind = "iterative" if hasattr(transformer, "solved") else "exact"
        self.transformer, self.conditioner, self.solve = transformer, conditioner, solve
        self.pulled = transformer if isinstance(transformer, Pulled) else None

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.pulled is not None and (condition is None) == (self.condition_shape is None):
            network = relu_network(self.conditioner)
            if network is not None:
                return conditioned(x, condition, self.pulled, True, None, network)
        z, log_derivative = self.transformer.inverse(x.T, self._network(x, condition))
        return z.T, log_derivative.sum(0)

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        walk = Walk.of(self.conditioner, condition)
        with torch.no_grad():
            x, log_det = self._walk(walk, z) if self.solve == "columns" else self._iterate(z, condition)
        if not torch.is_grad_enabled():
            return x, log_det
        value = self._step(x, z, condition)
        if not value.requires_grad:
            return x, log_det
        # Zero, with the gradient of one step, which the hook turns into that of the solution.
        gap = value - value.detach()
        gap.register_hook(lambda gradient: self._implicit(walk, x, z, gradient))
        x = x + gap
        return x, -self._evaluated(x, condition)

    def _walk(self, walk: Walk, z: Tensor) -> tuple[Tensor, Tensor]:
        """The solution feature by feature, with its log det."""
        order, noise, log_det = self.conditioner.order, z.T.contiguous(), z.new_zeros(len(z))

        def step(place: int, parameters: Tensor) -> Tensor:
            x, log_derivative = self.transformer.forward(noise[order[place]], parameters)
            log_det.add_(log_derivative)
            return x

        return self._unsorted(walk.forward(len(z), step)), log_det

    def _iterate(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """The solution by iterating x <- tau(z; h(x)): after k steps the first k features are right."""
        x, _ = fixed_point(lambda x: self._step(x, z, condition), z, most=len(self.conditioner.order) + 1)
        return x, -self._evaluated(x, condition)

    def _implicit(self, walk: Walk, x: Tensor, z: Tensor, gradient: Tensor | None) -> Tensor | None:
        """v = gradient + J' v, with J the Jacobian of one step at the solution."""
        if gradient is None:
            return None
        order = torch.tensor(self.conditioner.order, device=x.device)
        features, noise = x.T.index_select(0, order), z.detach().T.index_select(0, order)
        slopes, parameters = walk.evaluate(features)
        with torch.enable_grad():
            at = parameters.view(len(order), -1, len(x)).transpose(0, 1).requires_grad_()
            (by_parameters,) = torch.autograd.grad(self.transformer.forward(noise, at)[0].sum(), at)
        with torch.no_grad():
            flat = by_parameters.transpose(0, 1).reshape(parameters.shape)
            return self._unsorted(walk.transposed(slopes, flat, gradient.T.index_select(0, order)))

    def _step(self, x: Tensor, z: Tensor, condition: Tensor | None) -> Tensor:
        return self.transformer.forward(z.T, self._network(x, condition, dropout=False))[0].T

    def _evaluated(self, x: Tensor, condition: Tensor | None) -> Tensor:
        return self.transformer.inverse(x.T, self._network(x, condition, dropout=False))[1].sum(0)

    def _network(self, x: Tensor, condition: Tensor | None, dropout: bool = True) -> Tensor:
        return self.conditioner.columns(x, condition, dropout).reshape(self.transformer.size, x.shape[1], len(x))

    def _unsorted(self, features: Tensor) -> Tensor:
        """Rows in order, `(features, n)`, as `(n, features)` in the order of the data."""
        places = torch.tensor(self.conditioner.order, device=features.device).argsort()
        return features.index_select(0, places).T
