"""Networks g with |g(x) - g(y)| <= L |x - y| and L < 1: layers of bounded norm, activations of slope at most 1.

The bound of a composition is the product of the bounds, so L = coefficient^layers. Behrmann et al. 2019,
https://arxiv.org/abs/1811.00995. A condition is not bounded: it moves g, and says nothing about x.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Size, Tensor, nn
from torch.nn import functional

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.registry import register
from pushforward.core.shapes import as_size

from .contractive_activation import ContractiveActivation
from .spectral_norm import SpectralConv2d, SpectralLinear, require_coefficient

SMALL = 1e-2  # scale of the last layer at the start: nearly the identity for x + g(x)


@runtime_checkable
class Prepared(Protocol):
    """A network at one state of its weights and one condition: what a loop evaluates without scaling weights again."""

    def __call__(self, x: Tensor) -> Tensor:
        """g(x), of the shape of x."""
        ...

    def jacobian(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """g(x), and its transposed Jacobian `(n, d, d)` with d numbers an event."""
        ...


@runtime_checkable
class Contraction(Protocol):
    """What `Residual` asks of a network: `condition` is the width of its condition, 0 for none."""

    event_shape: Size
    condition: int

    def lipschitz_bound(self) -> float:
        """A bound on |g(x) - g(y)| / |x - y|, for every condition."""
        ...

    def prepare(self, condition: Tensor | None = None) -> Prepared:
        """The network as a function of x alone."""
        ...


@dataclass(frozen=True)
class _PreparedMLP:
    weights: list[Tensor]
    biases: list[Tensor]
    activations: list[ContractiveActivation]

    def __call__(self, x: Tensor) -> Tensor:
        h = x
        for weight, bias, activation in zip(self.weights, self.biases, self.activations):
            h = activation(_affine(h, weight, bias))
        return _affine(h, self.weights[-1], self.biases[-1])

    def jacobian(self, x: Tensor) -> tuple[Tensor, Tensor]:
        # Forwards, as there are fewer numbers going in than units inside: D_i W_i ... D_1 W_1, transposed. One matrix with a row for
        # each number of each event: products of many small matrices, or with few columns, run at a fraction of the speed.
        n, d = x.shape
        h, rows = x, x.new_empty(0)
        for i, (weight, bias, activation) in enumerate(zip(self.weights, self.biases, self.activations)):
            h, slope = activation.with_slope(_affine(h, weight, bias))
            width = len(weight)
            wide = (rows @ weight.T).view(n, d, width) if i else weight.T.contiguous()
            rows = (wide * slope[:, None]).view(n * d, width)
        last = (self.weights[-1] @ rows.T).T.reshape(n, d, d)
        return _affine(h, self.weights[-1], self.biases[-1]), last


@register
class ContractiveMLP(nn.Module):
    """W_k act(... act(W_1 x + C condition + b_1) ...) + b_k for x `(n, features)`, with Lipschitz constant <= coefficient^k.

    `activation` is "lipswish", "elu", "tanh" or "softplus"; `condition` is the width of a condition. The last layer begins
    small. A `coefficient` of None bounds nothing: an ordinary network of the same form.

    Raises `ConfigError` for a width below 1, no hidden layer, an unknown activation or a coefficient that is not positive,
    `ShapeError` when x or the condition does not fit.

    >>> g = ContractiveMLP(2, hidden=(16, 16), coefficient=0.9)
    >>> round(g.lipschitz_bound(), 3), g(torch.randn(5, 2)).shape
    (0.729, torch.Size([5, 2]))
    """

    def __init__(self, features: int, hidden: Sequence[int] = (64, 64), coefficient: float | None = 0.97,
                 condition: int = 0, activation: str = "lipswish"):  # fmt: skip
        super().__init__()
        require_coefficient(coefficient, features, *hidden)
        if not hidden or condition < 0:
            raise ConfigError(f"expected hidden widths and a condition of at least 0, got {list(hidden)} and {condition}; (64, 64) is usual")  # fmt: skip
        self.event_shape, self.condition, self.coefficient = Size((features,)), condition, coefficient
        sizes = [features, *hidden, features]
        self.layers = nn.ModuleList(SpectralLinear(before, after, coefficient) for before, after in pairwise(sizes))
        self.activations = nn.ModuleList(ContractiveActivation(activation) for _ in hidden)
        self.given = nn.Linear(condition, hidden[0], bias=False) if condition else None
        _shrink(self.layers[-1])

    def lipschitz_bound(self) -> float:
        """coefficient^layers; infinite without a coefficient."""
        return _bound(self.coefficient, len(self.layers))

    def prepare(self, condition: Tensor | None = None) -> Prepared:
        """The network as a function of x alone, with its weights scaled once."""
        layers = [layer for layer in self.layers if isinstance(layer, SpectralLinear)]
        activations = [a for a in self.activations if isinstance(a, ContractiveActivation)]
        biases: list[Tensor] = [layer.bias for layer in layers]
        if self.given is not None:
            if condition is None or condition.shape[1:] != (self.condition,):
                got = "none" if condition is None else f"one of shape {tuple(condition.shape)}"
                raise ShapeError(
                    f"expected a condition of shape (n, {self.condition}), got {got}; pass one row for every row of x"
                )
            biases[0] = biases[0] + self.given(condition)
        elif condition is not None:
            raise ShapeError(f"expected no condition, since this network was built without one, got one of shape "
                             f"{tuple(condition.shape)}; build it with condition={condition.shape[-1]}")  # fmt: skip
        return _PreparedMLP([layer.normalised() for layer in layers], biases, activations)

    def forward(self, x: Float[Tensor, "n features"],
                condition: Float[Tensor, "n given"] | None = None) -> Float[Tensor, "n features"]:  # fmt: skip
        """Evaluate the network."""
        _require_event(x, self.event_shape)
        return self.prepare(condition)(x)


@dataclass(frozen=True)
class _PreparedConv:
    weights: list[Tensor]
    biases: list[Tensor]
    activations: list[ContractiveActivation]

    def __call__(self, x: Tensor) -> Tensor:
        h = x
        for weight, bias, activation in zip(self.weights, self.biases, self.activations):
            h = activation(functional.conv2d(h, weight, bias, padding=weight.shape[-1] // 2))
        return functional.conv2d(h, self.weights[-1], self.biases[-1], padding=self.weights[-1].shape[-1] // 2)

    def jacobian(self, x: Tensor) -> tuple[Tensor, Tensor]:
        # One backward pass of d copies of every image, each asked for the gradient of one number.
        n, d, keep = len(x), x[:1].numel() if len(x) else x.shape[1:].numel(), torch.is_grad_enabled()
        with torch.inference_mode(False), torch.enable_grad():
            source = x.clone() if x.is_inference() else x
            copies = source.repeat_interleave(d, 0)
            copies = copies if keep and copies.requires_grad else copies.detach().requires_grad_()
            values = self(copies)
            one = torch.eye(d, dtype=x.dtype, device=x.device).repeat(n, 1).view_as(values)
            (rows,) = torch.autograd.grad(values, copies, one, create_graph=keep)
        columns = rows.reshape(n, d, d).transpose(1, 2)
        value = values.reshape(n, d, *x.shape[1:])[:, 0]
        return (value, columns) if keep else (value.detach(), columns.detach())


@register
class ContractiveConv(nn.Module):
    """Convolutions of images `(n, c, h, w)` to images of the same shape, with Lipschitz constant <= coefficient^layers.

    `channels` are the widths inside and `kernels` the sides of all kernels, one more; zeros lie around the image. The last
    layer begins small. A `coefficient` of None bounds nothing.

    Raises `ConfigError` for widths below 1, kernels of an even side or of another number, an unknown activation or a
    coefficient that is not positive, `ShapeError` for images of another shape.

    >>> g = ContractiveConv((1, 8, 8), channels=(16, 16))
    >>> g(torch.randn(5, 1, 8, 8)).shape
    torch.Size([5, 1, 8, 8])
    """

    def __init__(self, event_shape: Sequence[int], channels: Sequence[int] = (32, 32), kernels: Sequence[int] = (3, 1, 3),
                 coefficient: float | None = 0.97, activation: str = "lipswish"):  # fmt: skip
        super().__init__()
        if len(event_shape) != 3 or not channels or len(kernels) != len(channels) + 1:
            raise ConfigError(f"expected an event shape (c, h, w), channels, and one kernel more, got {tuple(event_shape)}, {list(channels)} and "
                              f"{list(kernels)}; give a kernel for every convolution")  # fmt: skip
        self.event_shape, self.condition, self.coefficient = as_size(event_shape), 0, coefficient
        sizes = [event_shape[0], *channels, event_shape[0]]
        self.layers = nn.ModuleList(SpectralConv2d(before, after, kernel, event_shape[1:], coefficient)
                                    for (before, after), kernel in zip(pairwise(sizes), kernels))  # fmt: skip
        self.activations = nn.ModuleList(ContractiveActivation(activation) for _ in channels)
        _shrink(self.layers[-1])

    def lipschitz_bound(self) -> float:
        """coefficient^layers; infinite without a coefficient."""
        return _bound(self.coefficient, len(self.layers))

    def prepare(self, condition: Tensor | None = None) -> Prepared:
        """The network as a function of x alone, with its weights scaled once."""
        layers = [layer for layer in self.layers if isinstance(layer, SpectralConv2d)]
        activations = [a for a in self.activations if isinstance(a, ContractiveActivation)]
        return _PreparedConv([layer.normalised() for layer in layers], [layer.bias for layer in layers], activations)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Evaluate the network."""
        _require_event(x, self.event_shape)
        return self.prepare()(x)


def _affine(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """W h + b, with one b for all rows or one for each."""
    return torch.addmm(bias, h, weight.T)


def _bound(coefficient: float | None, layers: int) -> float:
    return float("inf") if coefficient is None else coefficient**layers


def _shrink(layer: nn.Module) -> None:
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(SMALL)


def _require_event(x: Tensor, event_shape: Size) -> None:
    if x.shape[1:] != event_shape:
        raise ShapeError(f"expected x of shape (n, {', '.join(map(str, event_shape))}), got {tuple(x.shape)}; build the network for these inputs")  # fmt: skip
