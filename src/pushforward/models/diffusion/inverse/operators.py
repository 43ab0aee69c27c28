"""Linear measurements m = A x + noise: which numbers are seen, a grey image, a small image, or any matrix.

All that a method asks of A is A x, A' u, and functions of A A', whose eigenvectors are known: the pseudo-inverse is A' (A A')^+, and the
likelihood of a Gaussian around x^ is that of N(A x^, r^2 A A' + noise^2).
"""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Size, Tensor, nn
from torch.nn import functional

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.registry import register
from pushforward.core.shapes import as_size

Spectrum = Callable[[Tensor], Tensor]


@runtime_checkable
class Operator(Protocol):
    """A linear map from events to measurements, with the eigenvectors of A A' known. `largest` is its largest eigenvalue."""

    largest: float

    def measured_shape(self, event_shape: Size) -> Size:
        """The shape of a measurement of such an event. Raises `ShapeError` for events that the map does not fit."""
        ...

    def apply(self, x: Tensor) -> Tensor:
        """A x, for x `(n, *event)`."""
        ...

    def adjoint(self, u: Tensor) -> Tensor:
        """A' u, for u `(n, *measured)`."""
        ...

    def spectral(self, u: Tensor, f: Spectrum) -> Tensor:
        """f(A A') u: f takes positive eigenvalues, and gives numbers that broadcast to u; where the eigenvalue is 0 so is the result."""
        ...


def pseudo_inverse(operator: Operator, u: Tensor) -> Tensor:
    """A^+ u, the smallest x `(n, *event)` for which A x is as near to u as it can be.

    >>> pseudo_inverse(SuperResolve(2), torch.ones(1, 1, 1, 1)).tolist()
    [[[[1.0, 1.0], [1.0, 1.0]]]]
    """
    return operator.adjoint(operator.spectral(u, torch.reciprocal))


@register
class Inpaint(nn.Module):
    """Some numbers of x are seen: A = diag(mask). The mask is True where they are, and broadcasts to an event.

    A measurement is an event, of which the hidden numbers are not looked at; they may be anything, even NaN. Raises `ShapeError` for a
    mask that is not boolean, or that does not broadcast to an event.

    >>> Inpaint(torch.tensor([True, False])).apply(torch.tensor([[3.0, 4.0]]))
    tensor([[3., 0.]])
    """

    mask: Tensor

    def __init__(self, mask: Tensor):
        super().__init__()
        if mask.dtype != torch.bool:
            raise ShapeError(f"expected a boolean mask, True where numbers are seen, got {mask.dtype}; use mask.bool()")
        if not mask.any():
            raise ShapeError("expected a mask that leaves some number to be seen, got none; use model.sample without a measurement")  # fmt: skip
        self.mask, self.largest = nn.Buffer(mask.clone()), 1.0

    def measured_shape(self, event_shape: Size) -> Size:
        """That of the event."""
        wide, event = tuple(self.mask.shape), tuple(event_shape)
        fits = len(wide) <= len(event) and all(a in (1, b) for a, b in zip(wide[::-1], event[::-1]))
        if not fits:
            raise ShapeError(f"expected a mask that broadcasts to an event of shape {event}, got {wide}; a mask of shape "
                             f"{event[-2:]} is for all channels of an image")  # fmt: skip
        return event_shape

    def apply(self, x: Tensor) -> Tensor:
        """x with zeros where it is hidden."""
        return torch.where(self.mask, x, 0)

    def adjoint(self, u: Tensor) -> Tensor:
        """The same map."""
        return torch.where(self.mask, u, 0)

    def spectral(self, u: Tensor, f: Spectrum) -> Tensor:
        """f(1) u where it is seen."""
        return torch.where(self.mask, u * f(u.new_ones(())), 0)


@register
class Colorise(nn.Module):
    """A grey image is seen, the sum of the channels times `weights`: by default their mean, for three channels.

    A measurement is `(1, height, width)`. Raises `ConfigError` for weights that are all zero, `ShapeError` for other channels.

    >>> Colorise().apply(torch.tensor([3.0, 6.0, 0.0]).reshape(1, 3, 1, 1)).flatten()
    tensor([3.])
    """

    weights: Tensor

    def __init__(self, weights: Sequence[float] = (1 / 3, 1 / 3, 1 / 3)):
        super().__init__()
        self.weights = nn.Buffer(torch.tensor(list(weights))[:, None, None])
        self.largest = sum(w * w for w in weights)
        if not self.largest > 0:
            raise ConfigError(f"expected weights of the channels that are not all zero, got {tuple(weights)}; (0.299, 0.587, 0.114) are usual")  # fmt: skip

    def measured_shape(self, event_shape: Size) -> Size:
        """One channel."""
        if len(event_shape) != 3 or event_shape[0] != len(self.weights):
            raise ShapeError(f"expected images of {len(self.weights)} channels, got events of shape {tuple(event_shape)}; "
                             "give a weight for each channel")  # fmt: skip
        return Size((1, *event_shape[1:]))

    def apply(self, x: Tensor) -> Tensor:
        """The weighted sum over channels."""
        return (x * self.weights).sum(1, keepdim=True)

    def adjoint(self, u: Tensor) -> Tensor:
        """u times the weights."""
        return u * self.weights

    def spectral(self, u: Tensor, f: Spectrum) -> Tensor:
        """f(sum of squared weights) u."""
        return u * f(u.new_tensor(self.largest))


