"""NUTS and HMC against Pyro and BlackJAX: effective draws a second on four posteriors, and a plain race of HMC steps.

Eight schools (non-centred), a logistic regression, a banana and a funnel of ten dimensions. Checked first: everybody's posterior means
against values that no chain made (closed forms, quadrature, importance sampling), in standard errors. Then each draws and the smallest
bulk ESS over its seconds is compared; and 1,024 chains of 10 leapfrog steps on a Gaussian of 50 dimensions. Needs `pyro-ppl`, `blackjax` and `scikit-learn`.
"""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import torch
from pyro.infer import HMC as PyroHMC
from pyro.infer import MCMC
from pyro.infer import NUTS as PyroNUTS
from sklearn.datasets import load_breast_cancer
from torch import Tensor

import pushforward as pf

from .harness import OURS, Agreement, Comparison, Disagreement, Report, compare

CHAINS, WARM, DRAWS = 128, 120, 60
PYRO_WARM, PYRO_DRAWS = 100, 100
SIGMA = [15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0]
EFFECT = [28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]
NOTES = (
    f"float64 on the CPU. We and BlackJAX run {CHAINS} chains at once (BlackJAX under vmap and jit, compiled before the clock starts); Pyro runs "
    f"one chain, which is what it does in one process, of {PYRO_DRAWS} draws. All tune step size and a diagonal mass, and the warm-up is not timed.",
    "ESS per second: the smallest bulk ESS over parameters (Vehtari et al. 2021, the same function for all), over seconds of sampling. A ratio "
    "of the table is the seconds that the peer takes for as many effective draws as we have in one call.",
    "Means: the banana and the funnel have closed forms; eight schools by quadrature over (mu, log tau) with the effects integrated out; "
    "the logistic regression by 40,000 importance draws from a t with 8 degrees of freedom at the Laplace approximation.",
    "BlackJAX's chains all begin where its window adaptation ended, and walk for two calls before they count: begun in the tails, with the "
    "step size that is right in the middle, they never move.",
    "HMC: 10 leapfrog steps for everyone. The race scales Pyro's chain of 100 steps to 1,024 chains: it runs them one after the other.",
)  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """A log density, twice: rows `(n, d)` in PyTorch, one point `(d,)` in JAX."""

    name: str
    features: int
    torch: Callable[[Tensor], Tensor]
    jax: Callable[[jax.Array], jax.Array]
    mean: Callable[[], Tensor]  # of the posterior, by other means than a chain


def problems() -> list[Problem]:
    """The four posteriors, over real numbers."""
    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    x = np.concatenate([np.ones((len(x), 1)), x[:, :10]], 1) * (2 * y - 1)[:, None]
    rows, rows_jax = torch.from_numpy(x), jnp.asarray(x)
    effect, sigma = torch.tensor(EFFECT, dtype=torch.float64), torch.tensor(SIGMA, dtype=torch.float64)
    effect_jax, sigma_jax = jnp.asarray(EFFECT), jnp.asarray(SIGMA)

    def schools(z: Tensor) -> Tensor:
        tau = z[:, 1].exp()
        theta = z[:, :1] + tau[:, None] * z[:, 2:]
        prior = -z[:, 0].square() / 50 - torch.log1p((tau / 5).square()) + z[:, 1] - z[:, 2:].square().sum(1) / 2
        return prior - ((effect - theta) / sigma).square().sum(1) / 2

    def schools_jax(z: jax.Array) -> jax.Array:
        tau = jnp.exp(z[1])
        prior = -(z[0] ** 2) / 50 - jnp.log1p((tau / 5) ** 2) + z[1] - jnp.sum(z[2:] ** 2) / 2
        return prior - jnp.sum(((effect_jax - z[0] - tau * z[2:]) / sigma_jax) ** 2) / 2

    return [
        Problem("eight schools", 10, schools, schools_jax, schools_mean),
        Problem("logistic regression, 569 rows", 11,
                lambda z: torch.nn.functional.logsigmoid(z @ rows.T).sum(1) - z.square().sum(1) / 8,
                lambda z: jnp.sum(jax.nn.log_sigmoid(rows_jax @ z)) - jnp.sum(z**2) / 8,
                lambda: laplace_mean(lambda z: torch.nn.functional.logsigmoid(z @ rows.T).sum(1) - z.square().sum(1) / 8, 11)),
        Problem("banana", 2, lambda z: -z[:, 0].square() / 2 - (z[:, 1] - z[:, 0].square()).square() / 0.5,
                lambda z: -(z[0] ** 2) / 2 - (z[1] - z[0] ** 2) ** 2 / 0.5,
                lambda: torch.tensor([0.0, 1.0], dtype=torch.float64)),
        Problem("funnel", 10, lambda z: -z[:, 0].square() / 4.5 - 4.5 * z[:, 0] - z[:, 1:].square().sum(1) * (-z[:, 0]).exp() / 2,
                lambda z: -(z[0] ** 2) / 4.5 - 4.5 * z[0] - jnp.sum(z[1:] ** 2) * jnp.exp(-z[0]) / 2,
                lambda: torch.zeros(10, dtype=torch.float64)),
    ]  # fmt: skip


