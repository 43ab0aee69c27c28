"""D6: the paths through observed points are the splines of scipy and numpy, and know no more of what is to come than they declare.

Oracles: scipy's CubicSpline (natural) and CubicHermiteSpline, numpy's interp and solve, finite differences.
"""

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicHermiteSpline, CubicSpline
from torch import Tensor

from pushforward.parts.diffeq.interpolation import hermite, linear, natural_cubic, rectilinear
from pushforward.parts.diffeq.interpolation.tridiagonal import solve_tridiagonal

KINDS = {"linear": linear, "hermite": hermite, "natural": natural_cubic, "rectilinear": rectilinear}
TIGHT = {"rtol": 1e-9, "atol": 1e-9}


def points(
    n: int = 4, instants: int = 9, channels: int = 3, seed: int = 0, shortest: float = 0.02
) -> tuple[Tensor, Tensor]:
    """Irregular times of each row, gaps from `shortest` to 2, and numbers without any smoothness."""
    random = torch.Generator().manual_seed(seed)
    gaps = shortest * (2 / shortest) ** torch.rand(n, instants, generator=random, dtype=torch.float64)
    return gaps.cumsum(1) - 3, torch.randn(n, instants, channels, generator=random, dtype=torch.float64)


def places(t: Tensor, count: int = 40) -> Tensor:
    """Times within the range of each row, its ends and knots among them."""
    random = torch.Generator().manual_seed(1)
    part = torch.rand(len(t), count, generator=random, dtype=t.dtype)
    return torch.cat([t, t[:, :1] + part * (t[:, -1:] - t[:, :1])], 1)


def compare(path, curves, when: Tensor, derivative: bool = True) -> None:
    """`curves[row][channel]` has scipy's interface."""
    for row, channels in enumerate(curves):
        for channel, curve in enumerate(channels):
            own = when[row].numpy()
            np.testing.assert_allclose(path.evaluate(when)[row, :, channel], curve(own), **TIGHT)
            if derivative:
                np.testing.assert_allclose(path.derivative(when)[row, :, channel], curve(own, 1), **TIGHT)


@pytest.mark.parametrize("instants", [2, 3, 9, 64])
def test_natural_cubic_is_that_of_scipy(instants):
    t, x = points(instants=instants)
    curves = [[CubicSpline(a, c, bc_type="natural") for c in b.T] for a, b in zip(t.numpy(), x.numpy())]
    compare(natural_cubic(t, x), curves, places(t))


def test_natural_cubic_passes_through_what_each_channel_has():
    t, x = points(n=5, instants=30, channels=4)
    observed = torch.rand(x.shape, generator=torch.Generator().manual_seed(2)) < 0.3
    observed[:, 0] = observed[:, -1] = True
    observed[0, 1:-1, 0] = False  # two observations: a line
    curves = [[CubicSpline(a[m], c[m], bc_type="natural") for c, m in zip(b.T, o.T)]
              for a, b, o in zip(t.numpy(), x.numpy(), observed.numpy())]  # fmt: skip
    compare(natural_cubic(t, x, observed), curves, places(t))
    with_nan = natural_cubic(t, x.masked_fill(~observed, torch.nan))
    assert torch.equal(with_nan.coefficients, natural_cubic(t, x, observed).coefficients)


def test_natural_cubic_holds_the_first_and_the_last_value():
    t, x = points(n=1, instants=12, channels=3)
    observed = torch.zeros_like(x, dtype=torch.bool)
    observed[0, [3, 5, 6, 8], 0] = True
    observed[0, 7, 1] = True  # one observation: constant; none: zero
    held = x[0, :, 0].clone()
    held[:3], held[9:] = x[0, 3, 0], x[0, 8, 0]
    known = [0, 1, 2, 3, 5, 6, 8, 9, 10, 11]
    spline = CubicSpline(t[0, known].numpy(), held[known].numpy(), bc_type="natural")
    path, when = natural_cubic(t, x, observed), places(t)
    compare(path, [[spline]], when)
    assert torch.allclose(path.evaluate(when)[..., 1], x[0, 7, 1].expand_as(when), **TIGHT)
    assert path.evaluate(when)[..., 2].abs().max() == 0


def test_hermite_is_that_of_scipy_with_backward_differences():
    t, x = points()
    curves = []
    for a, b in zip(t.numpy(), x.numpy()):
        slopes = np.diff(b, axis=0) / np.diff(a)[:, None]
        slopes = np.concatenate([slopes[:1], slopes])
        curves.append([CubicHermiteSpline(a, b[:, i], slopes[:, i]) for i in range(b.shape[1])])
    compare(hermite(t, x), curves, places(t))


def test_linear_is_that_of_numpy_and_passes_gaps_straight():
    t, x = points(instants=20)
    observed = torch.rand(x.shape, generator=torch.Generator().manual_seed(3)) < 0.4
    observed[:, 4] = True
    curves = [[lambda s, a=a, c=c, m=m: np.interp(s, a[m], c[m]) for c, m in zip(b.T, o.T)]
              for a, b, o in zip(t.numpy(), x.numpy(), observed.numpy())]  # fmt: skip
    compare(linear(t, x, observed), curves, places(t), derivative=False)


def test_rectilinear_moves_time_first():
    t, x = points(channels=2)
    x[..., 0] = t
    path = rectilinear(t, x, leading=1)
    for row, (a, b) in enumerate(zip(t.numpy(), x.numpy())):
        corners = np.sort(np.concatenate([a, (a[1:] + a[:-1]) / 2]))
        when = places(t)[row]
        clock, value = path.evaluate(when.expand(len(t), -1))[row].T
        np.testing.assert_allclose(clock, np.interp(when, corners, np.repeat(a, 2)[1:]), **TIGHT)
        np.testing.assert_allclose(value, np.interp(when, corners, np.repeat(b[:, 1], 2)[:-1]), **TIGHT)


