"""G2: a path is what the textbook says, and its derived quantities follow from it.

Oracles: closed forms typed here, quadrature of the rate of noise, finite differences, and the Fokker-Planck equation
for the exact density of a Gaussian mixture at every time (`tests/exact_mixture.py`).
"""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from pushforward.core.path import Path
from pushforward.parts.paths import (
    EDM,
    VE,
    VP,
    Cosine,
    DiscreteVP,
    Linear,
    SubVP,
    angle,
    combination,
    conversion,
    reverse_terms,
    time_of_angle,
)
from tests.cases import CASES
from tests.exact_mixture import standard_mixture

# The first forward-mode derivative of a process makes PyTorch import its own deprecated code.

BUDGET = 1e-5
PATHS = {
    "VP": VP(),
    "VP slow": VP(0.5, 4.0),
    "VE": VE(0.02, 30.0),
    "Cosine": Cosine(),
    "Linear": Linear(),
    "SubVP": SubVP(),
    "EDM": EDM(0.01, 60.0),
}
QUANTITIES = ["data", "noise", "score", "velocity", "v"]


def times(path: Path, n: int = 41) -> Tensor:
    """Inside the path, the ends included."""
    return torch.linspace(path.t_min, path.t_max, n, dtype=torch.float64)


def beta(path: VP | SubVP, t):
    return path.beta_min + t * (path.beta_max - path.beta_min)