def schools_mean() -> Tensor:
    """Given mu and tau the effects are Gaussian, y_j ~ N(mu, tau^2 + sigma_j^2): sums over a grid of (mu, log tau) do the rest."""
    mu, log_tau = torch.meshgrid(torch.linspace(-30, 40, 701, dtype=torch.float64), torch.linspace(-9, 5, 701, dtype=torch.float64), indexing="ij")  # fmt: skip
    tau, y, sigma = log_tau.exp(), torch.tensor(EFFECT, dtype=torch.float64), torch.tensor(SIGMA, dtype=torch.float64)
    variance = tau[..., None].square() + sigma.square()
    log_p = -mu.square() / 50 - torch.log1p((tau / 5).square()) + log_tau
    log_p = log_p - ((y - mu[..., None]).square() / variance + variance.log()).sum(-1) / 2
    weight = log_p.flatten().softmax(0).view_as(mu)
    effects = ((y - mu[..., None]) * tau[..., None] / variance * weight[..., None]).sum((0, 1))
    return torch.cat([(mu * weight).sum()[None], (log_tau * weight).sum()[None], effects])


def laplace_mean(log_p: Callable[[Tensor], Tensor], d: int, draws: int = 40_000, freedom: float = 8.0) -> Tensor:
    """Newton to the mode, then importance draws from a t with the curvature there."""
    mode = torch.zeros(d, dtype=torch.float64)

    def one(z: Tensor) -> Tensor:
        return log_p(z[None])[0]

    for _ in range(30):
        mode = mode - torch.linalg.solve(torch.func.hessian(one)(mode), torch.func.grad(one)(mode))
    root = torch.linalg.cholesky(torch.linalg.inv(-torch.func.hessian(one)(mode)))
    seeded = np.random.default_rng(0)
    t = torch.from_numpy(seeded.standard_normal((draws, d)) * np.sqrt(freedom / seeded.chisquare(freedom, (draws, 1))))
    x = mode + t @ root.T
    weight = (log_p(x) + (freedom + d) / 2 * torch.log1p(t.square().sum(1) / freedom)).softmax(0)
    return weight @ x


Sampler = Callable[[], tuple[Tensor, float]]


def run(rounds: int = 3) -> Report:
    """Effective draws a second, and the race."""
    jax.config.update("jax_enable_x64", True)
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.manual_seed(0)
    report = Report("mcmc", "Markov chain Monte Carlo", packages=("pyro-ppl", "blackjax", "jax"), notes=list(NOTES))
    for problem in problems():
        for kind in ("NUTS", "HMC"):
            if kind == "HMC" and problem.name == "funnel":
                continue  # a step of one length does not reach its neck, so there is nothing to agree on
            samplers = {
                OURS: ours(problem, kind),
                "blackjax": theirs_jax(problem, kind),
                "pyro": theirs_pyro(problem, kind),
            }
            report.comparisons.append(effective(problem, kind, samplers, report, rounds))
    report.comparisons.append(race(rounds))
    return report


