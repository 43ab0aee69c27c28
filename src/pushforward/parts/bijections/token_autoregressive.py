"""Autoregressive over tokens: each is mapped in a way that the tokens before it decide.

x_t = tau(z_t; h_t) with h_t = h(x_0 .. x_{t-1}, condition), a causal network. Affine, z_t = (x_t - mu_t) exp(-s_t), it is the
layer of TarFlow (Zhai et al. 2024, https://arxiv.org/abs/2412.06329), and of MAF for tokens of one number. From data to
noise all tokens are known: one pass. From noise to data they come one by one, each for one place of the network with a cache.

The Jacobian is block triangular, with diagonal blocks that are diagonal: log abs det is the sum of log tau'. With gradients,
draws use the implicit function theorem: x solves x = tau(z; h(x)), whose Jacobian by x is nilpotent, so that the backward
fixed point is exact after at most as many passes as there are tokens.
"""

import torch
from torch import Size, Tensor

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.core.registry import register
from pushforward.core.shapes import sum_event
from pushforward.parts.nn import CausalTransformer
from pushforward.parts.numerics import fixed_point

from .elementwise import ElementwiseTransformer


@register
class TokenAutoregressive(Bijection):
    """x_t = transformer(z_t), with parameters from the tokens before: events `(tokens, width)`.

    `network` takes tokens of `width` numbers to `transformer.size * width` outputs for each: output `k * width + i` is
    parameter k of number i. Its condition is that of the bijection: a vector, or the number of a class, of shape ().

    Raises `ConfigError` for a network of other widths.

    >>> from pushforward.parts.bijections import AffineTransformer
    >>> layer = TokenAutoregressive(AffineTransformer(), CausalTransformer(3, 2, 4, width=16))
    >>> x, log_det = layer(torch.randn(10, 3, 2))
    >>> x.shape, log_det.shape
    (torch.Size([10, 3, 2]), torch.Size([10]))
    """

    def __init__(self, transformer: ElementwiseTransformer, network: CausalTransformer):
        super().__init__()
        if network.outputs != transformer.size * network.inputs:
            raise ConfigError(f"expected a network with {transformer.size} outputs for each of its {network.inputs} inputs, got "
                              f"{network.outputs}; build it with outputs={transformer.size * network.inputs}")  # fmt: skip
        self.event_shape = self.output_shape = Size((network.tokens, network.inputs))
        if network.classes is not None:
            self.condition_shape = Size(())
        elif network.condition:
            self.condition_shape = Size((network.condition,))
        self.inverse_kind = "iterative" if hasattr(transformer, "solved") else "exact"
        self.transformer, self.network = transformer, network

    def _inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        z, log_derivative = self.transformer.inverse(x, self._decided(x, condition))
        return z, sum_event(log_derivative)

    def _forward(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            known, known_log_det = self._token_by_token(z, condition)
        if not torch.is_grad_enabled():
            return known, known_log_det

        def again(x: Tensor) -> Tensor:
            return self.transformer.forward(z, self._decided(x, condition))[0]

        with torch.no_grad():
            rounded = again(known)
        # What was found, token by token, is the fixed point to the last digit; all that is added is its derivative.
        x, _ = fixed_point(lambda x: known + (again(x) - rounded), known)
        log_det = -self._inverse(x, condition)[1]
        return x, known_log_det + (log_det - log_det.detach())

    def _decided(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """The parameters of all tokens, in one pass: `(size, n, tokens, width)`."""
        n, tokens, width = x.shape
        return self.network(x, condition).reshape(n, tokens, self.transformer.size, width).permute(2, 0, 1, 3)

    def _token_by_token(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        n, tokens, width = z.shape
        cache, before, x, total = self.network.cache(n, condition), None, [], z.new_zeros(n)
        for place in range(tokens):
            parameters = (
                self.network.step(before, place, cache).reshape(n, self.transformer.size, width).transpose(0, 1)
            )
            before, log_derivative = self.transformer.forward(z[:, place], parameters)
            x.append(before)
            total = total + log_derivative.sum(1)
        return torch.stack(x, 1), total
