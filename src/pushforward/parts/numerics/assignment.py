"""Which of n points goes to which of n others at the least total cost: the assignment problem, exact, and its entropic form.

    assignment   min over permutations pi of sum_i C[i, pi(i)]
    entropic     min over plans P with sums 1/n of <P, C> - eps H(P),   P = exp((f + g - C) / eps)

Shortest augmenting paths (Crouse 2016, https://doi.org/10.1109/TAES.2016.140952, in scipy) take n^3 from nothing, but hardly more than
n^2 from good prices; and subtracting prices f_i + g_j from the costs changes no optimum. A few entropic iterations at a falling
eps give such prices: the answer is exact whatever they are. Cuturi 2013, https://arxiv.org/abs/1306.0895.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pushforward.core.errors import ConfigError, ShapeError

_STAGES = (0.1, 0.01)  # eps over the mean cost
_SWEEPS = 7
_RELAXATION = 1.5  # Thibault et al. 2021, https://arxiv.org/abs/1711.01851
_LEAST = -60.0  # exponents below it would be numbers that are denormal, and slow
_SMALL = 64  # below it the prices cost more than they save


def assignment(cost: Float[Tensor, "n n"]) -> Int[Tensor, "n"]:
    """The permutation pi that has the least sum_i cost[i, pi(i)], on the device of the costs; solved on the CPU.

    Raises `ShapeError` for costs that are not square or not finite.

    >>> assignment(torch.tensor([[1.0, 0.0], [5.0, 1.0]]))
    tensor([0, 1])
    """
    from scipy.optimize import linear_sum_assignment

    _check(cost)
    own = cost.detach().cpu()
    if len(own) >= _SMALL:
        own = _with_prices(own)
    return torch.from_numpy(linear_sum_assignment(own.double().numpy())[1]).to(cost.device)


def entropic_plan(cost: Float[Tensor, "n m"], eps: float, *, tolerance: float = 1e-3,
                  sweeps: int = 2000) -> Float[Tensor, "n m"]:  # fmt: skip
    """The entropic plan P, `(n, m)`, with columns that sum to 1 / m and rows that do to 1 / n within the tolerance, relatively.

    Iterated in logarithms, so eps may be small; with eps to zero it is the assignment, slowly. It stops after `sweeps`
    at the latest, with rows less exact. Raises `ConfigError` for an eps that is not positive.

    >>> entropic_plan(torch.tensor([[0.0, 9.0], [9.0, 0.0]]), 0.5).round(decimals=2)
    tensor([[0.5000, 0.0000],
            [0.0000, 0.5000]])
    """
    if not 0 < eps < math.inf:
        raise ConfigError(f"expected a positive eps, got {eps}; it is the weight of the entropy, in units of the cost")
    n, m = cost.shape
    kernel = -cost.detach() / eps
    g = kernel.new_zeros(m)
    for sweep in range(sweeps):
        f = -math.log(n) - (kernel + g).logsumexp(1)
        g = -math.log(m) - (kernel + f[:, None]).logsumexp(0)
        if sweep % 20 == 19 and (n * (kernel + f[:, None] + g).exp().sum(1) - 1).abs().max() < tolerance:
            break
    return (kernel + f[:, None] + g).exp()


def _with_prices(cost: Tensor) -> Tensor:
    """Costs less prices, none below zero and a zero in each row and column."""
    small = cost.float()
    room = torch.empty_like(small)
    unit = small.mean().clamp(min=1e-30)
    f, g = small.new_zeros(len(cost)), small.new_zeros(len(cost))
    for stage in _STAGES:
        eps = stage * unit
        # In place: to ask for new memory would cost more than to fill it.
        kernel = torch.sub(small, f[:, None], out=room).sub_(g)
        least = kernel.amin(1)
        kernel.sub_(least[:, None]).mul_(-1 / eps).clamp_(min=_LEAST).exp_()
        u, v = torch.ones_like(f), torch.ones_like(g)
        for _ in range(_SWEEPS):
            u = _beyond(u, (kernel @ v).clamp_(min=1e-30).reciprocal_())
            v = _beyond(v, (u @ kernel).clamp_(min=1e-30).reciprocal_())
        f, g = f + least + eps * u.log(), g + eps * v.log()
    left = (cost.double() - f[:, None]).sub_(g)
    left -= left.amin(1, keepdim=True)
    left -= left.amin(0, keepdim=True)
    return left


def _beyond(old: Tensor, new: Tensor) -> Tensor:
    """new^w old^(1 - w): past the step of plain sweeps, by as much as it takes to need half as many."""
    return (new * (new / old).pow_(_RELAXATION - 1)).clamp_(1e-30, 1e30)


def _check(cost: Tensor) -> None:
    if cost.ndim != 2 or cost.shape[0] != cost.shape[1]:
        raise ShapeError(f"expected square costs (n, n), got {tuple(cost.shape)}; pair sets of one size")
    if not math.isfinite(float(cost.abs().amax()) if cost.numel() else 0.0):
        raise ShapeError("expected finite costs, got inf or NaN; look at the data that they come from")
