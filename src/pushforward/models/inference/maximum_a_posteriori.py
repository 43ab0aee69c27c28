"""The mode of a posterior, and the Gaussian that has its curvature (Laplace's approximation).

z* = argmax log p(z),  H = -d^2 log p / dz^2 at z*:  p(z) is close to N(z*, H^-1), and the evidence to
p(z*) (2 pi)^(d/2) det H^(-1/2). MacKay 2003, Information theory, inference, and learning algorithms, chapter 27;
Tierney and Kadane 1986, https://doi.org/10.1080/01621459.1986.10478240
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError, ConvergenceError
from pushforward.parts.distributions import FullGaussian

from .density import Density, features_of, finite_start, log_density_of
from .target import Target


@dataclass(frozen=True)
class Mode:
    """What `map_estimate` found.

    `z` `(d,)` is the mode among free numbers and `log_density` the value there. `values` and `standard_errors` are in the
    user's units, by name (for a plain function under the name "z"); the errors are those of `covariance`, carried through the
    map by its derivatives. `laplace` is the Gaussian approximation over z, and `log_evidence` what it says of log p(data): an
    approximation, neither exact nor a bound. Both are None where the Jacobian was left out.
    """

    z: Tensor
    log_density: float
    values: dict[str, Tensor]
    standard_errors: dict[str, Tensor]
    covariance: Tensor
    laplace: FullGaussian | None
    log_evidence: float | None

    def __str__(self) -> str:
        """A line for each parameter."""
        lines = []
        for name, value in self.values.items():
            pairs = zip(value.flatten().tolist(), self.standard_errors[name].flatten().tolist())
            lines.append(f"{name}: " + ", ".join(f"{v:.4g} ± {e:.2g}" for v, e in pairs))
        return "\n".join([*lines, f"log density {self.log_density:.4f}"])


def map_estimate(target: Density, start: Tensor | None = None, *, features: int | None = None, jacobian: bool = True,
                 most_steps: int = 500, tolerance: float | None = None) -> Mode:  # fmt: skip
    """Maximise log p(z) by L-BFGS and a few steps of Newton's method from `start`, `(d,)`, or the best of several, `(m, d)`.

    It begins at zero unless told otherwise. A mode depends on the units: with `jacobian=True` it is that of the density over the free
    z, which Laplace's approximation needs; with False that of the user's own density (a `Target` only), which may have none.
    `tolerance` bounds what is left of the step of Newton's method, in standard deviations; 0.01 in single and 1e-6 in double
    precision.

    Raises `UserError` for a density that is not finite at the start, `ConvergenceError` where there is no mode in reach.

    >>> mode = map_estimate(lambda z: -(z - 3.0).square().sum(1) / 8, features=1)
    >>> print(str(mode).splitlines()[0])
    z: 3 ± 2
    """
    if start is None:
        start = torch.zeros(features_of(target, features))
    starts = start.detach().reshape(-1, start.shape[-1]) if start.ndim else start
    if start.ndim not in (1, 2) or (features is not None and starts.shape[1] != features):
        raise ConfigError(f"expected a start of shape (d,) or (m, d), got {tuple(start.shape)}; z has d free numbers")
    log_density: Callable[[Tensor], Tensor] = log_density_of(target)
    if not jacobian:
        if not isinstance(target, Target):
            raise ConfigError(
                "expected a Target for jacobian=False, got a density without named supports; leave jacobian out"
            )
        log_density = target.log_posterior
    finite_start(target, starts)
    tolerance = tolerance or (1e-2 if starts.dtype == torch.float32 else 1e-6)
    found, failure = [], ""
    for row in starts:
        z = _climb(log_density, row, most_steps)
        z, hessian, left = _polish(log_density, z, tolerance)
        if hessian is None:
            failure = f"after {most_steps} steps log p still rises, at z = {[round(v, 4) for v in z[:4].tolist()]}"
        elif left > tolerance:
            failure = f"a step of {left:.2g} standard deviations is left"
        else:
            found.append((float(log_density(z[None])), z, hessian))
    if not found:
        raise ConvergenceError(
            f"expected a mode, but {failure}; start nearer, allow more most_steps, or give a prior that holds the parameters"
        )
    value, z, hessian = max(found, key=lambda each: each[0])
    return _mode(target, z, value, hessian, jacobian)


def _climb(log_density: Callable[[Tensor], Tensor], start: Tensor, most_steps: int) -> Tensor:
    z = start.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([z], max_iter=most_steps, history_size=20, line_search_fn="strong_wolfe",
                                  tolerance_grad=1e-9, tolerance_change=1e-12)  # fmt: skip

    def closure() -> Tensor:
        optimiser.zero_grad()
        with torch.enable_grad():
            loss = -log_density(z[None]).sum()
            loss.backward()
        return loss

    optimiser.step(closure)  # type: ignore[arg-type]
    return z.detach()


def _polish(
    log_density: Callable[[Tensor], Tensor], z: Tensor, tolerance: float
) -> tuple[Tensor, Tensor | None, float]:
    """Newton's method from nearby, and the size of its next step in standard deviations; None for H that is no precision."""
    left = math.inf
    for _ in range(5):
        gradient, hessian = _derivatives(log_density, z)
        factor, failed = torch.linalg.cholesky_ex(-hessian)
        if failed or not torch.isfinite(factor).all():
            return z, None, left
        step = torch.cholesky_solve(gradient[:, None], factor)[:, 0]
        left = float((step * gradient).sum().clamp(min=0).sqrt())
        if left <= 0.01 * tolerance:
            return z, -hessian, left
        moved = z + step
        # Nearer than a tenth of a standard deviation the two values differ by rounding, and the gradient knows better.
        if left > 0.1 and not log_density(moved[None]) >= log_density(z[None]):
            break
        z = moved
    return z, -_derivatives(log_density, z)[1], left


def _derivatives(log_density: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(log_density(z[None]).sum(), z, create_graph=True)
        rows = [
            torch.autograd.grad(g, z, retain_graph=True, allow_unused=True)[0] if g.requires_grad else None
            for g in gradient
        ]
    hessian = torch.stack([torch.zeros_like(z) if row is None else row for row in rows]).detach()
    return gradient.detach(), (hessian + hessian.T) / 2


def _mode(target: Density, z: Tensor, value: float, precision: Tensor, jacobian: bool) -> Mode:
    covariance = torch.cholesky_inverse(torch.linalg.cholesky(precision))
    covariance = (covariance + covariance.T) / 2
    constrain = target.constrain if isinstance(target, Target) else lambda at: {"z": at}
    values = {name: v[0] for name, v in constrain(z[None]).items()}
    errors = {}
    for name, v in values.items():
        slope = torch.autograd.functional.jacobian(lambda at, name=name: constrain(at[None])[name].flatten(), z)
        errors[name] = torch.einsum("ij,jk,ik->i", slope, covariance, slope).clamp(min=0).sqrt().reshape(v.shape)
    if not jacobian:
        return Mode(z, value, values, errors, covariance, None, None)
    half_log_det = float(torch.linalg.cholesky(precision).diagonal().log().sum())
    evidence = value + 0.5 * len(z) * math.log(2 * math.pi) - half_log_det
    return Mode(z, value, values, errors, covariance, FullGaussian.of_covariance(z, covariance), evidence)
