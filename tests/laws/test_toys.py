"""The toys are the distributions their docstrings define. Oracles: scikit-learn's generators, scipy, quadrature.

Every test statistic may raise a false alarm with a chance of about 1e-5.
"""

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from sklearn import datasets

from pushforward.parts.data import TOYS, toy, toy_log_prob

ALARM = 1e-5
SIGMAS = stats.norm.isf(ALARM / 2)
COUNT = 40_000


def points(name: str) -> np.ndarray:
    return toy(name, COUNT, seed=3).double().numpy()


def directions() -> np.ndarray:
    angles = np.array([0.0, 0.7, np.pi / 2, 2.4])
    return np.stack([np.cos(angles), np.sin(angles)])


def middles(law, count: int) -> np.ndarray:
    """Quantiles in the middle of `count` equal slices: means over them are integrals, by the midpoint rule."""
    return law.ppf((np.arange(count) + 0.5) / count)


def require_mean(draws: np.ndarray, truth: complex) -> None:
    """Real and imaginary part of the mean within `SIGMAS` standard errors of the truth."""
    for part, true in ((draws.real, truth.real), (draws.imag, truth.imag)):
        assert abs(part.mean() - true) < SIGMAS * part.std() / np.sqrt(len(part))


def require_distribution(draws: np.ndarray, cdf) -> None:
    assert stats.kstest(draws, cdf).pvalue > ALARM


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("two_moons", lambda: datasets.make_moons(COUNT, noise=0.1, random_state=1)[0]),
        ("s_curve", lambda: datasets.make_s_curve(COUNT, noise=0.1, random_state=1)[0][:, [0, 2]]),
    ],
)
def test_moons_and_curve_are_those_of_scikit_learn(name, reference):
    ours, theirs = points(name) @ directions(), reference() @ directions()
    for one, other in zip(ours.T, theirs.T):
        assert stats.ks_2samp(one, other).pvalue > ALARM


def eight_centres() -> np.ndarray:
    return 5 * np.exp(1j * np.pi / 4 * np.arange(8))


def test_eight_gaussians_follow_the_mixture_in_every_direction():
    draws = points("eight_gaussians")
    centres = np.stack([eight_centres().real, eight_centres().imag], 1)
    for direction in directions().T:
        means = centres @ direction
        require_distribution(
            draws @ direction, lambda v, m=means: stats.norm.cdf(v[:, None], m, np.sqrt(0.1)).mean(axis=1)
        )


def test_density_of_eight_gaussians_is_that_of_scipy_and_integrates_to_one():
    x = toy("eight_gaussians", 200, seed=1).double() + 0.5
    parts = [stats.multivariate_normal([c.real, c.imag], 0.1).pdf(x.numpy()) for c in eight_centres()]
    torch.testing.assert_close(
        toy_log_prob("eight_gaussians", x).numpy(), np.log(np.mean(parts, axis=0)), rtol=1e-9, atol=1e-9
    )
    # The trapezoid rule is exact to rounding for a Gaussian resolved this well and cut this far out.
    axis = torch.linspace(-9, 9, 361, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
    mass = toy_log_prob("eight_gaussians", grid).exp().sum() * 0.05**2
    assert abs(float(mass) - 1) < 1e-9


def test_checkerboard_is_uniform_on_the_dark_squares():
    draws = points("checkerboard")
    for own in draws.T:
        require_distribution(own, stats.uniform(-4, 8).cdf)
    counts, _, _ = np.histogram2d(*draws.T, bins=16, range=[[-4, 4], [-4, 4]])
    column, row = np.indices((16, 16)) // 4
    dark = (column + row) % 2 == 0
    assert counts[~dark].sum() == 0
    assert stats.chisquare(counts[dark]).pvalue > ALARM


def test_density_of_the_checkerboard_integrates_to_one_and_holds_every_draw():
    axis = torch.arange(-5, 5, 0.25, dtype=torch.float64) + 0.125
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
    assert abs(float(toy_log_prob("checkerboard", grid).exp().sum()) * 0.25**2 - 1) < 1e-12
    # E 1 / p = the area of the dark squares; a draw outside of them would make it infinite.
    assert abs(float((-toy_log_prob("checkerboard", toy("checkerboard", COUNT))).exp().mean()) - 32) < 1e-3


def test_pinwheel_has_its_radii_its_five_arms_and_its_sense_of_rotation():
    draws = points("pinwheel")
    z = (draws[:, 0] + 1j * draws[:, 1]) / 2
    r, radius = middles(stats.norm(1, 0.3), 2000), np.linspace(0, 3, 151)
    inside = 1 - 2 * stats.norm.sf(np.sqrt(np.maximum(radius[:, None] ** 2 - r**2, 0)) / 0.1)
    inside = (inside * (np.abs(r) < radius[:, None])).mean(axis=1)
    require_distribution(np.abs(z), lambda v: np.interp(v, radius, inside))
    for power in range(1, 5):
        require_mean(z**power, 0)
    # z^5 no longer knows the arm: E z^5 = E exp(5i e^r / 4) (r + is)^5, where E s^2 = 0.01 and E s^4 = 3 * 0.01^2.
    r = middles(stats.norm(1, 0.3), 200_000)
    fifth = np.exp(1.25j * np.exp(r)) * (r**5 - 10 * r**3 * 0.01 + 5 * r * 3 * 0.01**2)
    require_mean(z**5, complex(fifth.mean()))


def test_spirals_have_their_radii_their_two_arms_and_their_sense_of_rotation():
    draws = points("spirals")
    z = draws[:, 0] + 1j * draws[:, 1]
    turn = 3 * np.pi
    radius = np.linspace(0, 4, 201)
    t = np.sqrt(middles(stats.uniform(), 2000)) * turn
    inside = stats.rice.cdf(radius[:, None] / 0.1, t / 0.3).mean(axis=1)
    require_distribution(np.abs(z), lambda v: np.interp(v, radius, inside))
    require_mean(z, 0)
    # The noise is round, so E z^2 = E (t / 3)^2 exp(2it).
    parts = [
        integrate.quad(lambda v, f=f: v * v / 9 * f(2 * v) * 2 * v / turn**2, 0, turn)[0] for f in (np.cos, np.sin)
    ]
    require_mean(z**2, complex(*parts))


@pytest.mark.parametrize("name", TOYS)
def test_a_row_depends_on_the_seed_and_its_number_only(name):
    many = toy(name, 3000, seed=5)
    assert torch.equal(toy(name, 7, seed=5), many[:7])
    assert not torch.equal(toy(name, 7, seed=6), many[:7])
    assert len(torch.unique(many, dim=0)) == 3000
