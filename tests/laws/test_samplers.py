"""G1, G3, G4: with the exact score of a mixture every sampler reaches it, at the order it declares.

Oracles: the mixture's distribution functions (scipy), DDPM's own formula with the betas of Ho et al. typed here,
Bayes' rule by quadrature, and the samplers' own limit of many steps for their order.
"""

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

import pushforward as pf
from pushforward.core.path import Path
from pushforward.core.random import RowGenerator
from pushforward.models.diffusion.samplers import (
    DDIM,
    Ancestral,
    ChurnedHeun,
    DPMSolver,
    ProbabilityFlow,
    ReverseDiffusion,
    ReverseEulerMaruyama,
    ReverseRungeKutta,
    UniPC,
)
from pushforward.models.diffusion.samplers.ancestral import posterior
from pushforward.parts.paths import VE, VP, Cosine, Linear, reverse_terms
from tests.exact_mixture import ExactMixture, exact_model, standard_mixture

# The first forward-mode derivative of a process makes PyTorch import its own deprecated code.

BUDGET = 1e-5
PATHS = {"VP": VP(), "VE": VE(), "Cosine": Cosine(), "Linear": Linear()}
PREDICTIONS = ["data", "noise", "score", "velocity", "v"]
SAMPLERS = {
    "ancestral": Ancestral(steps=150),
    "ancestral in time": Ancestral(steps=150, spacing="time"),
    "ddim": DDIM(steps=80),
    "ddim half": DDIM(steps=100, eta=0.5),
    "flow": ProbabilityFlow(steps=30),
    "churned heun": ChurnedHeun(steps=25, churn=5.0),
    "dpm-solver": DPMSolver(steps=30),
    "dpm-solver with noise": DPMSolver(steps=60, noise=True),
    "reverse diffusion": ReverseDiffusion(steps=200),
    "reverse euler-maruyama": ReverseEulerMaruyama(steps=200),
    "reverse runge-kutta": ReverseRungeKutta(steps=50),
    "unipc": UniPC(steps=20),
}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def assert_reaches(x: Tensor, mixture: ExactMixture, looks: int) -> None:
    """Kolmogorov-Smirnov along both axes and three other directions, and how many draws fall to each bump."""
    directions = np.array([[1, 0], [0, 1], [0.6, 0.8], [-0.6, 0.8], [0.28, -0.96]])
    weights, means, stds = (v.numpy() for v in (mixture.weights, mixture.means, mixture.stds))
    budget = BUDGET / (looks * (len(directions) + 1))
    for u in directions:
        parts = [stats.norm(m @ u, np.sqrt((s * u) @ (s * u))).cdf for m, s in zip(means, stds)]
        p = stats.kstest(x.numpy() @ u, lambda v, parts=parts: sum(w * f(v) for w, f in zip(weights, parts))).pvalue
        assert p > budget, (u, p)
    # Shares of the bumps: which bump a draw is likelier from, against the same question asked of true draws.
    count = [
        np.bincount(mixture._components(v, 1.0, 0.0)[0].argmax(1).numpy(), minlength=3)
        for v in (x, mixture.sample(len(x), 9))
    ]
    assert stats.chi2_contingency(count).pvalue > budget


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
@pytest.mark.parametrize("name", ["VP", "Linear"])  # for the others see the next law but one
def test_with_the_exact_score_a_sampler_reaches_the_mixture(name, sampler):
    x = exact_model(PATHS[name]).sample(2500, sampler=sampler, generator=seeded(1))
    assert_reaches(x, standard_mixture(), 2 * len(SAMPLERS))


@pytest.mark.parametrize("name", ["VP", "Cosine"])
def test_the_reverse_sde_reaches_the_mixture(name):
    # Euler-Maruyama of dx = [f x - g^2 score] dt + g dw with dt < 0, the noise written out here.
    path, mixture, n = PATHS[name], standard_mixture(), 2000
    generator = seeded(2)

    def score(x: Tensor, t: Tensor) -> Tensor:
        return mixture.score(x, path.alpha(t), path.sigma(t))

    (drift,) = reverse_terms(path, score, "sde")
    last = torch.tensor(path.t_max, dtype=torch.float64)
    x = torch.randn(n, 2, dtype=torch.float64, generator=generator) * torch.hypot(path.alpha(last), path.sigma(last))
    times = pf.paths.time_of_angle(
        path, torch.linspace(float(pf.paths.angle(path, last)), 1e-3, 200, dtype=torch.float64)
    )
    for t0, t1 in itertools.pairwise(times):
        t, dt = torch.full((n,), float(t0), dtype=torch.float64), t1 - t0
        g = path.drift_and_diffusion(t)[1].sqrt()[:, None]
        x = (
            x
            + drift.vector_field(t, x) * dt
            + g * dt.abs().sqrt() * torch.randn(n, 2, dtype=torch.float64, generator=generator)
        )
    assert_reaches(x, mixture, 2)


