"""log det(I + J) of a contraction's Jacobian J = dg/dx: exactly, by a power series, or by a series cut at random.

    log det(I + J) = sum_k (-1)^(k+1) / k tr(J^k),   tr(J^k) = E[v' J^k v] for E[v v'] = I   (|J| < 1)

Cut after a fixed number of terms it is biased. Cut after N terms, N random, with term k divided by P(N >= k), its mean is
the whole sum (Russian roulette; Chen et al. 2019, Residual flows, https://arxiv.org/abs/1906.02735).

The gradient is d log det(I + J) = tr((I + J)^-1 dJ) = E[v' sum_j (-1)^j J^j dJ v], the Neumann series of the inverse
(section 3.2 there): w = v' sum_j (-1)^j J^j is summed without a graph, and only the last product w' J v has one, so that
memory does not grow with the number of terms.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.core.errors import ConfigError, ShapeError

DIRECTIONS = 8
Weigh = Callable[[int, Tensor], Tensor | float | None]
FREQUENCY = (
    16.0  # of probes that are a function of the row: the larger, the sooner do those of two rows have nothing in common
)


def log_det_exact(jacobian: Float[Tensor, "n d d"]) -> Float[Tensor, " n"]:
    """log det(I + J), positive for a contraction, by elimination.

    >>> log_det_exact(torch.tensor([[[0.5]]])).exp()
    tensor([1.5000])
    """
    d = jacobian.shape[-1]
    if d == 1:
        return torch.log1p(jacobian[:, 0, 0])
    if d == 2:
        a, b, c, e = jacobian.flatten(1).unbind(1)
        return torch.log1p(a + e + (a * e - b * c))
    one = torch.eye(d, dtype=jacobian.dtype, device=jacobian.device)
    return torch.linalg.slogdet(one + jacobian).logabsdet


def log_det_series(g: Callable[[Tensor], Tensor], x: Float[Tensor, "n *event"], probes: Float[Tensor, "k n *event"], terms: int,
                   ) -> tuple[Float[Tensor, "n *event"], Float[Tensor, " n"], Float[Tensor, " n"]]:  # fmt: skip
    """g(x), the first `terms` terms of log det(I + dg/dx), and the standard error of that over the k probes, for each row.

    With |J| <= L the terms left out sum to at most d L^(terms + 1) / ((terms + 1) (1 - L)). The gradient is unbiased for that
    of the terms. `g` maps `(n, *event)` to `(n, *event)` row by row. The error is infinite for one probe, which cannot tell it.

    >>> _, value, error = log_det_series(lambda x: x / 2, torch.zeros(1, 3), torch.ones(4, 1, 3), terms=30)
    >>> value.exp(), error  # 1.5^3
    (tensor([3.3750]), tensor([0.]))
    """
    if terms < 1:
        raise ConfigError(f"expected at least 1 term, got {terms}; 10 are usual")
    return _sum(g, x, probes, lambda k, _: 1.0 if k <= terms else None)


def log_det_converged(
    g: Callable[[Tensor], Tensor], x: Float[Tensor, "n *event"], probes: Float[Tensor, "k n *event"],
    lipschitz: float, tolerance: float = 1e-5,
) -> tuple[Float[Tensor, "n *event"], Float[Tensor, " n"], Float[Tensor, " n"]]:  # fmt: skip
    """`log_det_series` with as many terms as it takes until what is left out is below `tolerance` for every row.

    `lipschitz` is a bound L < 1 on |J|: after term k at most |v' J^k| |v| L / ((k + 1) (1 - L)) is missing.
    """

    def weigh(k: int, vector: Tensor) -> float | None:
        if k == 1:
            return 1.0
        left = (vector * scale).amax() if vector.numel() else vector.new_zeros(())
        return 1.0 if float(left) * lipschitz / (k * (1 - lipschitz)) > tolerance else None

    scale = probes.flatten(2).norm(dim=2)
    return _sum(g, x, probes, weigh)


def log_det_unbiased(
    g: Callable[[Tensor], Tensor], x: Float[Tensor, "n *event"], probes: Float[Tensor, "k n *event"],
    uniform: Float[Tensor, "k n"], terms: int = 4, stop: float = 0.5,
) -> tuple[Float[Tensor, "n *event"], Float[Tensor, " n"], Float[Tensor, " n"]]:  # fmt: skip
    """g(x), an estimate of log det(I + dg/dx) whose mean is the exact one, and its standard error over the k probes.

    The first `terms` terms are always there; then each further one is the last with probability `stop`: N - terms is
    geometric, drawn from `uniform` numbers in [0, 1), one for each probe and row. Its gradient is unbiased too. The variance
    is finite where L^2 < 1 - stop for the size L of the Jacobian.
    """
    if terms < 1 or not 0 < stop < 1:
        raise ConfigError(f"expected at least 1 term and 0 < stop < 1, got {terms} and {stop:g}; 4 and 0.5 are usual")
    # P(N >= terms + j) = (1 - stop)^j = P(1 - u <= (1 - stop)^j)
    last = terms + torch.floor(torch.log1p(-uniform) / math.log1p(-stop))
    most = int(last.max()) if last.numel() else terms

    def weigh(k: int, _: Tensor) -> Tensor | float | None:
        if k <= terms:
            return 1.0
        return (last >= k) / (1 - stop) ** (k - terms) if k <= most else None

    return _sum(g, x, probes, weigh)


def probes_of_rows(x: Float[Tensor, "n *event"], count: int) -> Float[Tensor, "k n *event"]:
    """`count` probes for each row that are a function of the row: sqrt 2 cos(F s + b) with s = A x, eight random projections.

    Over phases b, uniform on a circle, E[v v'] = I. They are smooth: what rounding does to a row inside a batch changes its
    probes by as little, which a hash of its bits would not give. Rows that lie apart have unlike probes, so that errors
    average out over rows.

    >>> probes_of_rows(torch.randn(5, 3), 4).shape
    torch.Size([4, 5, 3])
    """
    d = x.shape[1:].numel()
    generator = torch.Generator().manual_seed(d)
    a = torch.randn(d, DIRECTIONS, generator=generator, dtype=torch.float64).to(x)
    f = torch.randn(count, DIRECTIONS, d, generator=generator, dtype=torch.float64).to(x)
    b = torch.rand(count, 1, d, generator=generator, dtype=torch.float64).to(x) * (2 * math.pi)
    # Two numbers of a row have unlike frequencies in some of several directions, where those in one could be close.
    s = x.detach().reshape(len(x), d) @ a * (FREQUENCY / math.sqrt(DIRECTIONS * d))
    return (math.sqrt(2) * torch.cos(s @ f + b)).reshape(count, *x.shape)


def _sum(g: Callable[[Tensor], Tensor], x: Tensor, probes: Tensor, weigh: Weigh) -> tuple[Tensor, Tensor, Tensor]:
    """The series, where `weigh(k, |v' J^(k-1)|)` gives the weight of term k for each probe and row, or None to end."""
    if len(probes) < 1 or probes.shape[1:] != x.shape:
        raise ShapeError(f"expected probes of shape (k, {', '.join(map(str, x.shape))}) with k at least 1, got {tuple(probes.shape)}; "
                         "draw one or more for every row")  # fmt: skip
    keep, k, n = torch.is_grad_enabled(), len(probes), len(x)
    with torch.inference_mode(False), torch.enable_grad():
        probes, source = (t.clone() if t.is_inference() else t for t in (probes, x))
        at = source.expand(k, *x.shape).reshape(
            k * n, *x.shape[1:]
        )  # every probe has a copy of the rows: one pass for all
        at = at if keep and at.requires_grad else at.detach().requires_grad_()
        out, v = g(at), probes.reshape(at.shape)
        u, w, value, term = v, torch.zeros_like(v), v.new_zeros(k, n), 1
        while (weight := weigh(term, u.reshape(k, n, x[:1].numel() if n else 1).norm(dim=2) if n else v.new_zeros(k, n))) is not None:  # fmt: skip
            sign = 1.0 if term % 2 else -1.0
            spread = weight.reshape(k * n, *(1,) * (v.ndim - 1)) if isinstance(weight, Tensor) else weight
            w = w + sign * spread * u
            (u,) = torch.autograd.grad(out, at, u, retain_graph=True)
            value = value + sign / term * weight * (u * v).reshape(k, n, -1 if n else 1).sum(2) if n else value
            term += 1
        if keep:
            (last,) = torch.autograd.grad(out, at, w, create_graph=True)
            slope = (last * v).reshape(k, n, -1).sum(2) if n else value
            value = value + (slope - slope.detach())
    mean = value.mean(0)
    scatter = (value - mean).detach().square().sum(0)
    error = (scatter / (k * (k - 1))).sqrt() if k > 1 else torch.full_like(scatter, math.inf)
    gx = out[:n]
    return (gx, mean, error) if keep else (gx.detach(), mean.detach(), error)
