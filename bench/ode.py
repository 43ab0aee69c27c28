"""Van der Pol oscillators against torchdiffeq, torchode and diffrax: time a step, and evaluations for a batch of mixed stiffness.

(a) 256 oscillators of one stiffness, Dopri5, 50 save times; (b) 64 oscillators with stiffness from 1 to 50. Equal tolerances;
checked first: everyone's largest error against scipy's DOP853 stays within a hundred times the tolerance.
"""

from collections.abc import Callable

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import torch
import torchdiffeq
import torchode
from scipy.integrate import solve_ivp
from torch import Tensor

import pushforward as pf

from .harness import OURS, Agreement, Report, compare

NOTES = (
    "float64, no gradients, Dormand-Prince 5(4) for everyone, rtol = atol = 1e-6. torchdiffeq takes one step size for the whole batch; the others one a sample.",
    "Seconds a step are the seconds of the solve over the trial steps of the slowest sample. diffrax is compiled before (vmap and jit).",
    "Evaluations: for per-sample steps the sum over samples of the evaluations that each needs by itself, and the calls, each on the whole batch; "
    "samples that are done are evaluated until the last one is. For torchdiffeq both are the joint steps.",
)  # fmt: skip
TOLERANCE = 1e-6


def run(rounds: int = 6) -> Report:
    """Both tasks."""
    jax.config.update("jax_enable_x64", True)
    report = Report(
        "ode", "Adaptive solvers", packages=("torchdiffeq", "torchode", "diffrax", "jax"), notes=list(NOTES)
    )
    spread = torch.logspace(0, np.log10(50), 64, dtype=torch.float64)
    tasks = {
        "256 oscillators, mu = 1, 50 save times": (torch.ones(256, dtype=torch.float64), torch.linspace(0, 10, 50, dtype=torch.float64)),
        "64 oscillators, mu from 1 to 50": (spread, torch.linspace(0, 20, 20, dtype=torch.float64)),
    }  # fmt: skip
    for title, (mu, t) in tasks.items():
        random = torch.Generator().manual_seed(0)
        y0 = torch.stack([2 + 0.2 * torch.randn(len(mu), generator=random), torch.zeros(len(mu))], 1).double()
        parties = {OURS: _ours(mu, y0, t), "torchdiffeq": _torchdiffeq(mu, y0, t), "torchode": _torchode(mu, y0, t),
                   "diffrax": _diffrax(mu, y0, t)}  # fmt: skip
        truth, rows = _truth(mu, y0, t)
        errors = {name: float(abs(call()[0][:, rows] - truth).max()) for name, call in parties.items()}
        steps = {name: call()[1] for name, call in parties.items()}
        allowed = 100 * TOLERANCE * (1 if mu.max() == 1 else 100)
        checks = [Agreement(name, "largest error", error, allowed) for name, error in errors.items() if name != OURS]
        checks.append(Agreement("torchdiffeq", "our largest error", errors[OURS], allowed))
        calls = dict(parties)
        # A profile keeps every operation: of the long solves, gigabytes.
        comparison = compare(
            title, calls.pop(OURS), calls, check=lambda c=checks: c, repeats=rounds, warmup=1, profiled=mu.max() == 1
        )
        report.comparisons.append(comparison)
        for name, (most, total) in steps.items():
            report.figures += [
                (f"{title}: microseconds a step, {name}", f"{1e6 * comparison.median(name) / most:.0f}"),
                (f"{title}: trial steps of the slowest sample, {name}", f"{most}"),
                (f"{title}: field evaluations needed, summed over samples, {name}", f"{6 * total}"),
                (f"{title}: largest error, {name}", f"{errors[name]:.1e}"),
            ]
    return report


Result = tuple[np.ndarray, tuple[int, int]]  # states (T, n, 2); trial steps of the slowest sample, and of all together


def _field(mu: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    def field(t: Tensor, y: Tensor) -> Tensor:
        x, v = y[:, 0], y[:, 1]
        return torch.stack([v, mu * (1 - x * x) * v - x], 1)

    return field


def _ours(mu: Tensor, y0: Tensor, t: Tensor) -> Callable[[], Result]:
    field = _field(mu)

    def call() -> Result:
        with torch.no_grad():
            found = pf.diffeq.solve(field, y0, t, rtol=TOLERANCE, atol=TOLERANCE)
        tried = found.accepted + found.rejected
        return found.y.numpy(), (int(tried.max()), int(tried.sum()))

    return call


def _torchdiffeq(mu: Tensor, y0: Tensor, t: Tensor) -> Callable[[], Result]:
    field, count = _field(mu), [0]

    def counted(t: Tensor, y: Tensor) -> Tensor:
        count[0] += 1
        return field(t, y)

    def call() -> Result:
        count[0] = 0
        with torch.no_grad():
            y = torchdiffeq.odeint(counted, y0, t, rtol=TOLERANCE, atol=TOLERANCE, method="dopri5")
        steps = (count[0] - 2) // 6
        return y.numpy(), (steps, steps * len(mu))  # type: ignore[union-attr]

    return call


def _torchode(mu: Tensor, y0: Tensor, t: Tensor) -> Callable[[], Result]:
    term = torchode.ODETerm(_field(mu))
    solver = torchode.AutoDiffAdjoint(
        torchode.Dopri5(term=term), torchode.IntegralController(atol=TOLERANCE, rtol=TOLERANCE, term=term)
    )
    times = t.expand(len(mu), len(t))

    def call() -> Result:
        with torch.no_grad():
            found = solver.solve(torchode.InitialValueProblem(y0=y0, t_eval=times))
        tried = found.stats["n_steps"]
        return found.ys.transpose(0, 1).numpy(), (int(tried.max()), int(tried.sum()))

    return call


def _diffrax(mu: Tensor, y0: Tensor, t: Tensor) -> Callable[[], Result]:
    def field(t, y, mu):
        return jnp.stack([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]])

    saves, start, stiffness = jnp.asarray(t.numpy()), jnp.asarray(y0.numpy()), jnp.asarray(mu.numpy())

    @jax.jit
    @jax.vmap
    def solve(y0, mu):
        found = diffrax.diffeqsolve(
            diffrax.ODETerm(field), diffrax.Dopri5(), saves[0], saves[-1], None, y0, mu,
            saveat=diffrax.SaveAt(ts=saves), max_steps=100_000,
            stepsize_controller=diffrax.PIDController(rtol=TOLERANCE, atol=TOLERANCE),
        )  # fmt: skip
        return found.ys, found.stats["num_steps"]

    def call() -> Result:
        y, tried = jax.block_until_ready(solve(start, stiffness))
        return np.asarray(y).swapaxes(0, 1), (int(tried.max()), int(tried.sum()))

    return call


def _truth(mu: Tensor, y0: Tensor, t: Tensor) -> tuple[np.ndarray, list[int]]:
    """Some of the oscillators, `(T, rows, 2)`."""
    rows = list(range(0, len(mu), len(mu) // 4))

    def alone(row: int) -> np.ndarray:
        m = float(mu[row])
        found = solve_ivp(lambda _, y: [y[1], m * (1 - y[0] ** 2) * y[1] - y[0]], (float(t[0]), float(t[-1])), y0[row].numpy(),
                          "DOP853", t_eval=t.numpy(), rtol=1e-12, atol=1e-12)  # fmt: skip
        return found.y.T

    return np.stack([alone(row) for row in rows], 1), rows
