"""Linear stochastic differential equations in closed form, and the filter and the smoother that rest on them.

    dX = (c + F X) dt + L dW, D = L L':   X(t + h) given X(t) = x is normal, of mean A x + b and covariance Q,
    (A, b) = exp(h [[F, c], [0, 0]]),   Q = int_0^h exp(F u) D exp(F' u) du.

Sarkka and Solin 2019, Applied Stochastic Differential Equations, chapters 6, 9 and 10; Jazwinski 1970, Stochastic Processes
and Filtering Theory; Rauch, Tung and Striebel 1965, https://doi.org/10.2514/3.3166.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Transition(NamedTuple):
    """x -> N(A x + b, Q): A and Q are `(*batch, d, d)`, b is `(*batch, d)`."""

    a: Tensor
    b: Tensor
    q: Tensor

    def apply(self, mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and covariance after the transition of a normal variable."""
        moved = (self.a @ mean[..., None])[..., 0] + self.b
        return moved, self.a @ covariance @ self.a.mT + self.q


def transition(f: Tensor, c: Tensor, d: Tensor, h: Tensor, *, degree: int = 7,
               doublings: int = 6) -> Transition:  # fmt: skip
    """The transition of dX = (c + F X) dt + L dW over h, for F and D = L L' `(*batch, d, d)`, c `(*batch, d)`, h `(*batch)`.

    Taylor sums of `degree` over h / 2^doublings, then (A, Q) -> (A A, Q + A Q A') for twice the time, which keeps Q positive and small numbers
    accurate: the usual exponential of [[F, D], [0, -F']] holds exp(-F h), which overflows for long stable steps. The
    relative error is about (|F| h / 2^doublings)^degree / degree!.

    >>> step = transition(torch.tensor([[-1.0]]), torch.tensor([0.5]), torch.tensor([[2.0]]), torch.tensor(3.0))
    >>> [round(float(part), 5) for part in step]
    [0.04979, 0.47511, 0.99752]
    """
    size = c.shape[-1]
    # One more coordinate that stays 1 carries the constant c.
    whole = torch.nn.functional.pad(torch.cat([f, c[..., None]], -1), (0, 0, 0, 1)) * h[..., None, None] / 2**doublings
    noise = torch.nn.functional.pad(d, (0, 1, 0, 1)) * h[..., None, None] / 2**doublings
    power, a = whole, torch.eye(size + 1, dtype=f.dtype, device=f.device) + whole
    term, q = noise, noise
    for k in range(2, degree + 1):
        power = whole @ power / k
        half = whole @ term / k
        term = half + half.mT  # the k-th derivative of exp(F u) D exp(F' u) is F D_k + D_k F'
        a, q = a + power, q + term
    for _ in range(doublings):
        q, a = q + a @ q @ a.mT, a @ a
    return Transition(a[..., :-1, :-1], a[..., :-1, -1], q[..., :-1, :-1])


def update(
    mean: Tensor, covariance: Tensor, y: Tensor, observed: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Condition x ~ N(mean, covariance) on y = x + N(0, diag(noise)) in the observed channels; also log p(y), `(n,)`.

    In Joseph's form, whose covariance stays positive in float32. log p is NaN where the covariance of the innovation
    is not positive definite.
    """
    seen = observed.to(mean.dtype)
    masked = covariance * seen[:, None, :]  # P M, M the diagonal of the mask
    innovation = (y - mean) * seen
    # An unobserved channel has the innovation 0 and the variance 1: it adds nothing to the quadratic form or the determinant.
    s = masked * seen[:, :, None] + torch.diag_embed(torch.where(observed, noise, 1.0))
    factor, failed = torch.linalg.cholesky_ex(s)
    gain = torch.cholesky_solve(masked.mT, factor).mT
    kept = torch.eye(mean.shape[-1], dtype=mean.dtype, device=mean.device) - gain * seen[:, None, :]
    after = kept @ covariance @ kept.mT + (gain * (noise * seen)[:, None, :]) @ gain.mT
    white = torch.linalg.solve_triangular(factor, innovation[..., None], upper=False)[..., 0]
    log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    log_prob = -0.5 * white.square().sum(-1) - log_det - 0.5 * math.log(2 * math.pi) * seen.sum(-1)
    log_prob = torch.where(failed > 0, torch.nan, log_prob)
    return mean + (gain @ innovation[..., None])[..., 0], 0.5 * (after + after.mT), log_prob


def smooth(mean: Tensor, covariance: Tensor, step: Transition, later_mean: Tensor,
           later_covariance: Tensor) -> tuple[Tensor, Tensor]:  # fmt: skip
    """One step of Rauch, Tung and Striebel: the state at t given all data, from its filtered and the next smoothed moments."""
    predicted_mean, predicted = step.apply(mean, covariance)
    size = mean.shape[-1]
    level = predicted.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    jitter = 10 * torch.finfo(mean.dtype).eps * level * torch.eye(size, dtype=mean.dtype, device=mean.device)
    factor, failed = torch.linalg.cholesky_ex(predicted + jitter)
    gain = torch.cholesky_solve(step.a @ covariance, factor).mT  # P A' (A P A' + Q)^-1
    gain = torch.where((failed > 0)[..., None, None], torch.nan, gain)
    back_mean = mean + (gain @ (later_mean - predicted_mean)[..., None])[..., 0]
    back = covariance + gain @ (later_covariance - predicted) @ gain.mT
    return back_mean, 0.5 * (back + back.mT)
