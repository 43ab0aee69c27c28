"""Newton's method on a contraction. Oracles: linear systems solved by LAPACK, scipy's root finder, gradcheck."""

import numpy as np
import pytest
import torch
from scipy.optimize import root

from pushforward.core.errors import ConvergenceError
from pushforward.parts.numerics.contraction import invert_contraction


def matrix(d: int, size: float) -> torch.Tensor:
    m = torch.randn(d, d, dtype=torch.float64, generator=torch.Generator().manual_seed(d))
    return m * size / torch.linalg.matrix_norm(m, 2)


def bent(m):
    """g(z) = sin(z m'), a contraction for |m| < 1, and its transposed Jacobian."""
    return lambda z: torch.sin(z @ m.T), lambda z: (torch.sin(z @ m.T), m.T * torch.cos(z @ m.T)[:, None, :])


@pytest.mark.parametrize("d", [1, 2, 5])
def test_a_linear_contraction_is_a_linear_system(d):
    m, x = matrix(d, 0.95), torch.randn(7, d, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    z, solved, _ = invert_contraction(lambda z: z @ m.T, lambda z: (z @ m.T, m.T.expand(len(z), d, d)), x, 0.95)
    torch.testing.assert_close(
        z, torch.linalg.solve(torch.eye(d, dtype=torch.float64) + m, x.T).T, rtol=1e-12, atol=1e-13
    )
    assert solved.iterations <= 5  # one, and what rounding leaves
    assert solved.residual < 1e-13


@pytest.mark.parametrize("d", [1, 2, 5])
def test_it_finds_what_scipy_finds_in_few_steps(d):
    g, jacobian = bent(matrix(d, 0.99))
    x = 3 * torch.randn(6, d, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    z, solved, _ = invert_contraction(g, jacobian, x, 0.99)
    for row, target in zip(z.numpy(), x.numpy()):
        expected = root(lambda v, t=target: v + g(torch.from_numpy(v)[None])[0].numpy() - t, target, tol=1e-13).x
        np.testing.assert_allclose(row, expected, rtol=1e-9, atol=1e-10)
    assert solved.iterations < 30


@pytest.mark.parametrize("d", [1, 2, 3])
def test_gradients_are_those_of_the_implicit_function_theorem(d):
    m = matrix(d, 0.8).requires_grad_()
    x = torch.randn(3, d, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_()
    assert torch.autograd.gradcheck(lambda m, x: invert_contraction(*bent(m), x, 0.8)[0], (m, x))


def test_a_row_does_not_depend_on_the_others():
    g, jacobian = bent(matrix(3, 0.9).float())
    x = torch.linspace(-4, 4, 15).reshape(5, 3)
    together = invert_contraction(g, jacobian, x, 0.9)[0]
    alone = torch.cat([invert_contraction(g, jacobian, row[None], 0.9)[0] for row in x])
    torch.testing.assert_close(together, alone, rtol=2e-6, atol=2e-6)


def test_what_does_not_contract_is_refused():
    with pytest.raises(ConvergenceError, match="a Lipschitz constant at or above 1"):
        invert_contraction(
            lambda z: -z + torch.cos(9 * z), lambda z: (-z + torch.cos(9 * z), (-1 - 9 * torch.sin(9 * z))[:, :, None]),
            torch.tensor([[5.0]]), 0.9,
        )  # fmt: skip


def test_no_rows_have_no_roots():
    g, jacobian = bent(matrix(2, 0.5))
    assert invert_contraction(g, jacobian, torch.zeros(0, 2, dtype=torch.float64), 0.5)[0].shape == (0, 2)
