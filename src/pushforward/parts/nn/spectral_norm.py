"""Layers with a bounded largest singular value: W / max(1, sigma(W) / c), so that |W x - W y| <= c |x - y|.

sigma = u' W v at the leading singular vectors u and v, which are constants to the gradient, so that d sigma = u' dW v.
Power iteration finds them (Miyato et al. 2018, https://arxiv.org/abs/1802.05957). For a convolution W is the operator on
images of their actual size with the padding in use, and W' its transpose (Gouk et al. 2021,
https://arxiv.org/abs/1804.04368): the largest singular value of the kernel, read as a matrix, is another number, and can be
too small by a factor of the kernel's side.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

TRAINED, CONVERGED = 1e-3, 1e-6  # relative changes allowed for a convolution: while weights move, and at evaluation
FRESH = 0.1  # of every direction is mixed in: when another singular value overtakes, its vector may be orthogonal to the last one
SQUARINGS, SMALL = 6, 256  # of W W', for matrices with a side up to the second number
Apply = Callable[[Tensor], Tensor]
Solve = Callable[[Tensor], tuple[Tensor, Tensor]]


class SingularVectors(nn.Module):
    """The leading singular vectors of a linear map that changes slowly, as buffers `u` and `v`.

    In training mode, power iteration goes on from the vectors of the last step, once for each change of the weight: all
    evaluations between two steps of the optimiser see one and the same map. In evaluation mode, and where the weight is
    not the parameter itself (`torch.func.functional_call`), they are a function of the weight alone, found by `solve`, and
    kept until it changes.
    """

    u: Tensor
    v: Tensor

    def __init__(self, outputs: Sequence[int], inputs: Sequence[int]):
        super().__init__()
        self.u, self.v = nn.Buffer(_start(outputs)), nn.Buffer(_start(inputs))
        self._known: dict[bool, tuple[Tensor, Tensor, Tensor]] = {}

    def of(self, weight: Tensor, improve: Solve, solve: Callable[[], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """u and v for this weight: from an earlier u by `improve`, or from nothing by `solve`; without gradients."""
        warm = self.training and isinstance(weight, nn.Parameter)
        known = self._known.get(warm)
        # Values are compared, since fused optimisers change a weight without a trace in its version counter.
        if known is None or known[0].dtype != weight.dtype or known[0].device != weight.device or not torch.equal(known[0], weight):  # fmt: skip
            with torch.inference_mode(False), torch.no_grad():
                u, v = improve(self.u + FRESH * _start(self.u.shape).to(self.u)) if warm else solve()
                if warm:
                    self.u.copy_(u)
                    self.v.copy_(v)
                known = self._known[warm] = weight.detach().clone(), u, v
        return known[1], known[2]


def power_iteration(
    apply: Apply, adjoint: Apply, u: Tensor, tolerance: float, most: int = 1000
) -> tuple[Tensor, Tensor]:
    """u and v = W'u / |W'u| from `u`, until u' W v changes by less than `tolerance` of itself, or `most` times.

    u' W v grows towards the largest singular value from below.
    """
    tiny = torch.finfo(u.dtype).tiny
    last = 0.0
    v = adjoint(u)
    for _ in range(most):
        v = v / v.norm().clamp(min=tiny)
        u = apply(v)
        sigma = u.norm()
        u = u / sigma.clamp(min=tiny)
        if abs(float(sigma) - last) <= tolerance * float(sigma):
            break
        last = float(sigma)
        v = adjoint(u)
    return u, v / v.norm().clamp(min=tiny)


def many_iterations(weight: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """u and v of a matrix after 2^`SQUARINGS` steps of power iteration at once, as (W W')^2 is squared again and again.

    A large matrix, for which squaring costs more than it saves, gets power iteration as it is.
    """
    if min(weight.shape) > SMALL:
        return power_iteration(lambda v: weight @ v, lambda u: u @ weight, u, TRAINED, most=100)
    tiny = torch.finfo(u.dtype).tiny
    wide = weight.shape[0] <= weight.shape[1]
    gram, q = (weight @ weight.T, u) if wide else (weight.T @ weight, u @ weight)
    for _ in range(SQUARINGS):
        gram = gram / gram.norm().clamp(min=tiny)
        gram = gram @ gram
    q = gram @ q
    u = q if wide else weight @ q
    u = u / u.norm().clamp(min=tiny)
    v = u @ weight
    return u, v / v.norm().clamp(min=tiny)


def leading_vectors(
    apply: Apply, adjoint: Apply, start: Tensor, tolerance: float, most: int = 300
) -> tuple[Tensor, Tensor]:
    """u and v by Lanczos' method for W'W: power iteration that keeps all its vectors, and takes the best of their span.

    Where the largest singular values lie close together, as those of convolutions do, power iteration creeps; this does
    not. It ends when |W'W v - sigma^2 v| <= tolerance sigma^2, or when the vectors span all there is. `start` is like v.
    """
    tiny = torch.finfo(start.dtype).tiny
    basis = start.new_empty(min(most, start.numel()), start.numel())
    diagonal: list[float] = []
    beside: list[float] = []
    q = start.flatten() / start.norm()
    weights = q.new_ones(1, dtype=torch.float64)
    for k in range(len(basis)):
        basis[k] = q
        image = adjoint(apply(q.view_as(start))).flatten()
        diagonal.append(float(q @ image))
        for _ in range(2):  # once leaves rounding behind; "twice is enough" (Kahan; Parlett 1980)
            image = image - basis[: k + 1].T @ (basis[: k + 1] @ image)
        beside.append(float(image.norm()))
        if k % 4 == 3 or k == len(basis) - 1 or beside[-1] <= tolerance * max(diagonal):
            off = torch.tensor(beside[:-1], dtype=torch.float64)
            small = torch.diag(torch.tensor(diagonal, dtype=torch.float64)) + torch.diag(off, 1) + torch.diag(off, -1)
            values, vectors = torch.linalg.eigh(small)
            weights = vectors[:, -1]
            if beside[-1] * float(weights[-1].abs()) <= tolerance * float(values[-1].abs()) + tiny:
                break
        q = image / image.norm().clamp(min=tiny)
    v = (weights.to(basis) @ basis[: len(weights)]).view_as(start)
    v = v / v.norm().clamp(min=tiny)
    u = apply(v)
    return u / u.norm().clamp(min=tiny), v


@register
class SpectralLinear(nn.Module):
    """W x + b for x `(n, inputs)`, with the largest singular value of W kept at most `coefficient`.

    A smaller weight is left as it is. At evaluation sigma comes from a singular value decomposition; `coefficient` None
    leaves every weight as it is.

    Raises `ConfigError` for a width below 1 or a coefficient that is not positive.

    >>> layer = SpectralLinear(3, 2, coefficient=0.5).eval()
    >>> with torch.no_grad():
    ...     _ = layer.weight.mul_(100)
    >>> round(torch.linalg.matrix_norm(layer.normalised(), 2).item(), 4)
    0.5
    """

    def __init__(self, inputs: int, outputs: int, coefficient: float | None = 0.97):
        super().__init__()
        require_coefficient(coefficient, inputs, outputs)
        self.coefficient = coefficient
        linear = nn.Linear(inputs, outputs)
        self.weight, self.bias = linear.weight, linear.bias
        self.top = SingularVectors((outputs,), (inputs,))

    def sigma(self) -> Tensor:
        """The largest singular value of the weight before it is scaled, with its gradient."""
        weight = self.weight
        fixed = weight.detach()

        def solve() -> tuple[Tensor, Tensor]:
            u, _, v = torch.linalg.svd(fixed, full_matrices=False)
            return u[:, 0], v[0]

        u, v = self.top.of(weight, lambda u: many_iterations(fixed, u), solve)
        return u @ weight @ v

    def normalised(self) -> Tensor:
        """The weight in use, `(outputs, inputs)`."""
        return self.weight if self.coefficient is None else _scaled(self.weight, self.sigma(), self.coefficient)

    def forward(self, x: Tensor) -> Tensor:
        """`(n, outputs)`."""
        return functional.linear(x, self.normalised(), self.bias)


@register
class SpectralConv2d(nn.Module):
    """Convolution of images `(n, inputs, *size)` to `(n, outputs, *size)`, zeros around, with largest singular value <= `coefficient`.

    The value is that of the operator on images of this size. At evaluation it is found by Lanczos' method to six digits,
    at most from below; coefficient 0.97 leaves room for what is missing. `coefficient` None leaves every weight as it is.

    Raises `ConfigError` for a width below 1, an even kernel, or a coefficient that is not positive.

    >>> layer = SpectralConv2d(1, 4, 3, (8, 8))
    >>> layer(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 4, 8, 8])
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, size: Sequence[int], coefficient: float | None = 0.97):
        super().__init__()
        require_coefficient(coefficient, inputs, outputs, *size)
        if kernel < 1 or kernel % 2 == 0:
            raise ConfigError(
                f"expected an odd kernel, which keeps the size of an image, got {kernel}; 3 and 1 are usual"
            )
        self.coefficient, self.padding = coefficient, kernel // 2
        conv = nn.Conv2d(inputs, outputs, kernel)
        assert conv.bias is not None
        self.weight, self.bias = conv.weight, conv.bias
        self.top = SingularVectors((1, outputs, *size), (1, inputs, *size))

    def sigma(self) -> Tensor:
        """The largest singular value of the operator before it is scaled, with its gradient."""
        weight = self.weight
        fixed, start = weight.detach(), self.top.v

        def apply(v: Tensor) -> Tensor:
            return functional.conv2d(v, fixed, padding=self.padding)

        def adjoint(u: Tensor) -> Tensor:
            return functional.conv_transpose2d(u, fixed, padding=self.padding)

        def solve() -> tuple[Tensor, Tensor]:
            return leading_vectors(apply, adjoint, _start(start.shape).to(fixed), CONVERGED)

        u, v = self.top.of(weight, lambda u: power_iteration(apply, adjoint, u, TRAINED, most=100), solve)
        return (u * functional.conv2d(v, weight, padding=self.padding)).sum()

    def normalised(self) -> Tensor:
        """The kernel in use, `(outputs, inputs, kernel, kernel)`."""
        return self.weight if self.coefficient is None else _scaled(self.weight, self.sigma(), self.coefficient)

    def forward(self, x: Tensor) -> Tensor:
        """`(n, outputs, *size)`."""
        return functional.conv2d(x, self.normalised(), self.bias, padding=self.padding)


def require_coefficient(coefficient: float | None, *widths: int) -> None:
    """Raise `ConfigError` for a width below 1 or a coefficient that is not positive."""
    if min(widths) < 1 or not (coefficient is None or coefficient > 0):
        raise ConfigError(f"expected widths of at least 1 and a positive coefficient, got {list(widths)} and {coefficient}; 0.97 is usual")  # fmt: skip


def _scaled(weight: Tensor, sigma: Tensor, coefficient: float) -> Tensor:
    return weight / (sigma / coefficient).clamp(min=1)


def _start(shape: Sequence[int]) -> Tensor:
    """A direction that is the same every time, and orthogonal to the wanted one with probability zero."""
    start = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    return start / start.norm()
