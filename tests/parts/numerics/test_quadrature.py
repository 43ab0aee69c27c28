"""Quadrature. Oracles: numpy's polynomials and its Gauss-Legendre points, scipy's adaptive quadrature, Simpson's rule."""

import numpy as np
import pytest
from scipy.integrate import quad

from pushforward.core.errors import ConfigError
from pushforward.parts.numerics.quadrature import clenshaw_curtis, gauss_legendre


@pytest.mark.parametrize("nodes", [2, 3, 4, 5, 8, 9, 40])
def test_it_integrates_polynomials_of_its_degree(nodes):
    points, weights = map(np.array, clenshaw_curtis(nodes))
    assert points[0] == 0
    assert points[-1] == 1
    assert (np.diff(points) > 0).all()
    assert (weights > 0).all()
    for degree in range(nodes):
        p = np.polynomial.Chebyshev.basis(degree, domain=[0, 1])
        assert abs(weights @ p(points) - (p.integ()(1) - p.integ()(0))) < 1e-14


def test_three_points_are_simpsons_rule():
    assert clenshaw_curtis(3)[1] == pytest.approx([1 / 6, 4 / 6, 1 / 6], abs=1e-15)


@pytest.mark.parametrize(
    "f",
    [np.exp, lambda s: 1 / (1 + 25 * (s - 0.4) ** 2), lambda s: np.exp(np.tanh(5 * s - 2))],
    ids=["exp", "Runge", "steps"],
)
def test_the_error_falls_geometrically(f):
    exact = quad(f, 0, 1, epsabs=1e-13)[0]
    errors = []
    for nodes in (10, 20, 40):
        points, weights = map(np.array, clenshaw_curtis(nodes))
        errors.append(abs(weights @ f(points) - exact))
    assert errors[1] < max(errors[0] / 30, 1e-13)
    assert errors[2] < max(errors[1] / 300, 1e-13)


@pytest.mark.parametrize("nodes", [1, 2, 7, 49])
def test_the_points_of_gauss_are_those_of_numpy(nodes):
    points, weights = np.polynomial.legendre.leggauss(nodes)
    ours = gauss_legendre(nodes)
    np.testing.assert_allclose(ours[0], (points + 1) / 2, rtol=0, atol=1e-14)
    np.testing.assert_allclose(ours[1], weights / 2, rtol=0, atol=1e-14)


def test_one_node_is_refused():
    with pytest.raises(ConfigError, match="at least 2 nodes"):
        clenshaw_curtis(1)
    with pytest.raises(ConfigError, match="at least 1 node"):
        gauss_legendre(0)
