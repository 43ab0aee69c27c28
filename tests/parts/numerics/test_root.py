"""Roots of increasing functions. Oracles: scipy's brentq, numbers known in closed form, gradcheck."""

import pytest
import torch
from scipy.optimize import brentq

from pushforward.core.errors import ConvergenceError
from pushforward.parts.numerics import monotone_root


def cubic(z):
    return z**3 + z, torch.log(3 * z**2 + 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_roots_are_those_of_brentq(dtype):
    x = torch.tensor([-1e6, -3.0, -1e-7, 0.0, 0.5, 2.0, 1e9], dtype=dtype)
    z, solved = monotone_root(cubic, x)
    expected = [brentq(lambda z, t=t: z**3 + z - t, -2000, 2000, xtol=1e-300) for t in x.double().tolist()]
    torch.testing.assert_close(z, torch.tensor(expected, dtype=dtype), rtol=8 * torch.finfo(dtype).eps, atol=0)
    assert solved.residual <= 8 * torch.finfo(dtype).eps * 1e9


def test_a_function_that_is_flat_in_places():
    # tanh far out has slope 0 in float32: Newton's step is infinite, the bracket is halved.
    def flat(z):
        return 10 * torch.tanh(z - 20) + 1e-3 * z, torch.log(10 / torch.cosh(z - 20) ** 2 + 1e-3)

    x = torch.linspace(-12, 12, 101)
    z, _ = monotone_root(flat, x, guess=torch.zeros(101))
    torch.testing.assert_close(flat(z)[0], x, rtol=0, atol=2e-5)


def test_gradients_are_those_of_the_implicit_function_theorem():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, dtype=torch.float64, generator=generator).requires_grad_()
    a = torch.rand(5, dtype=torch.float64, generator=generator).add(0.5).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, a: monotone_root(lambda z: (a * z**3 + z, torch.log(3 * a * z**2 + 1)), x)[0], (x, a)
    )


def test_a_root_does_not_depend_on_the_others():
    x = torch.linspace(-50, 50, 33)
    together = monotone_root(cubic, x)[0]
    alone = torch.cat([monotone_root(cubic, x[i : i + 1])[0] for i in range(33)])
    assert torch.equal(together, alone)


@pytest.mark.parametrize("target", [2.0, float("nan"), float("inf")])
def test_what_the_map_takes_nowhere_is_refused(target):
    with pytest.raises(ConvergenceError, match="expected numbers that the map takes"):
        monotone_root(lambda z: (torch.tanh(z), -2 * torch.cosh(z).log()), torch.tensor([0.5, target]))


def test_no_targets_have_no_roots():
    assert monotone_root(cubic, torch.zeros(0, 3))[0].shape == (0, 3)