@pytest.mark.parametrize("fill", ["between", "forward"])
@pytest.mark.parametrize("kind", ["linear", "hermite", "natural"])
def test_slopes_are_the_derivative_and_moves_are_slopes(kind, fill):
    t, x = points()
    observed = torch.rand(x.shape, generator=torch.Generator().manual_seed(4)) < 0.6
    path = KINDS[kind](t, x, observed, fill=fill)
    middle = (t[:, :-1] + 0.3 * t.diff(dim=1)).requires_grad_()
    value = path.evaluate(middle)
    for channel in range(3):
        (slope,) = torch.autograd.grad(value[..., channel].sum(), middle, retain_graph=True)
        torch.testing.assert_close(path.derivative(middle)[..., channel], slope)
    moves = path.moves((0.0, 0.6), steps=2)  # 0.3 of a piece is 0.6 of its first half
    assert moves.shape == (2, 16, 4, 3)
    torch.testing.assert_close(
        moves[1, ::2], (path.derivative(middle) * t.diff(dim=1)[..., None] / 2).transpose(0, 1).detach()
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_padded_row_is_the_row_alone(kind):
    t, x = points(n=2)
    observed = torch.rand(x.shape, generator=torch.Generator().manual_seed(5)) < 0.7
    long_t = torch.cat([t, t[:, -1:].expand(2, 4)], 1)
    pad = torch.zeros(2, 4, 3)
    long = KINDS[kind](long_t, torch.cat([x, pad.double()], 1), torch.cat([observed, pad.bool()], 1))
    alone, when = KINDS[kind](t, x, observed), places(t)
    torch.testing.assert_close(long.evaluate(when), alone.evaluate(when))
    torch.testing.assert_close(long.derivative(when), alone.derivative(when))
    assert long.moves((0.0, 0.5, 1.0))[:, -4:].abs().max() == 0


def depends(path, when: float, x: Tensor) -> Tensor:
    """Which instants the path's second channel at a time depends on, `(instants,)`."""
    value = path.evaluate(torch.full((1,), when, dtype=x.dtype))[0, 1]
    slope = path.derivative(torch.full((1,), when, dtype=x.dtype))[0, 1]
    (to_x,) = torch.autograd.grad(value + 0.37 * slope, x)
    return to_x[0, :, 1] != 0


def test_what_a_path_knows_ahead():
    t = torch.arange(8.0, dtype=torch.float64)[None]
    x = points(1, 8, 2)[1].requires_grad_()
    observed = torch.ones_like(x, dtype=torch.bool)
    observed[0, 3:5, 1] = False  # the second channel is seen at 0, 1, 2, 5, 6, 7
    expected = {
        ("linear", "between", 2.6): [2, 5],
        ("linear", "forward", 2.6): [2],
        ("linear", "forward", 4.6): [2, 5],
        ("hermite", "between", 2.6): [1, 2, 5],
        ("hermite", "forward", 2.6): [1, 2],
        ("hermite", "forward", 4.6): [2, 5],
        ("hermite", "forward", 6.6): [5, 6, 7],
        ("natural", "between", 2.6): [0, 1, 2, 5, 6, 7],
    }
    for (kind, fill, when), instants in expected.items():
        found = depends(KINDS[kind](t, x, observed, fill=fill), when, x).nonzero()[:, 0].tolist()
        assert found == instants, (kind, fill, when)
    for when, instants in ((4.3, [2]), (4.6, [2, 5]), (5.2, [5]), (5.7, [5, 6])):
        assert depends(rectilinear(t, x, observed, leading=1), when, x).nonzero()[:, 0].tolist() == instants
    late = observed.clone()
    late[0, :3, 1] = False  # nothing is known of it before 5
    for kind in ("linear", "hermite", "natural"):
        assert KINDS[kind](t, x, late, fill="forward").evaluate(t[:, 2])[0, 1] == 0 or kind == "natural"
        assert KINDS[kind](t, x, late).evaluate(t[:, 0])[0, 1] == x[0, 5, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_paths_are_differentiable_in_data_and_times(kind):
    t, x = points(n=2, instants=6, channels=2, seed=3)
    observed = torch.rand(x.shape, generator=torch.Generator().manual_seed(6)) < 0.7
    when = t[:, :-1] + 0.4 * t.diff(dim=1)

    def value(t: Tensor, x: Tensor) -> Tensor:
        path = KINDS[kind](t, x, observed)
        return torch.cat([path.evaluate(when), path.derivative(when)], 1)

    assert torch.autograd.gradcheck(value, (t.requires_grad_(), x.requires_grad_()))


@pytest.mark.parametrize("size", [1, 2, 3, 8, 13, 100])
def test_tridiagonal_systems(size):
    random = torch.Generator().manual_seed(size)
    beside = torch.randn(3, size - 1, 2, generator=random, dtype=torch.float64)
    wide = torch.nn.functional.pad(beside.abs(), (0, 0, 1, 1))
    diagonal = 1.01 * (wide[:, 1:] + wide[:, :-1]) + 0.01
    right = torch.randn(3, size, 2, generator=random, dtype=torch.float64)
    found = solve_tridiagonal(diagonal, beside, right)
    for row in range(3):
        for k in range(2):
            matrix = np.diag(diagonal[row, :, k]) + np.diag(beside[row, :, k], 1) + np.diag(beside[row, :, k], -1)
            np.testing.assert_allclose(found[row, :, k], np.linalg.solve(matrix, right[row, :, k]), **TIGHT)
