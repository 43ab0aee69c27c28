"""Solving stochastic equations against torchsde, diffrax and a bare loop: geometric Brownian motion and a neural SDE, 256 x 10.

100 steps of Euler-Maruyama and of Milstein, forward alone and with the gradient to all weights. Checked first: every party's
mean and variance of the geometric Brownian motion are those of the recursion in closed form, and with the networks, whose
weights all share, the means and variances of all parties agree within their standard errors.
"""

import math
from collections.abc import Callable, Mapping

import diffrax
import jax
import jax.numpy as jnp
import lineax
import numpy as np
import torch
import torchsde
from torch import Tensor, nn

import pushforward as pf

from .harness import OURS, Agreement, Report, compare

ROWS, SIZE, STEPS, WIDTH, MU, SIGMA = 256, 10, 100, 32, 0.3, 0.5
H, CLOSE, SPREAD = (
    1 / STEPS,
    5.0,
    0.1,
)  # length of a step; how far means, in standard errors, and variances may be apart
NOTES = (
    f"Same in all: {STEPS} steps from t = 0 to 1, {ROWS} rows of {SIZE} numbers, diagonal noise, float32, the networks (drift and diffusion with a hidden "
    f"layer of {WIDTH} and tanh; the diffusion ends in a sigmoid) and their weights. Every call draws noise of its own.",
    "Bare loop: y = y + f h + g randn sqrt(h), nothing else; for Milstein with the same difference for g' g as ours. Ours keeps a status for every "
    "sample, checks for infinities, and the noise of a row does not depend on the batch.",
    "torchsde: sdeint with its BrownianInterval, whose path can be queried later; Milstein with grad_free=True, a difference as well. Ours draws plain "
    "increments of a solve; a BrownianPath, which can be queried, stands beside it.",
    "diffrax: VirtualBrownianTree (its faster path has no gradient) and jit, without the time to compile; its Milstein takes g' by autodiff.",
)  # fmt: skip


class Nets(nn.Module):
    """Drift and diffusion, with torchsde's names for them."""

    noise_type, sde_type = "diagonal", "ito"

    def __init__(self) -> None:
        super().__init__()
        random = torch.random.get_rng_state()
        torch.manual_seed(0)
        self.drift = nn.Sequential(nn.Linear(SIZE, WIDTH), nn.Tanh(), nn.Linear(WIDTH, SIZE))
        self.level = nn.Sequential(nn.Linear(SIZE, WIDTH), nn.Tanh(), nn.Linear(WIDTH, SIZE), nn.Sigmoid())
        torch.random.set_rng_state(random)

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        """The drift."""
        return self.drift(y)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        """The diffusion."""
        return self.level(y)


class Geometric(nn.Module):
    """dy = mu y dt + sigma y dW."""

    noise_type, sde_type = "diagonal", "ito"

    def __init__(self) -> None:
        super().__init__()
        self.mu, self.sigma = nn.Parameter(torch.tensor(MU)), nn.Parameter(torch.tensor(SIGMA))

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        """The drift."""
        return self.mu * y

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        """The diffusion."""
        return self.sigma * y


