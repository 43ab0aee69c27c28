"""G6: with an exact prior, draws given a measurement are the posterior where the method says so, and as wrong as it says elsewhere.

Oracles: Gaussian conditioning by numpy (means and covariances, in standard errors), the posterior of a mixture in closed form
(its distribution function by scipy), and for the operators the matrix of their columns with LAPACK's pseudo-inverse.
"""

from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import pushforward as pf
from pushforward.core.path import Path
from pushforward.core.registry import register
from pushforward.models.diffusion.inverse import (
    DPS,
    Colorise,
    Inpaint,
    LinearOperator,
    PiGDM,
    Projection,
    SuperResolve,
    solve,
)
from pushforward.models.diffusion.inverse.operators import pseudo_inverse
from pushforward.models.diffusion.samplers import DDIM, Ancestral, ProbabilityFlow
from pushforward.parts.paths import VE, VP, Cosine, Linear
from tests.exact_mixture import exact_model, standard_mixture

BUDGET = 1e-5
STANDARD_ERRORS = 5.5  # two-sided, a dozen looks at each of a few dozen numbers: false alarms below the budget
OPERATORS = {
    "Inpaint": (Inpaint(torch.tensor([[True, False, True, False]] * 4)), (3, 4, 4)),
    "Colorise": (Colorise((0.3, 0.6, 0.1)), (3, 4, 4)),
    "SuperResolve": (SuperResolve(2), (3, 4, 4)),
    "LinearOperator": (LinearOperator(torch.tensor([[1.0, -2.0, 0.5], [0.0, 1.0, 1.0], [1.0, -1.0, 1.5]])), (3,)),
}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@register
class GaussianNetwork(nn.Module):
    """E[noise | x_t] for data N(mean, covariance), flattened."""

    def __init__(self, path: Path, mean: Tensor, covariance: Tensor):
        super().__init__()
        self.path = path
        self.mean, self.covariance = nn.Buffer(mean), nn.Buffer(covariance)

    def forward(self, y: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        theta = torch.atan2(self.path.sigma(t), self.path.alpha(t))[:, None, None]
        eye = torch.eye(len(self.mean), dtype=y.dtype)
        spread = theta.cos() ** 2 * self.covariance + theta.sin() ** 2 * eye
        gap = y.flatten(1) - theta[:, 0].cos() * self.mean
        return (theta[:, 0].sin() * torch.linalg.solve(spread, gap)).reshape(y.shape)


def gaussian_model(mean, covariance, path: Path | None = None, shape=None, **units) -> pf.diffusion.Diffusion:
    mean, covariance, path = torch.as_tensor(mean), torch.as_tensor(covariance), path or VP()
    network = GaussianNetwork(path, mean.double(), covariance.double())
    return pf.diffusion.Diffusion(network, path, shape or len(mean), "noise", **units).double()


def conditioned(mean, covariance, a, m, noise):
    """Mean and covariance of x given a x + noise = m."""
    gain = covariance @ a.T @ np.linalg.inv(a @ covariance @ a.T + noise**2 * np.eye(len(a)))
    return mean + gain @ (m - a @ mean), covariance - gain @ a @ covariance


def assert_moments(x: Tensor, mean, covariance) -> None:
    """Mean and covariance of draws, each within a few of its standard errors."""
    draws, n = x.flatten(1).numpy(), len(x)
    variance = np.diag(covariance)
    error = np.abs(draws.mean(0) - mean) / np.sqrt(variance / n)
    assert error.max() < STANDARD_ERRORS, error
    of_covariance = np.sqrt((covariance**2 + np.outer(variance, variance)) / n)
    error = np.abs(np.cov(draws.T) - covariance) / of_covariance
    assert error.max() < STANDARD_ERRORS, error


A = np.array([[1.0, 0.5, -1.0], [0.0, 2.0, 1.0]])
LOC, SCALE = np.array([2.0, -1.0, 0.5]), np.array([1.5, 0.4, 3.0])
M = np.array([0.7, -2.5])


@pytest.mark.parametrize("path", [VP(), VE(0.02, 30.0), Cosine(), Linear()], ids=["VP", "VE", "Cosine", "Linear"])
@pytest.mark.parametrize("noise", [0.0, 0.6])
def test_pigdm_predicts_the_mean_given_x_t_and_the_measurement(path, noise):
    # Joint Gaussian conditioning on y and m at once, by numpy.
    mean, tau, n = np.array([0.3, -0.5, 0.1]), 0.8, 12
    model = gaussian_model(mean, tau**2 * np.eye(3), path)
    y = torch.randn(n, 3, dtype=torch.float64, generator=seeded(1))
    ends = pf.paths.angle(path, torch.tensor([path.t_min, path.t_max], dtype=torch.float64))
    theta = torch.lerp(*ends, torch.linspace(0.1, 0.9, n, dtype=torch.float64))
    t = pf.paths.time_of_angle(path, theta)
    seen = LinearOperator(torch.from_numpy(A))
    guide = PiGDM(model, seen, torch.from_numpy(M).expand(n, 2), noise, prior_std=tau)
    x_t = y * torch.hypot(path.alpha(t), path.sigma(t))[:, None]
    ours = path.convert(guide(y, t, None), "noise", "data", x_t, t)
    for row in range(n):
        c, s = theta[row].cos().item(), theta[row].sin().item()
        both = np.vstack([c * np.eye(3), A])
        spread = np.diag([s**2] * 3 + [noise**2] * 2)
        gain = tau**2 * both.T @ np.linalg.inv(tau**2 * both @ both.T + spread)
        exact = mean + gain @ (np.concatenate([y[row].numpy(), M]) - both @ mean)
        np.testing.assert_allclose(ours[row].numpy(), exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sampler", [Ancestral(steps=200), DDIM(steps=200), ProbabilityFlow(steps=60)], ids=lambda s: type(s).__name__)  # fmt: skip
def test_pigdm_draws_from_the_exact_posterior_of_a_gaussian(sampler):
    # The prior in the units of the data is N(LOC, diag SCALE^2): three units, one matrix, one noise.
    model = gaussian_model(np.zeros(3), np.eye(3), loc=torch.from_numpy(LOC), scale=torch.from_numpy(SCALE))
    x = solve(model, torch.from_numpy(M), LinearOperator(torch.from_numpy(A)), noise=0.5, draws=3000, sampler=sampler, generator=seeded(2))  # fmt: skip
    assert_moments(x, *conditioned(LOC, np.diag(SCALE**2), A, M, 0.5))


def test_pigdm_draws_given_different_measurements_at_once():
    model = gaussian_model(np.zeros(2), np.eye(2))
    m = torch.tensor(
        [[1.5, float("nan")], [-0.5, 2.0]], dtype=torch.float64
    )  # the second number is hidden: not looked at
    x = solve(model, m, Inpaint(torch.tensor([True, False])), noise=0.8, draws=2500, generator=seeded(3))
    assert x.shape == (2500, 2, 2)
    for row in (0, 1):
        assert_moments(x[:, row], *conditioned(np.zeros(2), np.eye(2), np.array([[1.0, 0.0]]), m[row, :1].numpy(), 0.8))


@pytest.mark.parametrize("method", ["projection", "repaint", "dps", "pigdm"])
def test_exact_measurements_are_met_and_what_does_not_depend_on_them_keeps_its_prior(method):
    covariance = np.diag([0.5, 1.2, 0.8])
    model = gaussian_model(np.array([0.2, -0.3, 0.4]), covariance)
    seen = Inpaint(torch.tensor([True, False, False]))
    x = solve(
        model,
        torch.tensor([1.1, 0, 0], dtype=torch.float64),
        seen,
        method=method,
        draws=1000,
        steps=60,
        generator=seeded(4),
    )
    assert (x[:, 0] - 1.1).abs().max() < {"dps": 0.02, "pigdm": 1e-3}.get(method, 1e-9)
    for column, mean in ((1, -0.3), (2, 0.4)):
        found = stats.kstest(x[:, column].numpy(), stats.norm(mean, covariance[column, column] ** 0.5).cdf)
        assert found.pvalue > BUDGET / 8, found


def test_projection_is_exact_where_everything_is_seen_with_noise():
    # Then the measurement is a noised draw of the prior, which is what the reverse process starts from: any prior, here the mixture.
    prior, noise, m = standard_mixture(), 0.7, torch.tensor([0.3, 0.2], dtype=torch.float64)
    everything = Inpaint(torch.tensor([True, True]))
    x = solve(
        exact_model(VP()), m, everything, method="projection", noise=noise, draws=2000, steps=300, generator=seeded(5)
    )
    variance = prior.stds**2 + noise**2
    log_weight = prior.weights.log() - 0.5 * ((m - prior.means) ** 2 / variance + variance.log()).sum(1)
    gain = prior.stds**2 / variance
    means, stds = prior.means + gain * (m - prior.means), prior.stds * (1 - gain).sqrt()
    for column in (0, 1):
        cdf = partial(_cdf, log_weight.softmax(0).tolist(), means[:, column].tolist(), stds[:, column].tolist())
        found = stats.kstest(x[:, column].numpy(), cdf)
        assert found.pvalue > BUDGET / 2, found


def _cdf(weights, means, stds, x):
    return sum(w * stats.norm(m, s).cdf(x) for w, m, s in zip(weights, means, stds))


def test_projection_uses_the_seen_numbers_too_little_and_resampling_mends_it():
    rho, m = 0.9, 1.5
    model = gaussian_model(np.zeros(2), np.array([[1.0, rho], [rho, 1.0]]))
    seen = Inpaint(torch.tensor([True, False]))

    def hidden(resamplings: int) -> tuple[float, float]:
        measured = torch.tensor([[m, 0.0]], dtype=torch.float64).expand(800, 2)
        x = model.sample(
            800, sampler=Projection(seen, measured, steps=40, resamplings=resamplings), generator=seeded(6)
        )
        return float(x[:, 1].mean()) - rho * m, float(x[:, 1].std())

    exact_std = (1 - rho**2) ** 0.5
    gaps = [hidden(k) for k in (1, 4, 16)]
    assert gaps[0][0] < gaps[1][0] < gaps[2][0] < 0.03  # from too little towards the posterior mean, 1.35
    assert gaps[0][0] < -0.1
    assert abs(gaps[2][0]) < 0.05
    assert gaps[2][1] == pytest.approx(exact_std, abs=0.1)  # steps of finite length, walked often, are a little narrow


def test_dps_gives_back_noisy_measurements_as_if_they_were_exact():
    # The bias that theory says it has: no width where the posterior has noise^2 tau^2 / (noise^2 + tau^2).
    model, m = gaussian_model(np.zeros(2), np.eye(2)), torch.tensor([1.0, 0.0], dtype=torch.float64)
    x = solve(model, m, Inpaint(torch.tensor([True, False])), method="dps", noise=1.0, draws=500, generator=seeded(7))
    assert float(x[:, 0].std()) < 0.02
    assert abs(float(x[:, 0].mean()) - 1) < 0.02
    exact = solve(model, m, Inpaint(torch.tensor([True, False])), noise=1.0, draws=2000, generator=seeded(7))
    assert_moments(exact, np.array([0.5, 0.0]), np.diag([0.5, 1.0]))


def test_the_normalised_step_of_dps_leaves_a_misfit_of_its_own_size():
    model, m = gaussian_model(np.zeros(2), np.eye(2)), torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(200, 2)
    seen = Inpaint(torch.tensor([True, False]))
    far, near = (
        (model.sample(200, sampler=DPS(seen, m, step_size=size, normalised=True), generator=seeded(8))[:, 0] - 1).abs()
        for size in (0.3, 0.05)
    )
    assert far.max() < 0.7
    assert near.median() < far.median()


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_is_its_matrix(name):
    operator, shape = OPERATORS[name]
    operator, numbers = operator.double(), int(np.prod(shape))
    measured = operator.measured_shape(torch.Size(shape))
    columns = operator.apply(torch.eye(numbers, dtype=torch.float64).reshape(numbers, *shape))
    assert columns.shape[1:] == measured
    matrix = columns.flatten(1).T.numpy()
    u = torch.randn(5, *measured, dtype=torch.float64, generator=seeded(9))
    flat = u.flatten(1).numpy()
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
    close(operator.adjoint(u).flatten(1).numpy(), flat @ matrix)
    close(pseudo_inverse(operator, u).flatten(1).numpy(), flat @ np.linalg.pinv(matrix, rcond=1e-5).T)
    close(operator.largest, np.linalg.norm(matrix, 2) ** 2)
    through = operator.spectral(operator.apply(operator.adjoint(u)), lambda v: 1 / (0.5 * v + 0.2))
    gram = matrix @ matrix.T
    close(through.flatten(1).numpy(), flat @ gram @ np.linalg.inv(0.5 * gram + 0.2 * np.eye(len(gram))))


@pytest.mark.parametrize("method", ["projection", "pigdm", "dps"])
@pytest.mark.parametrize("name", ["Inpaint", "Colorise", "SuperResolve"])
def test_images_agree_with_what_was_seen_of_them(name, method):
    operator, shape = OPERATORS[name]
    numbers = int(np.prod(shape))
    model = gaussian_model(np.zeros(numbers), np.eye(numbers), Cosine(), shape, loc=torch.tensor(5.0), scale=torch.tensor(2.0))  # fmt: skip
    truth = 5 + 2 * torch.randn(2, *shape, dtype=torch.float64, generator=seeded(10))
    operator = operator.double()
    x = solve(model, operator.apply(truth), operator, method=method, steps=50, generator=seeded(11))
    gap = (operator.apply(x) - operator.apply(truth)).abs().max()
    assert gap < {"projection": 1e-6, "pigdm": 1e-2, "dps": 0.1}[method]
    assert (x - truth).abs().max() > 0.5  # what was not seen is drawn anew


def test_pixels_that_were_seen_are_given_back_as_whole_numbers():
    model = pf.diffusion.v_diffusion(event_shape=(1, 4, 4), levels=17, width=8)
    image = torch.randint(0, 17, (3, 1, 4, 4), generator=seeded(12)).float()
    mask = torch.rand(4, 4, generator=seeded(13)) < 0.5
    for method in ("projection", "pigdm"):
        x = solve(model, image, Inpaint(mask), method=method, steps=10, generator=seeded(14))
        assert torch.equal(x[..., mask], image[..., mask])
        assert torch.equal(x, x.floor())


@pytest.mark.parametrize("method", ["projection", "repaint", "dps", "pigdm"])
def test_a_draw_is_the_same_whatever_runs_beside_it(method, monkeypatch):
    model = gaussian_model(np.zeros(2), np.array([[1.0, 0.6], [0.6, 1.0]]))
    m = torch.randn(200, 2, dtype=torch.float64, generator=seeded(15))
    run = partial(solve, model, operator=Inpaint(torch.tensor([False, True])), method=method, noise=0.3, steps=6)
    whole, few = run(m, generator=seeded(16)), run(m[:5], generator=seeded(16))
    torch.testing.assert_close(few, whole[:5], rtol=1e-9, atol=1e-9)
    monkeypatch.setattr(type(model), "_rows", lambda self, rows, condition: 64)  # as if memory were short
    torch.testing.assert_close(run(m, generator=seeded(16)), whole, rtol=1e-9, atol=1e-9)
