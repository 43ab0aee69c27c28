"""Quadrature on [0, 1]: Clenshaw-Curtis, with both ends, and Gauss-Legendre, with the fewest points.

Clenshaw-Curtis integrates the polynomial through the values at Chebyshev points: with N + 1 points
s_j = (1 - cos(pi j / N)) / 2 it is exact for polynomials of degree N. Gauss-Legendre with N points is exact for degree
2 N - 1. Weights are positive, and for analytic integrands the errors fall geometrically (Clenshaw and Curtis 1960,
https://doi.org/10.1007/BF01386223; Trefethen 2008, https://doi.org/10.1137/060659831).
"""

import math

import numpy as np

from pushforward.core.errors import ConfigError


def clenshaw_curtis(nodes: int) -> tuple[list[float], list[float]]:
    """Points in [0, 1], increasing, with ends 0 and 1, and the weights of `nodes` points, which sum to 1.

    Raises `ConfigError` for fewer than 2 nodes.

    >>> points, weights = clenshaw_curtis(3)
    >>> [round(s, 6) for s in points], [round(w, 6) for w in weights]
    ([0.0, 0.5, 1.0], [0.166667, 0.666667, 0.166667])
    """
    if nodes < 2:
        raise ConfigError(f"expected at least 2 nodes, got {nodes}; 32 integrate smooth functions to many digits")
    N = nodes - 1
    points = [math.sin(math.pi * j / (2 * N)) ** 2 for j in range(nodes)]
    weights = []
    for j in range(nodes):
        # The cosine series of the integrand, integrated term by term; the last even term counts half.
        terms = [
            (1 if 2 * k == N else 2) / (4 * k * k - 1) * math.cos(2 * math.pi * k * j / N) for k in range(1, N // 2 + 1)
        ]
        weights.append((1 - math.fsum(terms)) / (2 * N if j in (0, N) else N))
    return points, weights


def gauss_legendre(nodes: int) -> tuple[list[float], list[float]]:
    """Points in (0, 1), increasing, and the weights of `nodes` points, which sum to 1.

    The points are the eigenvalues of the Jacobi matrix of the Legendre polynomials, the weights come from its
    eigenvectors (Golub and Welsch 1969, https://doi.org/10.1090/S0025-5718-69-99647-1). Raises `ConfigError` for no nodes.

    >>> points, weights = gauss_legendre(2)
    >>> [round(s, 6) for s in points], [round(w, 6) for w in weights]
    ([0.211325, 0.788675], [0.5, 0.5])
    """
    if nodes < 1:
        raise ConfigError(f"expected at least 1 node, got {nodes}; 20 integrate smooth functions to many digits")
    k = np.arange(1, nodes)
    beside = k / np.sqrt(4 * k * k - 1)
    values, vectors = np.linalg.eigh(np.diag(beside, 1) + np.diag(beside, -1))
    return ((values + 1) / 2).tolist(), (vectors[0] ** 2).tolist()
