"""The hand-written gradient of the affine map. Oracles: finite differences, automatic differentiation of the formula."""

import math

import pytest
import torch

from pushforward.parts.bijections import AffineTransformer


def inputs():
    generator = torch.Generator().manual_seed(0)
    return tuple(
        torch.randn(*s, dtype=torch.float64, generator=generator).requires_grad_() for s in ((4, 3), (2, 4, 3))
    )


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize("limit", [3.0, math.inf])
def test_first_and_second_derivatives(limit, direction):
    apply = getattr(AffineTransformer(limit), direction)
    assert torch.autograd.gradcheck(apply, inputs())
    assert torch.autograd.gradgradcheck(apply, inputs())
    assert torch.autograd.gradcheck(lambda z, p: apply(z, p)[1], inputs())  # the log derivative alone
    assert torch.autograd.gradcheck(lambda z, p: apply(z, p)[0], inputs())


def test_forward_mode_and_rows():
    z, p = (t.detach() for t in inputs())

    def formula(z, p):
        s = 3 * torch.tanh(p[1] / 3)
        return z * s.exp() + p[0], s

    apply = AffineTransformer().forward
    dots = (torch.ones_like(z), torch.ones_like(p))
    torch.testing.assert_close(torch.func.jvp(apply, (z, p), dots), torch.func.jvp(formula, (z, p), dots))
    each = torch.func.vmap(torch.func.grad(lambda z, p: apply(z, p)[0].sum(), argnums=1), (0, 1), 1)(z, p)
    theirs = torch.func.vmap(torch.func.grad(lambda z, p: formula(z, p)[0].sum(), argnums=1), (0, 1), 1)(z, p)
    torch.testing.assert_close(each, theirs)


def test_values_are_the_same_without_a_graph():
    z, p = inputs()
    with torch.no_grad():
        alone = AffineTransformer().inverse(z, p)
    for a, b in zip(alone, AffineTransformer().inverse(z, p)):
        assert torch.equal(a, b)