def run(rounds: int = 15) -> Report:
    """Both equations, both methods, forward and with the gradient."""
    report = Report(
        "sde", "Stochastic differential equations", packages=("torchsde", "diffrax", "jax"), notes=list(NOTES)
    )
    for title, module in (("geometric Brownian motion", Geometric()), (f"neural SDE, {SIZE} numbers", Nets())):
        for method in ("Euler-Maruyama", "Milstein"):
            solves = _parties(module, method)
            checked = _agreements(title, solves, _diffrax(module, method, backward=False))
            for backward in (False, True):
                calls = {name: _call(solve, module, backward) for name, solve in solves.items()}
                calls["diffrax"] = _diffrax(module, method, backward)
                name = f"{title}, {method}, {'forward and gradient' if backward else 'forward'}"
                ours, slow = calls.pop(OURS), {who: calls.pop(who) for who in ("torchsde", "ours, BrownianPath")}
                report.comparisons += [
                    compare(name, ours, calls, check=lambda a=checked: a, repeats=rounds, warmup=2),
                    # A hundred times as long: few rounds, and no profile.
                    compare(f"{name}, paths that can be asked again", ours, slow, check=lambda a=checked: a,
                            repeats=max(2, rounds // 5), warmup=0, profiled=False),
                ]  # fmt: skip
    return report


def _parties(module: Nets | Geometric, method: str) -> dict[str, Callable[[Tensor], Tensor]]:
    """From the start to the state at t = 1; every call with new noise."""
    solver = pf.diffeq.EulerMaruyama() if method == "Euler-Maruyama" else pf.diffeq.Milstein()
    seeds = iter(range(10**9))
    times = torch.tensor([0.0, 1.0])

    def solve(path: object, y: Tensor) -> Tensor:
        terms = [module.f, pf.diffeq.DiffusionTerm(module.g, path)]
        return pf.diffeq.solve(terms, y, [0.0, 1.0], solver=solver, step_size=H).last_y

    def loop(y: Tensor) -> Tensor:
        t, root = torch.zeros(len(y)), math.sqrt(H)
        for _ in range(STEPS):
            f, g, dw = module.f(t, y), module.g(t, y), torch.randn_like(y) * root
            more = 0.0
            if method == "Milstein":
                more = 0.5 * (module.g(t, y + g * root) - g) * (dw * dw - H) / root
            y = y + f * H + g * dw + more
        return y

    def theirs(y: Tensor) -> Tensor:
        name, options = ("euler", {}) if method == "Euler-Maruyama" else ("milstein", {"grad_free": True})
        return torchsde.sdeint(module, y, times, dt=H, method=name, options=options)[-1]

    return {
        OURS: lambda y: solve(pf.diffeq.WienerIncrements(SIZE, seed=next(seeds)), y),
        "bare loop": loop,
        "torchsde": theirs,
        "ours, BrownianPath": lambda y: solve(
            pf.diffeq.BrownianPath(0.0, 1.0, SIZE, seed=next(seeds), tolerance=H / 2), y
        ),
    }


def _call(solve: Callable[[Tensor], Tensor], module: nn.Module, backward: bool) -> Callable[[], object]:
    start = torch.ones(ROWS, SIZE)

    def forward() -> Tensor:
        with torch.no_grad():
            return solve(start)

    def gradient() -> object:
        return torch.autograd.grad(solve(start).square().mean(), list(module.parameters()))

    return gradient if backward else forward


def _agreements(
    title: str, solves: Mapping[str, Callable[[Tensor], Tensor]], peer: Callable[[], object]
) -> list[Agreement]:
    """Means and variances, of 20000 rows as a rule; of the Brownian motion also ours and the mean of the recursion."""
    found = {"diffrax": torch.cat([torch.from_numpy(np.array(peer())) for _ in range(20)]).double()}
    with torch.no_grad():
        found |= {name: solve(torch.ones(20_000, SIZE)).double() for name, solve in solves.items()}
    ours, made = found.pop(OURS), []
    if title.startswith("geometric"):
        apart = abs(float(ours.mean()) - (1 + MU * H) ** STEPS) / _error(ours)
        made.append(Agreement("bare loop", "our mean and that in closed form, in standard errors", apart, CLOSE))
    for name, y in found.items():
        apart = abs(float(y.mean() - ours.mean())) / math.hypot(_error(ours), _error(y))
        made.append(Agreement(name, "mean, in standard errors", apart, CLOSE))
        made.append(Agreement(name, "variance, relative", abs(float(y.var() / ours.var()) - 1), SPREAD))
    return made


def _error(y: Tensor) -> float:
    """Standard error of the mean, rows apart."""
    return float(y.mean(1).std()) / math.sqrt(len(y))


def _diffrax(module: Nets | Geometric, method: str, backward: bool) -> Callable[[], object]:
    weights = {name: jnp.asarray(p.detach().numpy()) for name, p in module.named_parameters()}

    def layers(w: Mapping[str, jax.Array], name: str, y: jax.Array) -> jax.Array:
        inner = jnp.tanh(y @ w[f"{name}.0.weight"].T + w[f"{name}.0.bias"])
        return inner @ w[f"{name}.2.weight"].T + w[f"{name}.2.bias"]

    def drift(t: object, y: jax.Array, w: Mapping[str, jax.Array]) -> jax.Array:
        return w["mu"] * y if "mu" in w else layers(w, "drift", y)

    def level(t: object, y: jax.Array, w: Mapping[str, jax.Array]) -> jax.Array:
        return w["sigma"] * y if "mu" in w else jax.nn.sigmoid(layers(w, "level", y))

    solver = diffrax.Euler() if method == "Euler-Maruyama" else diffrax.ItoMilstein()

    def one(w: Mapping[str, jax.Array], key: jax.Array) -> jax.Array:
        path = diffrax.VirtualBrownianTree(0.0, 1.0, tol=H / 2, shape=(SIZE,), key=key)
        noise = diffrax.ControlTerm(lambda t, y, w: _diagonal(level(t, y, w)), path)
        terms = diffrax.MultiTerm(diffrax.ODETerm(drift), noise)
        found = diffrax.diffeqsolve(terms, solver, 0.0, 1.0, H, jnp.ones(SIZE), args=w, max_steps=STEPS + 1,
                                    adjoint=diffrax.DirectAdjoint())  # fmt: skip
        return found.ys[-1]

    def every(w: Mapping[str, jax.Array], key: jax.Array) -> jax.Array:
        return jax.vmap(lambda k: one(w, k))(jax.random.split(key, ROWS))

    call = jax.jit(jax.grad(lambda w, k: jnp.mean(every(w, k) ** 2))) if backward else jax.jit(every)
    keys = iter(range(10**9))
    return lambda: jax.block_until_ready(call(weights, jax.random.key(next(keys))))


def _diagonal(g: jax.Array) -> object:
    return lineax.DiagonalLinearOperator(g)