@pytest.mark.parametrize(
    "sampler",
    [SAMPLERS[k] for k in ("ancestral", "ddim", "flow", "reverse runge-kutta", "dpm-solver", "unipc")],
    ids=lambda s: type(s).__name__,
)
def test_every_path_and_every_prediction_give_the_same_walk(sampler):
    # On the angle clock all paths are one. They differ in the angles they begin and end at, so a few walks part ways.
    runs = {(name, predict): exact_model(path, predict).sample(50, sampler=replace(sampler, steps=15), generator=seeded(3))
            for name, path in PATHS.items() for predict in PREDICTIONS}  # fmt: skip
    for (name, predict), x in runs.items():
        torch.testing.assert_close(x, runs[name, "noise"], rtol=1e-4, atol=1e-4, msg=lambda m, p=predict: f"{p}: {m}")
        assert (x - runs["Cosine", "noise"]).abs().median() < 0.02


@dataclass(frozen=True)
class Betas(Path):
    """The discrete process of DDPM as a path: log abar is interpolated between t = 1/T, ..., 1."""

    betas: tuple[float, ...]
    t_max = 1.0

    @property
    def t_min(self):
        return 0.0

    def abar(self, t: Tensor) -> Tensor:
        logs = torch.cat(
            [torch.zeros(1, dtype=torch.float64), torch.tensor(self.betas, dtype=torch.float64).neg().log1p().cumsum(0)]
        )
        place = t.double() * len(self.betas)
        left = place.long().clamp(max=len(self.betas) - 1)
        return (logs[left] + (place - left) * (logs[left + 1] - logs[left])).exp()

    def alpha(self, t: Tensor) -> Tensor:
        return self.abar(t).sqrt()

    def sigma(self, t: Tensor) -> Tensor:
        return (1 - self.abar(t)).sqrt()


def ho_betas(steps: int = 1000) -> np.ndarray:
    return np.linspace(1e-4, 0.02, steps)


def test_ancestral_sampling_is_ddpms_formula():
    # x_{t-1} = (x_t - (1 - alpha_t) / sqrt(1 - abar_t) eps) / sqrt(alpha_t) + sigma_t z, sigma_t^2 = (1 - abar_{t-1}) / (1 - abar_t) beta_t,
    # z = 0 at t = 1 (algorithm 2), for the 100 last and 100 first of 1,000 steps and for a chain of 100 steps in full.
    betas = ho_betas(100) * 10
    model = exact_model(Betas(tuple(betas.tolist())))
    generator = RowGenerator(4, 20)
    x = generator.normal(2, dtype=torch.float64)
    ours = Ancestral(steps=100, spacing="time").on(model).run(x, 100, generator).x
    generator = RowGenerator(4, 20)
    x = generator.normal(2, dtype=torch.float64)
    alpha, abar = 1 - betas, np.cumprod(1 - betas)
    mixture = standard_mixture()
    for t in reversed(range(100)):
        _, eps = mixture.posterior(x, math.sqrt(abar[t]), math.sqrt(1 - abar[t]))
        x = (x - (1 - alpha[t]) / math.sqrt(1 - abar[t]) * eps) / math.sqrt(alpha[t])
        if t > 0:
            x = x + math.sqrt((1 - abar[t - 1]) / (1 - abar[t]) * betas[t]) * generator.normal(2, dtype=torch.float64)
    torch.testing.assert_close(ours, x, rtol=1e-8, atol=1e-8)


