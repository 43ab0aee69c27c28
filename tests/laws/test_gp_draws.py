"""E1: draws of a process have the covariance that its name promises.

Oracles: the kernels of scikit-learn, min(s, t) for Brownian motion, quadrature for the sines. Every element of an
empirical covariance is measured in its own standard errors, with a false-alarm budget of 1e-5 for all of them.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.gaussian_process import kernels

from pushforward.parts.data import covariance_matrix, gp_draws, sines

BUDGET = 1e-5
LENGTH, PERIOD = 0.6, 1.7
ORACLES = {
    "rbf": kernels.RBF(LENGTH),
    "matern52": kernels.Matern(LENGTH, nu=2.5),
    "matern12": kernels.Matern(LENGTH, nu=0.5),
    "periodic": kernels.ExpSineSquared(LENGTH, PERIOD),
    "rbf+periodic": kernels.RBF(LENGTH) + kernels.ExpSineSquared(LENGTH, PERIOD),
    "brownian": lambda x: np.minimum(x, x.T),
}
every_kernel = pytest.mark.parametrize("name", ORACLES)


def all_ordinary(z: np.ndarray) -> bool:
    return bool((np.abs(z) < stats.norm.isf(BUDGET / 2 / z.size)).all())


@every_kernel
def test_covariance_of_many_draws_is_the_kernel_matrix(name):
    n, noise = 20_000, 0.3
    x = torch.linspace(0.1, 2.3, 12)[:, None]
    y = gp_draws(name, n, x=x, length_scale=LENGTH, period=PERIOD, noise=noise, seed=1).y[..., 0].double().numpy()
    expected = ORACLES[name](x.double().numpy()) + noise**2 * np.eye(12)
    # For a Gaussian the product y_i y_j has variance K_ii K_jj + K_ij^2.
    error = ((np.outer(expected.diagonal(), expected.diagonal()) + expected**2) / n) ** 0.5
    assert all_ordinary(((y.T @ y / n - expected) / error)[np.triu_indices(12)])
    assert all_ordinary(y.mean(0) / (expected.diagonal() / n) ** 0.5)


@every_kernel
def test_draws_at_points_of_their_own_are_white_once_whitened(name):
    data = gp_draws(name, 800, points=15, low=0.0, length_scale=LENGTH, period=PERIOD, noise=0.2, seed=2)
    white = []
    for x, y in zip(data.x.double().numpy(), data.y.double().numpy()):
        white.append(np.linalg.solve(np.linalg.cholesky(ORACLES[name](x) + 0.04 * np.eye(15)), y[:, 0]))
    e = np.stack(white)
    assert stats.kstest(e.ravel(), "norm").pvalue > BUDGET
    assert all_ordinary(((e.T @ e)[np.triu_indices(15, 1)]) / 800**0.5)
    uniform = stats.uniform(0.0, 2.0).cdf
    assert stats.kstest(data.x.numpy().ravel(), uniform).pvalue > BUDGET


@every_kernel
def test_kernels_are_those_of_scikit_learn_in_any_dimension(name):
    random = np.random.default_rng(0)
    x = random.uniform(0, 3, size=(30, 1 if name == "brownian" else 3))
    ours = covariance_matrix(name, torch.as_tensor(x), torch.as_tensor(x), length_scale=LENGTH, period=PERIOD)
    np.testing.assert_allclose(ours.numpy(), ORACLES[name](x), rtol=1e-10, atol=1e-12)


def test_sines_have_the_covariance_of_their_family():
    n, noise, (a_low, a_high), (b_low, b_high) = 20_000, 0.1, (-1.0, 2.0), (-0.5, 1.5)
    data = sines(n, points=2, amplitude=(a_low, a_high), shift=(b_low, b_high), noise=noise, seed=3)
    x, y = data.x[..., 0].double().numpy(), data.y[..., 0].double().numpy()
    nodes, weights = np.polynomial.legendre.leggauss(20)
    a, b = a_low + (a_high - a_low) * (nodes + 1) / 2, b_low + (b_high - b_low) * (nodes + 1) / 2
    wave = np.sin(x[..., None] - b)
    mean = (a @ weights / 2) * (wave @ weights / 2)
    square, product = (
        (a**2 @ weights / 2) * (wave**2 @ weights / 2),
        (a**2 @ weights / 2) * (wave.prod(1) @ weights / 2),
    )
    # Any weighting of the residuals by the points must average to zero: the plain mean and some Fourier modes.
    modes = (np.ones(n), np.cos(x[:, 0]), np.sin(x[:, 0]), np.cos(x[:, 0] - x[:, 1]), np.cos(x[:, 0] + x[:, 1]))
    for mode in modes:
        for residual in (y[:, 0] - mean[:, 0], y[:, 0] ** 2 - square[:, 0] - noise**2, y.prod(1) - product):
            weighted = mode * residual
            assert abs(weighted.mean()) / (weighted.std() / math.sqrt(n)) < stats.norm.isf(BUDGET / 2 / 15)