def effective(problem: Problem, kind: str, samplers: dict[str, Sampler], report: Report,
              rounds: int) -> Comparison:  # fmt: skip
    """Compare the means, then the seconds for as many effective draws as one call of ours has."""
    calls = [{who: sampler() for who, sampler in samplers.items()} for _ in range(max(1, rounds // 2))]
    first = calls[0]
    ess = {who: float(pf.inference.ess_bulk(draws).min()) for who, (draws, _) in first.items()}
    known, checks = problem.mean(), []
    for who, (draws, _) in first.items():
        gap = (draws.flatten(0, 1).mean(0) - known).abs() / pf.inference.monte_carlo_error(draws)
        checks.append(Agreement(who, "largest error of a posterior mean, in standard errors", float(gap.max()), 5.0))
    if bad := [a for a in checks if not a.holds]:
        raise Disagreement(
            f"{problem.name}, {kind}: {bad[0].peer} has a mean that is off by {bad[0].difference:.1f} standard errors"
        )
    for who in samplers:
        report.figures.append((f"ESS a second, {problem.name}, {kind}, {who}", f"{ess[who] / first[who][1]:,.0f}"))
    # Seconds for as many effective draws as one call of ours has; calls are interleaved.
    seconds = {who: [call[who][1] * ess[OURS] / ess[who] for call in calls] for who in samplers}
    return Comparison(f"{problem.name}, {kind}: seconds for {ess[OURS]:,.0f} effective draws", seconds, checks)


def _kernel(problem: Problem, kind: str) -> pf.inference.HMC | pf.inference.NUTS:
    return (
        pf.inference.NUTS(problem.torch, 0.1, max_depth=7)
        if kind == "NUTS"
        else pf.inference.HMC(problem.torch, 0.1, steps=10)
    )


def _spread(features: int) -> Tensor:
    return 0.2 * torch.randn(CHAINS, features, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def ours(problem: Problem, kind: str) -> Sampler:
    """Tuned once; every call goes on from new streams."""
    warmed = pf.inference.warm_up(_kernel(problem, kind), _spread(problem.features), steps=WARM)
    kernel, x = warmed.kernel, warmed.x

    def call() -> tuple[Tensor, float]:
        begun = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # R-hat is part of what the sampler computes; the means are compared here
            found = pf.inference.sample_chains(kernel, DRAWS, start=x, warm_up=0)
        return found.draws, time.perf_counter() - begun

    return call


def theirs_jax(problem: Problem, kind: str) -> Sampler:
    """Window adaptation of one chain, as its manual does, then all chains under vmap from its end, after a walk."""
    family = blackjax.nuts if kind == "NUTS" else blackjax.hmc
    extra = {} if kind == "NUTS" else {"num_integration_steps": 10}
    aim = 0.8 if kind == "NUTS" else 0.65
    adapt = blackjax.window_adaptation(family, problem.jax, target_acceptance_rate=aim, **extra)
    (found, settings), _ = adapt.run(jax.random.key(0), jnp.zeros(problem.features), 4 * WARM)
    algorithm = family(problem.jax, **settings)
    keys = iter(jax.random.split(jax.random.key(1), 1000))

    @jax.jit
    def sample(key: jax.Array, states):
        def one(states, key):
            states, _ = jax.vmap(algorithm.step)(jax.random.split(key, CHAINS), states)
            return states, states.position

        return jax.lax.scan(one, states, jax.random.split(key, DRAWS))

    states = jax.vmap(algorithm.init)(jnp.tile(found.position, (CHAINS, 1)))
    for _ in range(2):  # compiles, and forgets the start
        states, _ = sample(next(keys), states)
    jax.block_until_ready(states.position)

    def call() -> tuple[Tensor, float]:
        begun = time.perf_counter()
        _, draws = sample(next(keys), states)
        jax.block_until_ready(draws)
        return torch.from_numpy(np.array(draws)).transpose(0, 1), time.perf_counter() - begun

    return call


def theirs_pyro(problem: Problem, kind: str) -> Sampler:
    """One chain; the warm-up is timed apart by a hook at its end."""

    def potential(z: dict[str, Tensor]) -> Tensor:
        return -problem.torch(z["z"][None])[0]

    def call() -> tuple[Tensor, float]:
        kernel = (PyroNUTS(potential_fn=potential, jit_compile=False) if kind == "NUTS"
                  else PyroHMC(potential_fn=potential, num_steps=10, target_accept_prob=0.65))  # fmt: skip
        moments: list[float] = []

        def hook(_kernel: object, _samples: object, stage: str, _at: int) -> None:
            if stage.lower().startswith("sample") and not moments:
                moments.append(time.perf_counter())

        chain = MCMC(kernel, num_samples=PYRO_DRAWS, warmup_steps=PYRO_WARM, disable_progbar=True, hook_fn=hook,
                     initial_params={"z": torch.zeros(problem.features, dtype=torch.float64)})  # fmt: skip
        chain.run()
        seconds = (time.perf_counter() - moments[0]) * PYRO_DRAWS / (PYRO_DRAWS - 1)
        return chain.get_samples(group_by_chain=True)["z"], seconds

    return call


def race(rounds: int) -> Comparison:
    """1,024 chains of HMC on a Gaussian of 50 dimensions: seconds of 1,000 steps, each of 10 leapfrog steps, from 50 (Pyro: 20 of one chain)."""
    n, d, steps = 1024, 50, 50
    variances = torch.linspace(0.5, 2.0, d, dtype=torch.float64)
    kernel = pf.inference.HMC(lambda x: -(x.square() / variances).sum(1) / 2, 0.2, steps=10)
    start = torch.randn(n, d, dtype=torch.float64) * variances.sqrt()
    wide = jnp.asarray(variances.numpy())
    algorithm = blackjax.hmc(lambda x: -jnp.sum(x**2 / wide) / 2, 0.2, jnp.ones(d), 10)

    @jax.jit
    def sample(key: jax.Array, states):
        def one(states, key):
            return jax.vmap(algorithm.step)(jax.random.split(key, n), states)[0], None

        return jax.lax.scan(one, states, jax.random.split(key, steps))[0].position

    states = jax.vmap(algorithm.init)(jnp.asarray(start.numpy()))

    def theirs() -> Tensor:
        return torch.from_numpy(np.array(sample(jax.random.key(0), states)))

    def mine() -> Tensor:
        return kernel.run(start, steps, pf.RowGenerator(0, n)).x

    def pyros() -> Tensor:
        single = PyroHMC(potential_fn=lambda z: (z["z"].square() / variances).sum() / 2, step_size=0.2, num_steps=10,
                         adapt_step_size=False, adapt_mass_matrix=False)  # fmt: skip
        chain = MCMC(single, num_samples=20, warmup_steps=0, disable_progbar=True, initial_params={"z": start[0]})
        chain.run()
        return chain.get_samples()["z"]

    checks = []
    for who, call in (("blackjax", theirs), ("pyro, one chain, scaled", mine)):
        share = (call().square().mean(0) / variances).sub(1).abs().max() / (2 / n) ** 0.5
        checks.append(Agreement(who, "largest error of a variance, in standard errors (Pyro: ours)", float(share), 5.0))
    found = compare("HMC, 1,024 chains", mine, {"blackjax": theirs, "pyro, one chain, scaled": pyros}, check=lambda: checks,
                    repeats=rounds, warmup=1, profiled=False)  # fmt: skip
    factor = {OURS: 1000 / steps, "blackjax": 1000 / steps, "pyro, one chain, scaled": 1000 / 20 * n}
    seconds = {who: [t * factor[who] for t in times] for who, times in found.seconds.items()}
    return Comparison("HMC, 1,024 chains x 1,000 steps, Gaussian in 50 dimensions (scaled)", seconds, found.agreements)