def test_one_ancestral_step_has_the_coefficients_of_ho_et_al():
    betas = ho_betas()
    alpha, abar = 1 - betas, np.cumprod(1 - betas)
    for t in (1, 2, 10, 500, 999):
        from_x, from_data, deviation = posterior(
            abar[t] ** 0.5, (1 - abar[t]) ** 0.5, abar[t - 1] ** 0.5, (1 - abar[t - 1]) ** 0.5
        )
        # Equation 7 of the paper.
        assert from_data == pytest.approx(math.sqrt(abar[t - 1]) * betas[t] / (1 - abar[t]), rel=1e-9)
        assert from_x == pytest.approx(math.sqrt(alpha[t]) * (1 - abar[t - 1]) / (1 - abar[t]), rel=1e-9)
        assert deviation**2 == pytest.approx((1 - abar[t - 1]) / (1 - abar[t]) * betas[t], rel=1e-9)


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_an_ancestral_step_is_bayes_rule(path):
    # q(x_s | x_t, data) is proportional to q(x_t | x_s) q(x_s | data), integrated on a grid, on every path.
    t, s = (path.t_min + share * (path.t_max - path.t_min) for share in (0.7, 0.6))
    (a_t, a_s), (s_t, s_s) = (f(torch.tensor([t, s], dtype=torch.float64)).tolist() for f in (path.alpha, path.sigma))
    data, x_t = 0.8, a_t * 0.8 + 0.5 * s_t
    grid = np.linspace(a_s * data - 12 * s_s, a_s * data + 12 * s_s, 200_001)
    ratio = a_t / a_s
    density = stats.norm(ratio * grid, math.sqrt(s_t**2 - ratio**2 * s_s**2)).pdf(x_t) * stats.norm(
        a_s * data, s_s
    ).pdf(grid)
    mean = (grid * density).sum() / density.sum()
    deviation = math.sqrt(((grid - mean) ** 2 * density).sum() / density.sum())
    from_x, from_data, ours = posterior(a_t, s_t, a_s, s_s)
    assert from_x * x_t + from_data * data == pytest.approx(mean, rel=1e-6)
    assert ours == pytest.approx(deviation, rel=1e-6)


def test_ddim_with_all_the_noise_is_ancestral_sampling():
    model = exact_model(VP())
    ours, theirs = (
        model.sample(50, sampler=s, generator=seeded(5)) for s in (DDIM(steps=60, eta=1.0), Ancestral(steps=60))
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


ORDERS = {
    "ddim": (lambda steps: DDIM(steps=steps), 1),
    "euler": (lambda steps: ProbabilityFlow(steps=steps, solver=pf.diffeq.Euler()), 1),
    "heun": (lambda steps: ProbabilityFlow(steps=steps), 2),
    "rk4": (lambda steps: ProbabilityFlow(steps=steps, solver=pf.diffeq.RK4()), 4),
}


@pytest.fixture(scope="module")
def decoded() -> tuple[Tensor, Tensor]:
    noise = torch.randn(60, 2, dtype=torch.float64, generator=seeded(6))
    return noise, exact_model(Cosine()).decode(noise, tolerance=1e-9)


@pytest.mark.parametrize("name", ORDERS)
def test_the_error_of_a_deterministic_sampler_has_its_order(name, decoded):
    build, order = ORDERS[name]
    model, (noise, truth) = exact_model(Cosine()), decoded
    steps = [30, 60, 120]
    errors = [float((build(k).on(model).run(noise, k, RowGenerator(0, 60)).x - truth).abs().median()) for k in steps]
    if (
        name == "ddim"
    ):  # the last step leaves out the blur that decode keeps; its error is of second order in that angle
        assert errors[-1] > 1e-4
    slope = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert slope == pytest.approx(order, abs=0.25)


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_a_draw_is_the_same_whatever_runs_beside_it(sampler, monkeypatch):
    model = exact_model(VP())
    few, many = (model.sample(n, sampler=replace(sampler, steps=8), generator=seeded(7)) for n in (7, 300))
    torch.testing.assert_close(few, many[:7], rtol=1e-9, atol=1e-9)
    monkeypatch.setattr(type(model), "_rows", lambda self, rows, condition: 64)  # as if memory were short
    chunked = model.sample(300, sampler=replace(sampler, steps=8), generator=seeded(7))
    torch.testing.assert_close(chunked, many, rtol=1e-9, atol=1e-9)
    assert not torch.equal(model.sample(7, sampler=replace(sampler, steps=8), generator=seeded(8)), few)


@pytest.mark.parametrize("sampler", [Ancestral(steps=5), DDIM(steps=5, eta=0.7)], ids=lambda s: type(s).__name__)
def test_the_last_step_has_no_noise_and_the_others_do(sampler):
    attached = sampler.on(exact_model(Cosine()))
    state = attached.init(torch.randn(4, 2, dtype=torch.float64, generator=seeded(9)))
    for step in range(5):
        one, other = (attached.step(state, RowGenerator(seed, 4))[0] for seed in (1, 2))
        assert torch.equal(one.x, other.x) == (step == 4)
        state = one
    with pytest.raises(ValueError, match="expected at most 5 steps"):
        attached.step(state, RowGenerator(1, 4))


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_a_sampler_without_a_model_says_how_to_get_one(sampler):
    with pytest.raises(ValueError, match=r"attached to a model, got it alone; use model\.sample"):
        sampler.init(torch.zeros(1, 2))