def textbook(path: Path, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(path, VP):
        rate = np.array([integrate.quad(lambda s: beta(path, s), 0, end)[0] for end in t])
        return np.exp(-rate / 2), np.sqrt(1 - np.exp(-rate))
    if isinstance(path, SubVP):
        rate = np.array([integrate.quad(lambda s: beta(path, s), 0, end)[0] for end in t])
        return np.exp(-rate / 2), 1 - np.exp(-rate)
    if isinstance(path, EDM):
        return np.ones_like(t), t
    if isinstance(path, VE):
        return np.ones_like(t), path.sigma_min ** (1 - t) * path.sigma_max**t
    if isinstance(path, Cosine):
        return np.cos(np.pi * t / 2), np.sin(np.pi * t / 2)
    return 1 - t, t


def textbook_drift(path: Path, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f and g^2, derived by hand."""
    if isinstance(path, VP):
        return -beta(path, t) / 2, beta(path, t)
    if isinstance(path, SubVP):  # the paper's eq. 28, with int beta in closed form
        rate = path.beta_min * t + (path.beta_max - path.beta_min) * t**2 / 2
        return -beta(path, t) / 2, beta(path, t) * (1 - np.exp(-2 * rate))
    if isinstance(path, EDM):
        return 0 * t, 2 * t
    if isinstance(path, VE):
        return 0 * t, 2 * math.log(path.sigma_max / path.sigma_min) * textbook(path, t)[1] ** 2
    if isinstance(path, Cosine):
        return -np.pi / 2 * np.tan(np.pi * t / 2), np.pi * np.tan(np.pi * t / 2)
    return -1 / (1 - t), 2 * t / (1 - t)


@pytest.mark.parametrize("name", PATHS)
def test_alpha_and_sigma_are_the_textbooks(name):
    path = PATHS[name]
    t = times(path)
    alpha, sigma = textbook(path, t.numpy())
    np.testing.assert_allclose(path.alpha(t), alpha, rtol=1e-12)
    np.testing.assert_allclose(
        path.sigma(t), sigma, rtol=1e-6 if isinstance(path, VP | SubVP) else 1e-12
    )  # 1 - exp cancels above
    np.testing.assert_allclose(
        path.sigma(t.float()), sigma, rtol=1e-5
    )  # in single precision, at the smallest sigma too


@pytest.mark.parametrize("name", PATHS)
def test_samples_of_the_path_have_its_moments(name):
    path, n = PATHS[name], 40_000
    for t in times(path, 4):
        noise = torch.randn(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        data = torch.tensor([0.7, -2.0], dtype=torch.float64).expand(n, 2)
        x = path.sample(data, noise, t.expand(n)).numpy()
        alpha, sigma = (float(c[0]) for c in textbook(path, t.numpy()[None]))
        for column, start in enumerate((0.7, -2.0)):
            assert stats.kstest(x[:, column], stats.norm(alpha * start, sigma).cdf).pvalue > BUDGET / 8


@pytest.mark.parametrize("name", PATHS)
def test_drift_and_diffusion_are_the_textbooks(name):
    path = PATHS[name]
    t = times(path)
    f, g_squared = path.drift_and_diffusion(t)
    expected_f, expected_g = textbook_drift(path, t.numpy())
    np.testing.assert_allclose(f, expected_f, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(g_squared, expected_g, rtol=1e-9)


@pytest.mark.parametrize("name", PATHS)
def test_derivatives_are_differences(name):
    path, h = PATHS[name], 1e-6
    t = times(path)[1:-1]
    _, _, d_alpha, d_sigma = path.derivatives(t)
    for f, derivative in ((path.alpha, d_alpha), (path.sigma, d_sigma)):
        torch.testing.assert_close(derivative, (f(t + h) - f(t - h)) / (2 * h), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", PATHS)
def test_every_conversion_agrees_with_the_closed_forms(name):
    path = PATHS[name]
    t = times(path, 9)
    generator = torch.Generator().manual_seed(2)
    data, noise = (torch.randn(9, 3, dtype=torch.float64, generator=generator) for _ in range(2))
    alpha, sigma = (torch.as_tensor(c)[:, None] for c in textbook(path, t.numpy()))
    f, g_squared = (torch.as_tensor(c)[:, None] for c in textbook_drift(path, t.numpy()))
    x = path.sample(data, noise, t)
    score = -noise / sigma
    # The velocity of a point whose data and noise are fixed is the probability flow of its own Gaussian.
    known = {"data": data, "noise": noise, "score": score, "v": alpha * noise - sigma * data,
             "velocity": f * x - g_squared * score / 2}  # fmt: skip
    for source, target in itertools.product(QUANTITIES, QUANTITIES):
        there = path.convert(known[source], source, target, x, t)
        torch.testing.assert_close(there, known[target], rtol=1e-4, atol=1e-4)
        back = path.convert(there, target, source, x, t)
        torch.testing.assert_close(back, known[source], rtol=1e-6, atol=1e-6)
        c, d = conversion(path, source, target, t)
        torch.testing.assert_close(c[:, None] * x + d[:, None] * known[source], known[target], rtol=1e-4, atol=1e-4)
    for target in QUANTITIES:
        a, b = combination(path, target, t)
        torch.testing.assert_close(a[:, None] * data + b[:, None] * noise, known[target], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", PATHS)
def test_the_angle_clock_runs_from_data_to_noise_and_back(name):
    path = PATHS[name]
    t = times(path, 1001)
    theta = angle(path, t)
    assert (theta.diff() > 0).all()
    assert theta[0] < 0.021
    assert theta[-1] > 1.2
    alpha, sigma = textbook(path, t.numpy())
    np.testing.assert_allclose(np.tan(theta.numpy()), sigma / alpha, rtol=1e-6)
    torch.testing.assert_close(time_of_angle(path, theta), t, rtol=1e-8, atol=1e-8)
    beyond = time_of_angle(path, torch.tensor([0.0, math.pi / 2]))
    assert beyond.tolist() == [path.t_min, path.t_max]


def log_density_and_derivatives(path: Path, x: Tensor, t: Tensor):
    """log p_t(x), its t-derivative, its gradient and its Laplacian for the exact mixture, by autodiff of the closed form."""
    mixture = standard_mixture()

    def log_p(x: Tensor, t: Tensor) -> Tensor:
        return mixture.log_prob(x[None], path.alpha(t), path.sigma(t))[0]

    in_t = torch.func.vmap(torch.func.grad(log_p, 1))(x, t)
    in_x = torch.func.vmap(torch.func.grad(log_p, 0))(x, t)
    hessian = torch.func.vmap(torch.func.hessian(log_p, 0))(x, t)
    return in_t, in_x, hessian.diagonal(0, 1, 2).sum(1)


@pytest.mark.parametrize("kind", ["forward", "ode", "sde"])
@pytest.mark.parametrize("name", PATHS)
def test_the_equations_move_the_exact_density(name, kind):
    # d log p / dt = -div b - b . grad log p, plus or minus g^2 / 2 (Laplace log p + |grad log p|^2) where there is noise:
    # plus forwards in time, minus backwards.
    path, mixture = PATHS[name], standard_mixture()
    t = times(path, 12)[1:-1].repeat_interleave(30)
    spread = torch.hypot(path.alpha(t), path.sigma(t))[:, None]
    x = torch.randn(len(t), 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) * spread
    in_t, in_x, laplacian = log_density_and_derivatives(path, x, t)

    def score(x: Tensor, t: Tensor) -> Tensor:
        return mixture.score(x, path.alpha(t), path.sigma(t))

    f, g_squared = path.drift_and_diffusion(t)
    if kind == "forward":
        drift, noise = (lambda x: f[:, None] * x), g_squared / 2
    else:
        (term,) = reverse_terms(path, score, kind)
        drift, noise = (lambda x: term.vector_field(t, x)), {"ode": 0 * t, "sde": -g_squared / 2}[kind]
    x = x.requires_grad_()
    b = drift(x)
    divergence = sum(torch.autograd.grad(b[:, i].sum(), x, retain_graph=True)[0][:, i] for i in range(2))
    expected = -divergence - (b * in_x).sum(1) + noise * (laplacian + in_x.square().sum(1))
    torch.testing.assert_close(expected.detach(), in_t, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("schedule", "steps"), [("linear", 1000), ("linear", 100), ("cosine", 1000), ("cosine", 10)])
def test_the_discrete_process_step_by_step(schedule, steps):
    """x_i = sqrt(1 - beta_i) x_{i-1} + sqrt(beta_i) z: scale and variance by the recursion, betas as the papers type them."""
    path = DiscreteVP(schedule, steps)
    i = np.arange(steps)
    if schedule == "linear":
        betas = (1e-4 + (0.02 - 1e-4) * i / (steps - 1)) * 1000 / steps
    else:
        abar = [math.cos((k / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for k in range(steps + 1)]
        betas = np.array([min(1 - b / a, 0.999) for a, b in itertools.pairwise(abar)])
    scale, variance = 1.0, 0.0
    for k, rate in enumerate(betas, 1):
        scale, variance = math.sqrt(1 - rate) * scale, (1 - rate) * variance + rate
        t = torch.tensor([k / steps], dtype=torch.float64)
        assert float(path.alpha(t)) == pytest.approx(scale, rel=1e-9)
        assert float(path.sigma(t)) ** 2 == pytest.approx(variance, rel=1e-9)
    inside = (torch.arange(1, steps, dtype=torch.float64) + 0.5) / steps  # within a step the rate is constant
    np.testing.assert_allclose(path.drift_and_diffusion(inside)[1], -np.log1p(-betas[1:]) * steps, rtol=1e-6)


@pytest.mark.parametrize("name", CASES["paths"])
def test_every_path_goes_from_data_to_noise(name):
    path = CASES["paths"][name]()
    assert isinstance(path, Path)
    assert (path.log_snr(times(path)).diff() < 0).all()
    assert path.sigma(torch.tensor(path.t_min)) > 0


def test_the_score_of_every_time_is_what_convert_calls_the_score():
    # E[noise | x_t] converts to grad log p_t(x_t), by autodiff of the density.
    for path in PATHS.values():
        t = times(path, 7)[1:-1].repeat_interleave(20)
        x = torch.randn(len(t), 2, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
        _, noise = standard_mixture().posterior(x, path.alpha(t), path.sigma(t))
        _, in_x, _ = log_density_and_derivatives(path, x, t)
        torch.testing.assert_close(path.convert(noise, "noise", "score", x, t), in_x, rtol=1e-8, atol=1e-8)
