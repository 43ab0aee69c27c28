"""Fixed points. Oracles: linear systems solved by LAPACK, gradcheck."""

import pytest
import torch

from pushforward.core.errors import ConvergenceError
from pushforward.parts.numerics import fixed_point


def matrix(scale: float) -> torch.Tensor:
    m = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return m * scale / torch.linalg.matrix_norm(m, 2)


def test_the_fixed_point_of_a_linear_map_solves_its_system():
    m, b = matrix(0.9), torch.randn(7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    z, solved = fixed_point(lambda z: z @ m.T + b, torch.zeros_like(b))
    torch.testing.assert_close(
        z, torch.linalg.solve(torch.eye(4, dtype=torch.float64) - m, b.T).T, rtol=1e-12, atol=1e-13
    )
    assert 10 < solved.iterations < 1000
    assert solved.residual < 1e-13


@pytest.mark.parametrize("kind", ["contraction", "triangular"])
def test_gradients_are_those_of_the_fixed_point(kind):
    # A strictly triangular map has a fixed point whatever its size: the iteration ends after as many steps as there are places.
    m = matrix(0.8) if kind == "contraction" else (10 * matrix(1.0)).tril(-1)
    m.requires_grad_()
    b = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()

    def solve(m, b):
        return fixed_point(lambda z: torch.sin(z @ m.T) + b, torch.zeros_like(b))[0]

    assert torch.autograd.gradcheck(solve, (m, b))
    with torch.no_grad():
        _, solved = fixed_point(lambda z: torch.sin(z @ m.T) + b, torch.zeros_like(b))
    assert kind == "contraction" or solved.iterations <= 6


def test_a_row_does_not_depend_on_the_others():
    b = torch.linspace(-1, 1, 9)[:, None]
    together = fixed_point(lambda z: 0.5 * torch.sin(z) + b, torch.zeros(9, 1))[0]
    alone = [fixed_point(lambda z, i=i: 0.5 * torch.sin(z) + b[i : i + 1], torch.zeros(1, 1))[0] for i in range(9)]
    assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_what_does_not_contract_is_refused(factor):
    with pytest.raises(ConvergenceError, match="a Lipschitz constant at or above 1"):
        fixed_point(lambda z: factor * z + 1, torch.zeros(2, 1), most=300)
    with pytest.raises(ConvergenceError, match="expected the iteration to come to rest"):
        fixed_point(lambda z: z * float("nan"), torch.zeros(2, 1))
