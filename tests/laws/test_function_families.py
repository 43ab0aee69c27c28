"""E1: families of functions that are no Gaussian processes.

Oracles: scipy's solver of differential equations; the binomial law of pure death and the geometric law of pure birth, one by one in closed
form; uniform phases; scipy's rotation of pictures by quarter turns (numpy).
"""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import solve_ivp

from pushforward.parts.data import lotka_volterra, oscillators, predator_prey, rotating_digits, sawtooth

BUDGET = 1e-5


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)


def test_populations_solve_their_equation():
    a, b, c, d = rates = (2 / 3, 4 / 3, 1.0, 0.8)
    data = lotka_volterra(2, points=12, high=15.0, rates=rates, seed=1)
    for x, y in zip(data.x[..., 0].numpy(), data.y.numpy()):
        # Run the equation backwards from one observation, then forwards through the others: u(0) = 2 v(0) in (0.5, 2).
        field = lambda t, s: [a * s[0] - b * s[0] * s[1], d * s[0] * s[1] - c * s[1]]  # noqa: E731
        first = solve_ivp(field, (x[0], 0), y[0], rtol=1e-11, atol=1e-12).y[:, -1]
        assert first[0] == pytest.approx(2 * first[1], abs=1e-6)
        assert 0.25 <= first[1] <= 1
        path = solve_ivp(field, (0, 15), first, rtol=1e-11, atol=1e-12, dense_output=True).sol
        np.testing.assert_allclose(y, path(x).T, atol=1e-6)


def test_pure_death_is_binomial_and_pure_birth_is_negative_binomial():
    # Predators only die, at rate r: each is alive at t with probability exp(-r t). Prey are only born: the law of Yule.
    data = predator_prey(3000, points=1, high=2.0, rates=(0.0, 0.5, 0.7, 0.0), start=(30, 4), survive=False, seed=2)
    t, (x, y) = data.x[:, 0, 0].numpy(), data.y[:, 0].numpy().T
    u = np.random.default_rng(0).uniform(size=(2, len(t)))  # between the steps of a discrete law, at random
    dead, born = stats.binom(30, np.exp(-0.5 * t)), stats.nbinom(4, np.exp(-0.7 * t))
    for law, value, own in ((dead, x, u[0]), (born, y - 4, u[1])):
        assert stats.kstest(law.cdf(value - 1) + own * law.pmf(value), "uniform").pvalue > BUDGET


def test_a_prey_that_is_eaten_and_a_predator_that_is_born_are_as_likely():
    # With r1 = r4 alone every event raises or lowers one of two counts, each with probability one half, whatever they are.
    data = predator_prey(2000, points=1, high=0.02, rates=(0.01, 0.0, 0.0, 0.01), start=(40, 60), survive=False, seed=3)
    born, eaten = data.y[:, 0, 0] - 40, 60 - data.y[:, 0, 1]
    assert min(born.min(), eaten.min()) >= 0
    count = int((born + eaten).sum())
    assert stats.binomtest(int(born.sum()), count).pvalue > BUDGET
    # About 2 * 24 events a unit of time, for 0.01 units in the mean; the counts change little.
    assert count / 2000 == pytest.approx(0.48, abs=0.1)


def test_a_saw_has_its_slope_and_a_uniform_phase():
    data = sawtooth(2000, points=2, low=-1e-3, high=1e-3, seed=4)
    assert stats.kstest(data.y[:, 0, 0].numpy(), "uniform").pvalue > BUDGET
    slope = ((data.y[:, 1] - data.y[:, 0]) / (data.x[:, 1] - data.x[:, 0]))[:, 0].numpy()
    slope = slope[np.abs(slope) < 10]  # the others have a jump between the points
    assert len(slope) > 1900
    assert stats.kstest(np.abs(slope), stats.uniform(3, 2).cdf).pvalue > BUDGET
    assert stats.binomtest(int((slope > 0).sum()), len(slope)).pvalue > BUDGET


def test_damped_waves_solve_the_equation_of_an_oscillator():
    # y'' + 2 k y' + (k^2 + w^2) y = 0, by finite differences of the draws.
    k, w, h = 0.5, 1.3, 1e-3
    three = [
        oscillators(50, points=6, low=1 + i * h, high=4 + i * h, decay=k, frequency=w, seed=5).y for i in (-1, 0, 1)
    ]
    residual = (
        (three[2] - 2 * three[1] + three[0]) / h**2 + 2 * k * (three[2] - three[0]) / (2 * h) + (k**2 + w**2) * three[1]
    )
    assert residual.abs().max() < 1e-5


def test_quarter_turns_of_digits_are_numpys():
    data = rotating_digits(frames=4)
    assert data.x[0, :, 0].tolist() == [0, 0.25, 0.5, 0.75]
    pictures = data.y.reshape(-1, 4, 8, 8).numpy()
    for k in range(4):
        np.testing.assert_allclose(pictures[:, k], np.rot90(pictures[:, 0], k, axes=(1, 2)), atol=1e-6)
