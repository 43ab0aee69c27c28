"""G3: every sampler has the order that it declares, and agrees with its paper.

Oracles: the exact flow map by scipy's DOP853; for noisy samplers the exact moments of Gaussian data, through which a step's own linear map
carries mean and variance (no Monte Carlo); scipy's quadrature; algorithm 2 of Karras et al., on its own clock; kinship of samplers.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from scipy.integrate import quad, solve_ivp
from torch import Tensor

import pushforward as pf
from pushforward.core.path import Path
from pushforward.core.random import RowGenerator
from pushforward.models.diffusion.samplers import (
    DDIM,
    Ancestral,
    ChurnedHeun,
    DPMSolver,
    LangevinCorrector,
    PredictorCorrector,
    ProbabilityFlow,
    ReverseDiffusion,
    ReverseEulerMaruyama,
    ReverseRungeKutta,
    UniPC,
)
from pushforward.models.diffusion.samplers.dpm_solver import multistep
from pushforward.models.diffusion.samplers.uni_pc import unified
from tests.exact_mixture import exact_model, standard_mixture
from tests.laws.test_samplers import assert_reaches

COSINE = pf.paths.Cosine()
MEAN, STD = 0.5, 0.6  # of Gaussian data


@dataclass(frozen=True)
class Deep(Path):
    """The cosine path down to so little noise that the last step, to the data predicted there, costs nothing that is seen."""

    t_min = 1e-5
    t_max = 0.999

    def alpha(self, t: Tensor) -> Tensor:
        return torch.cos(math.pi / 2 * t)

    def sigma(self, t: Tensor) -> Tensor:
        return torch.sin(math.pi / 2 * t)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def flow_map(noise: Tensor, data_and_noise: Callable[[Tensor, float, float], tuple[Tensor, Tensor]]) -> Tensor:
    """The probability flow dy/dtheta = -sin(theta) E[data] + cos(theta) E[noise], from most noise to the end of the path."""
    ends = pf.paths.angle(Deep(), torch.tensor([Deep.t_max, Deep.t_min], dtype=torch.float64)).tolist()

    def field(theta: float, flat: np.ndarray) -> np.ndarray:
        data, own = data_and_noise(torch.from_numpy(flat).reshape(noise.shape), math.cos(theta), math.sin(theta))
        return (-math.sin(theta) * data + math.cos(theta) * own).flatten().numpy()

    solved = solve_ivp(field, ends, noise.flatten().numpy(), method="DOP853", rtol=1e-9, atol=1e-11)
    return torch.from_numpy(solved.y[:, -1]).reshape(noise.shape) / math.cos(ends[1])


@pytest.fixture(scope="module")
def flowed() -> tuple[Tensor, Tensor]:
    noise = torch.randn(40, 2, dtype=torch.float64, generator=seeded(6))
    return noise, flow_map(noise, standard_mixture().posterior)


# UniPC counts the order of its predictor; with the corrector the method has one more.
DETERMINISTIC = {
    "DPMSolver 1": (lambda k: DPMSolver(k, order=1, spacing="log_snr"), 1, (40, 80, 160)),
    "DPMSolver 2": (lambda k: DPMSolver(k, order=2, spacing="log_snr"), 2, (40, 80, 160)),
    "DPMSolver 3": (lambda k: DPMSolver(k, order=3, spacing="log_snr"), 3, (40, 80, 160)),
    "UniPC 1": (lambda k: UniPC(k, order=1, spacing="log_snr"), 2, (40, 80, 160)),
    "UniPC 2": (lambda k: UniPC(k, order=2, spacing="log_snr"), 3, (60, 120, 240)),
    "ChurnedHeun": (lambda k: ChurnedHeun(k), 2, (40, 80, 160)),
    "ReverseEulerMaruyama without noise": (lambda k: ReverseEulerMaruyama(k, eta=0.0), 1, (80, 160, 320)),
}


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_the_distance_to_the_exact_flow_map_falls_with_the_declared_order(name, flowed):
    build, order, steps = DETERMINISTIC[name]
    model, (noise, truth) = exact_model(Deep()), flowed
    errors = [float((build(k).on(model).run(noise, k, RowGenerator(0, 40)).x - truth).abs().median()) for k in steps]
    slope = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert slope == pytest.approx(order, abs=0.3)
    assert build(8).order == order - (name[:5] == "UniPC")


@pytest.mark.parametrize(("build", "order"), [(DPMSolver, 2), (UniPC, 3)], ids=["DPMSolver", "UniPC"])
def test_the_order_holds_in_64_dimensions(build, order):
    mixture = pf.diffusion.exact.random64d().standardised()
    model, noise = (
        pf.diffusion.exact.exact_model(mixture, Deep(), standardise=False),
        torch.randn(4, 64, dtype=torch.float64, generator=seeded(1)),
    )

    def both(y: Tensor, cos: float, sin: float) -> tuple[Tensor, Tensor]:
        # Alpha and sigma of the cosine path are cos and sin of pi t / 2.
        t = torch.tensor(math.atan2(sin, cos) * 2 / math.pi, dtype=torch.float64)
        data = mixture.predicted(y, t, Deep(), "data")
        return data, (y - cos * data) / sin

    truth, steps = flow_map(noise, both), (40, 80, 160)
    errors = [float((build(k, order=2, spacing="log_snr").on(model).run(noise, k, RowGenerator(0, 4)).x - truth).abs().median()) for k in steps]  # fmt: skip
    assert -np.polyfit(np.log(steps), np.log(errors), 1)[0] == pytest.approx(order, abs=0.5)


def gaussian(path: Path) -> pf.diffusion.Diffusion:
    """The exact model of data N(MEAN, STD^2), in one dimension."""
    numbers = ([1.0], torch.tensor([[MEAN]]).double(), torch.tensor([[STD**2]]).double())
    return pf.diffusion.exact.exact_model(pf.diffusion.exact.GaussianMixture(*numbers), path, standardise=False)


# --- noisy samplers, by the moments of Gaussian data ---


def fixed() -> RowGenerator:
    """Noise 0, 0, 1 for three rows: what a step makes of y = 0, y = 1 and of noise alone are its three numbers."""
    generator = RowGenerator(0, 3)
    generator.normal = lambda *event, dtype=None: torch.tensor([[0.0], [0.0], [1.0]], dtype=dtype)
    return generator


def moments(sampler) -> tuple[float, float]:
    """Mean and variance of what the sampler makes of standard normal noise, for data N(MEAN, STD^2); all of its steps are affine."""
    attached = sampler.on(gaussian(COSINE))
    state, mean, variance = attached.init(torch.zeros(3, 1, dtype=torch.float64)), 0.0, 1.0
    for _ in range(attached.steps):
        state = replace(state, x=torch.tensor([[0.0], [1.0], [0.0]], dtype=torch.float64))
        state, _ = attached.step(state, fixed())
        shift, moved, noise = state.x[:, 0].tolist()
        mean, variance = (moved - shift) * mean + shift, (moved - shift) ** 2 * variance + (noise - shift) ** 2
    return mean, variance


NOISY = {
    "Ancestral": lambda k: Ancestral(k),
    "DDIM half": lambda k: DDIM(k, eta=0.5),
    "ReverseDiffusion": lambda k: ReverseDiffusion(k),
    "ReverseEulerMaruyama": lambda k: ReverseEulerMaruyama(k),
    "ReverseEulerMaruyama half": lambda k: ReverseEulerMaruyama(k, eta=0.5),
    "ReverseRungeKutta": lambda k: ReverseRungeKutta(k, spacing="log_snr"),
}


@pytest.mark.parametrize("name", NOISY)
def test_the_error_of_the_variance_has_the_declared_weak_order(name):
    steps = (100, 300)
    found = [moments(NOISY[name](k)) for k in steps]
    errors = [abs(variance - STD**2) for _, variance in found]
    slope = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert slope == pytest.approx(NOISY[name](8).order, abs=0.15)
    assert found[-1][0] == pytest.approx(MEAN, abs=6e-3)  # its error, of the same order, is 0.0035 at most


def test_a_second_order_noisy_sampler_beats_the_first_order_ones_at_equal_work():
    errors = {name: abs(moments(NOISY[name](k))[1] - STD**2) for name, k in (("Ancestral", 401), ("ReverseDiffusion", 401), ("ReverseRungeKutta", 201))}  # fmt: skip
    assert errors["ReverseRungeKutta"] < 0.7 * min(errors["Ancestral"], errors["ReverseDiffusion"])


def test_corrections_mend_the_marginals_of_a_bad_predictor():
    # Reverse diffusion in ten steps makes draws that are much too spread.
    errors = [
        abs(moments(PredictorCorrector(ReverseDiffusion(10), LangevinCorrector(snr=0.25, steps=each), corrections))[1] / STD**2 - 1)
        for corrections, each in ((0, 1), (1, 1), (2, 2))
    ]  # fmt: skip
    assert errors[0] > 0.25
    assert errors[0] > 1.3 * errors[1] > 1.3 * 1.3 * errors[2]


def test_the_corrector_keeps_the_marginal_of_its_level():
    # y <- (1 - q) y + q cos data + sqrt(2 q) sin z with data the regression of Gaussian data on y: an autoregression of known variance.
    snr, t = 0.2, 0.5
    theta = math.pi / 2 * t  # of the cosine path
    marginal = math.cos(theta) ** 2 * STD**2 + math.sin(theta) ** 2
    q = 2 * snr**2
    kept = (
        1 - q * math.sin(theta) ** 2 / marginal
    )  # 1 - eps / marginal: the score of a Gaussian is -(y - mean) / marginal
    expected = 2 * q * math.sin(theta) ** 2 / (1 - kept**2)
    mean, variance = moments(LangevinCorrector(snr=snr, steps=300, t=t))
    assert mean == pytest.approx(math.cos(theta) * MEAN, rel=1e-6)
    assert variance == pytest.approx(expected, rel=1e-6)
    assert 1 < variance / marginal < 1 + snr**2


@pytest.mark.parametrize("path", [pf.paths.VP(), pf.paths.Linear()], ids=lambda p: type(p).__name__)
def test_predictor_and_corrector_reach_the_mixture(path):
    sampler = PredictorCorrector(Ancestral(60), LangevinCorrector(snr=0.1))
    assert_reaches(exact_model(path).sample(2000, sampler=sampler, generator=seeded(11)), standard_mixture(), 2)


# --- against the papers ---


@pytest.mark.parametrize("degree", [0, 2])
def test_multistep_weights_integrate_polynomials(degree):
    # sigma_t int e^lambda data(lambda) dlambda + sigma_t / sigma_s y, for data that are a polynomial of lambda.
    rng = np.random.default_rng(3)
    back, end = [0.3, -0.4, -0.9][: degree + 1], 0.8
    data, y = np.polynomial.Polynomial(rng.normal(size=degree + 1)), 0.7
    theta_s, theta_t = math.atan(math.exp(-back[0])), math.atan(math.exp(-end))
    expected = math.sin(theta_t) * (y / math.sin(theta_s) + quad(lambda u: math.exp(u) * data(u), back[0], end)[0])
    row = multistep(theta_s, theta_t, back, end, False)
    assert row.from_y * y + sum(w * data(u) for w, u in zip(row.from_data, back)) == pytest.approx(expected, rel=1e-9)
    if degree:  # with one value more than nothing, UniPC takes the paper's half in the place of the exact share
        kept, weights = unified(theta_s, theta_t, back, end, corrector=False)
        assert kept * y + sum(w * data(u) for w, u in zip(weights, back)) == pytest.approx(expected, rel=1e-9)
        kept, weights = unified(theta_s, theta_t, back[:2], end, corrector=True)
        assert kept * y + sum(w * data(u) for w, u in zip(weights, [end, *back])) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(DPMSolver(12, order=1), DDIM(12)), (DPMSolver(12, order=1, noise=True), Ancestral(12))],
    ids=["without noise DDIM", "with noise Ancestral"],
)
def test_a_dpm_solver_of_order_one_is_an_older_sampler(ours, theirs):
    model = exact_model(pf.paths.VP())
    a, b = (model.sample(20, sampler=s, generator=seeded(5)) for s in (ours, theirs))
    torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9)


def algorithm_2(sampler: ChurnedHeun, path: pf.Path, start: Tensor, generator: RowGenerator) -> Tensor:
    """Karras et al., algorithm 2, on u = x / alpha and s = sigma / alpha, on levels even in s^(1/7) and then 0."""
    ends = [float(path.sigma(torch.tensor(t).double()) / path.alpha(torch.tensor(t).double())) ** (1 / 7) for t in (path.t_max, path.t_min)]  # fmt: skip
    n = sampler.steps
    s = [(ends[0] + i / n * (ends[1] - ends[0])) ** 7 for i in range(n)] + [0.0]
    u, mixture = start * math.hypot(1, s[0]), standard_mixture()
    for here, there in itertools.pairwise(s):
        inside = sampler.churn_min <= here <= sampler.churn_max
        gamma = min(sampler.churn / n, math.sqrt(2) - 1) if inside else 0.0
        lifted = min(here * (1 + gamma), s[0])
        if gamma:
            z = generator.normal(2, dtype=torch.float64)
            u = u + math.sqrt(lifted**2 - here**2) * sampler.churn_noise * z
        slope = (u - mixture.posterior(u, 1.0, lifted)[0]) / lifted
        ahead = u + (there - lifted) * slope
        if there > 0:
            second = (ahead - mixture.posterior(ahead, 1.0, there)[0]) / there
            ahead = u + (there - lifted) * (slope + second) / 2
        u = ahead
    return u


@pytest.mark.parametrize("churn", [0.0, 4.0])
def test_churned_heun_is_the_algorithm_of_the_paper(churn):
    path = pf.paths.EDM(0.01, 60.0)
    sampler = ChurnedHeun(9, churn=churn, churn_min=0.05, churn_max=50.0, churn_noise=1.003)
    start = torch.randn(20, 2, dtype=torch.float64, generator=seeded(4))
    ours = sampler.on(exact_model(path, "v")).run(start, 9, RowGenerator(2, 20)).x
    # Times of angles are read from a table, which costs the last digits.
    torch.testing.assert_close(ours, algorithm_2(sampler, path, start, RowGenerator(2, 20)), rtol=1e-5, atol=1e-6)


def test_the_count_of_evaluations_is_that_of_calls():
    model = exact_model(pf.paths.VP())
    samplers = [Ancestral(7), DDIM(7), DPMSolver(7), UniPC(7), ChurnedHeun(7), ReverseDiffusion(7), ReverseEulerMaruyama(9), ReverseRungeKutta(7)]  # fmt: skip
    for sampler in [*samplers, PredictorCorrector(DDIM(5), LangevinCorrector(steps=2), 3)]:
        model.network.calls = 0  # type: ignore[assignment]
        model.sample(3, sampler=sampler)
        assert model.network.calls == sampler.evaluations, sampler


def test_every_spacing_goes_from_the_most_noise_to_the_least():
    for spacing in ("angle", "time", "log_snr", "karras"):
        reached = exact_model(pf.paths.VP()).sample(
            8, sampler=ProbabilityFlow(40, spacing=spacing), generator=seeded(1)
        )
        exact = exact_model(pf.paths.VP()).sample(8, sampler=ProbabilityFlow(60), generator=seeded(1))
        assert (reached - exact).abs().median() < 0.02, spacing