@register
class SuperResolve(nn.Module):
    """A small image is seen, whose pixels are means of `factor` x `factor` ones.

    Raises `ConfigError` for a factor below 1, `ShapeError` for images whose sides it does not divide.

    >>> SuperResolve(2).apply(torch.arange(4.0).reshape(1, 1, 2, 2)).flatten()
    tensor([1.5000])
    """

    def __init__(self, factor: int):
        super().__init__()
        if factor < 1:
            raise ConfigError(f"expected a factor of at least 1, got {factor}; 4 makes a side a quarter as long")
        self.factor, self.largest = factor, 1 / factor**2

    def measured_shape(self, event_shape: Size) -> Size:
        """An image with sides `factor` times shorter."""
        if len(event_shape) != 3 or event_shape[1] % self.factor or event_shape[2] % self.factor:
            raise ShapeError(f"expected images whose sides {self.factor} divides, got events of shape {tuple(event_shape)}; choose another factor")  # fmt: skip
        return Size((event_shape[0], event_shape[1] // self.factor, event_shape[2] // self.factor))

    def apply(self, x: Tensor) -> Tensor:
        """Means of blocks."""
        return functional.avg_pool2d(x, self.factor)

    def adjoint(self, u: Tensor) -> Tensor:
        """Each pixel spread evenly over its block."""
        return u.repeat_interleave(self.factor, -1).repeat_interleave(self.factor, -2) * self.largest

    def spectral(self, u: Tensor, f: Spectrum) -> Tensor:
        """f(1 / factor^2) u."""
        return u * f(u.new_tensor(self.largest))


@register
class LinearOperator(nn.Module):
    """m = `matrix` x, a matrix `(measured, numbers)` times the flattened event; `event_shape` is (numbers,) by default.

    Raises `ShapeError` for what is no matrix, has an entry that is not finite or is zero, or for other events.

    >>> LinearOperator(torch.tensor([[1.0, 1.0]])).apply(torch.tensor([[3.0, 4.0]]))
    tensor([[7.]])
    """

    matrix: Tensor
    eigenvalues: Tensor
    eigenvectors: Tensor

    def __init__(self, matrix: Tensor, event_shape: int | Sequence[int] | None = None):
        super().__init__()
        if matrix.ndim != 2 or not torch.isfinite(matrix).all() or not matrix.any():
            raise ShapeError(f"expected a finite matrix (measured, numbers) that is not zero, got shape {tuple(matrix.shape)}; "
                             "one row for each measured number")  # fmt: skip
        self.event_shape = Size(matrix.shape[1:]) if event_shape is None else as_size(event_shape)
        if self.event_shape.numel() != matrix.shape[1]:
            raise ShapeError(f"expected a matrix with {self.event_shape.numel()} columns for events of shape "
                             f"{tuple(self.event_shape)}, got {matrix.shape[1]}; one column for each number")  # fmt: skip
        values, vectors = torch.linalg.eigh(matrix.double() @ matrix.double().T)
        seen = values > values[-1] * 1e-10  # rounding leaves eigenvalues near zero, whose inverses would be noise
        self.matrix, self.largest = nn.Buffer(matrix.clone()), float(values[-1])
        self.eigenvalues = nn.Buffer(values[seen].to(matrix.dtype))
        self.eigenvectors = nn.Buffer(vectors[:, seen].to(matrix.dtype).contiguous())

    def measured_shape(self, event_shape: Size) -> Size:
        """(measured,)."""
        if event_shape != self.event_shape:
            raise ShapeError(f"expected events of shape {tuple(self.event_shape)}, got {tuple(event_shape)}; "
                             "give LinearOperator the event_shape of the model")  # fmt: skip
        return Size(self.matrix.shape[:1])

    def apply(self, x: Tensor) -> Tensor:
        """matrix x."""
        return x.flatten(1) @ self.matrix.T

    def adjoint(self, u: Tensor) -> Tensor:
        """matrix' u."""
        return (u @ self.matrix).reshape(len(u), *self.event_shape)

    def spectral(self, u: Tensor, f: Spectrum) -> Tensor:
        """V f(eigenvalues) V' u."""
        return (u @ self.eigenvectors * f(self.eigenvalues)) @ self.eigenvectors.T
