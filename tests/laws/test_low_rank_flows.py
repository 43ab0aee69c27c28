"""B5, B6: planar, radial and Sylvester layers are invertible for every value of their parameters, and bend what they should.

Oracles: determinants of the full D x D matrix by LAPACK, roots by scipy, dot products, a known mixture whose modes are
counted on a grid.
"""

import numpy as np
import pytest
import torch
from scipy import optimize
from torch import Tensor

import pushforward as pf
from pushforward.core.bijection import Bijection
from pushforward.parts.bijections import Planar, Radial, Sylvester
from pushforward.parts.bijections.low_rank import above_minus_one

KINDS = ["orthogonal", "householder", "triangular"]
DTYPES = [torch.float32, torch.float64]


def stirred(part: Bijection, scale: float, seed: int = 0) -> Bijection:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return part


def layers(dtype: torch.dtype, scale: float) -> dict[str, Bijection]:
    torch.manual_seed(0)
    made = {"planar": Planar(4), "radial": Radial(4), "planar on a line": Planar(1), "radial on a line": Radial(1)}
    made |= {kind: Sylvester(4, 3, kind, reflections=2) for kind in KINDS}
    return {name: stirred(part, scale).to(dtype) for name, part in made.items()}


class TestInvertibleForEveryParameter:
    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    @pytest.mark.parametrize("scale", [0.1, 1.0, 30.0, 1e4])
    def test_the_products_stay_above_minus_one(self, scale, dtype):
        for seed in range(50):
            for part in (Planar(3), Sylvester(3, 2)):
                *_, product = stirred(part, scale, seed).to(dtype).constrained()
                assert (product > -1).all()

    @pytest.mark.parametrize("scale", [0.1, 1.0, 30.0, 1e4])
    def test_the_products_are_dot_products(self, scale):
        worst = 0.0
        for seed in range(50):
            u, w, _, product = stirred(Planar(3), scale, seed).double().constrained()
            dot = (u * w).sum()
            rounding = 8 * torch.finfo(torch.float64).eps * u.norm() * w.norm()
            assert abs(dot - product) <= rounding + 1e-15
            assert dot > -1
            _, outer, inner, _, product = stirred(Sylvester(3, 2), scale, seed).double().constrained()
            torch.testing.assert_close((outer * inner).diagonal(dim1=1, dim2=2), product)
            worst = min(worst, dot.item())
        if scale > 1:
            assert worst < -0.9  # the constraint was at work

    def test_parameters_set_against_the_constraint(self):
        w = torch.tensor([1e4, -1e4, 1e4])
        for part, start in ((Planar(3), torch.cat([-1e4 * w, w, torch.zeros(1)])), (Radial(3), -1e4 * torch.ones(5))):
            with torch.no_grad():
                part.numbers.start.copy_(start)
            z = torch.randn(20, 3, requires_grad=True)
            for direction in (part.forward, part.inverse):
                out, log_det = direction(z)
                gradients = torch.autograd.grad(out.sum() + log_det.sum(), [z, part.numbers.start])
                assert all(torch.isfinite(t).all() for t in (out, log_det, *gradients))

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_the_constraint_is_smooth_increasing_and_zero_at_zero(self, dtype):
        ends = torch.logspace(-30, 30, 601, dtype=torch.float64)
        a = torch.cat([-ends.flip(0), torch.zeros(1), ends]).to(dtype).requires_grad_()
        m, ratio = above_minus_one(a)
        assert m[601] == 0
        assert (m.diff() >= 0).all()
        assert (m > -1).all()
        assert (m[601:] <= a[601:]).all()
        torch.testing.assert_close(ratio * a, m)
        # The ratio falls from its value at -0 to 0 on the left, and rises to 1 on the right, without a jump at 0.
        assert (ratio.diff() >= -4 * torch.finfo(dtype).eps).all()
        slopes = torch.autograd.grad(m.sum() + ratio.sum(), a)[0]
        assert torch.isfinite(slopes).all()
        near = torch.tensor([-2e-3, -1e-3, -1e-8, 0.0, 1e-8, 1e-3, 2e-3], dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(above_minus_one, near)

    @pytest.mark.parametrize("size", [0.0, 1e-30, 1e-10])
    def test_a_planar_layer_without_direction_is_a_shift(self, size):
        part = stirred(Planar(3), 1.0)
        with torch.no_grad():
            part.numbers.start[3:6] *= size
        v, b = part.numbers.start[:3], part.numbers.start[6]
        z = torch.randn(5, 3)
        x, log_det = part(z)
        assert log_det.abs().max() <= 1e-9
        assert ((x - z) - (x - z)[0]).abs().max() < 1e-6
        assert (x - z).norm(dim=1).max() <= v.norm() * b.tanh().abs() + 1e-6
        gradient = torch.autograd.grad(x.sum() + log_det.sum(), part.numbers.start)[0]
        assert torch.isfinite(gradient).all()


class TestDeterminants:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("rank", [1, 2, 5, 6])
    def test_sylvester_is_the_determinant_of_the_full_matrix(self, kind, rank):
        part = stirred(Sylvester(6, rank, kind, reflections=3, condition=2, hidden=[8]), 0.5).double()
        z, condition = torch.randn(8, 6, dtype=torch.float64), torch.randn(8, 2, dtype=torch.float64)
        q, outer, inner, b, _ = (t.detach().numpy() for t in part.constrained(condition))
        log_det = part.forward(z, condition)[1]
        for i in range(8):
            q_i = q[i % len(q)]
            slope = 1 - np.tanh(inner[i] @ q_i.T @ z[i].numpy() + b[i]) ** 2
            full = np.eye(6) + q_i @ outer[i] @ np.diag(slope) @ inner[i] @ q_i.T
            sign, expected = np.linalg.slogdet(full)
            assert sign > 0
            assert log_det[i].item() == pytest.approx(expected, abs=1e-10)

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    @pytest.mark.parametrize("kind", KINDS)
    def test_the_columns_of_q_are_orthonormal(self, kind, dtype):
        for rank in (1, 3, 5):
            q = stirred(Sylvester(5, rank, kind, reflections=4), 1.0).to(dtype).constrained()[0][0].detach()
            np.testing.assert_allclose((q.T @ q).numpy(), np.eye(rank), atol=20 * torch.finfo(dtype).eps)

    @pytest.mark.parametrize("kind", KINDS)
    def test_one_direction_is_a_planar_layer(self, kind):
        sylvester = stirred(Sylvester(4, 1, kind), 1.5, seed=3).double()
        q, outer, inner, b, product = (t.detach() for t in sylvester.constrained())
        u, w = q[0, :, 0] * outer[0, 0, 0], q[0, :, 0] * inner[0, 0, 0]
        # v is along w, as far as the constraint asks for.
        target = product.item()
        a = optimize.brentq(lambda a: above_minus_one(torch.tensor(a, dtype=torch.float64))[0].item() - target, -50, 50, xtol=1e-14)  # fmt: skip
        planar = Planar(4).double()
        with torch.no_grad():
            planar.numbers.start.copy_(torch.cat([a * w / (w @ w), w, b[0]]))
        torch.testing.assert_close(planar.constrained()[0][0], u)
        z = 2 * torch.randn(30, 4, dtype=torch.float64)
        for direction in ("forward", "inverse"):
            torch.testing.assert_close(getattr(planar, direction)(z), getattr(sylvester, direction)(z))


class TestRadial:
    def test_the_inverse_is_scipys_root(self):
        for seed in range(10):
            part = stirred(Radial(3), 2.0, seed).double()
            c, alpha, s = (t.detach() for t in part.constrained())
            x = c + torch.randn(20, 3, dtype=torch.float64) * torch.logspace(-6, 4, 20, dtype=torch.float64)[:, None]
            far = (part.inverse(x)[0] - c).norm(dim=1)
            a, beta = alpha.item(), (alpha * s).item()
            for found, given in zip(far.tolist(), (x - c).norm(dim=1).tolist()):

                def excess(r, a=a, beta=beta, given=given):
                    return r * (1 + beta / (a + r)) - given

                root = optimize.brentq(excess, 0, 1e5 * (1 + given), xtol=1e-300, rtol=1e-14)
                assert found == pytest.approx(root, rel=1e-9)

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_the_centre_stays_with_finite_gradients(self, dtype):
        part = stirred(Radial(3), 1.0).to(dtype)
        c, _, s = part.constrained()
        for direction, sign in ((part.forward, 1), (part.inverse, -1)):
            z = c.detach().clone().requires_grad_()
            x, log_det = direction(z)
            assert torch.equal(x, z)
            torch.testing.assert_close(log_det, sign * 3 * torch.log1p(s)[0])
            gradients = torch.autograd.grad(x.sum() + log_det.sum(), [z, part.numbers.start], retain_graph=True)
            assert all(torch.isfinite(g).all() for g in gradients)

    def test_points_move_along_their_rays(self):
        part = stirred(Radial(2), 1.0).double()
        c = part.constrained()[0]
        z = 3 * torch.randn(50, 2, dtype=torch.float64)
        cosine = torch.cosine_similarity(part(z)[0] - c, z - c)
        torch.testing.assert_close(cosine, torch.ones(50, dtype=torch.float64))


class TestFarOut:
    @pytest.mark.parametrize(("dtype", "reach"), [(torch.float32, 1e3), (torch.float64, 1e4)], ids=str)
    def test_round_trips(self, dtype, reach):
        for part in layers(dtype, 0.7).values():
            z = torch.randn(200, *part.event_shape, dtype=dtype)
            z *= reach / z.abs().amax(1, keepdim=True) * torch.rand(200, 1, dtype=dtype)
            for there, back in ((part.forward, part.inverse), (part.inverse, part.forward)):
                x, log_det = there(z)
                again, log_back = back(x)
                assert (again - z).abs().max() <= 100 * torch.finfo(dtype).eps * reach
                assert (log_det + log_back).abs().max() <= 300 * torch.finfo(dtype).eps * reach

    def test_steep_layers(self):
        # Slopes from 0.001 to thousands: the root is found, and the way back is right to the digits that are there.
        for part in layers(torch.float64, 8.0).values():
            z = 3 * torch.randn(200, *part.event_shape, dtype=torch.float64)
            again = part(part.inverse(z)[0])[0]
            assert (again - z).abs().max() < 1e-6

    def test_the_report_of_an_inverse_is_measured(self):
        for part in layers(torch.float64, 0.7).values():
            part.inverse(torch.randn(50, *part.event_shape, dtype=torch.float64))
            if part.inverse_kind == "exact":
                continue
            assert part.solved.iterations > 1
            assert 0 <= part.solved.residual < 1e-13


def modes(density: Tensor, least: float) -> list[tuple[int, int]]:
    """Places of a grid above their eight neighbours, and above a share `least` of the greatest value."""
    inner = density[1:-1, 1:-1]
    around = [density[1 + i : density.shape[0] - 1 + i, 1 + j : density.shape[1] - 1 + j]
              for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]  # fmt: skip
    top = (inner > torch.stack(around).amax(0)) & (inner > least * density.max())
    return [(int(i) + 1, int(j) + 1) for i, j in top.nonzero()]


@pytest.mark.parametrize("build", [pf.flows.planar, pf.flows.sylvester], ids=lambda f: f.__name__)
def test_ten_layers_bend_a_gaussian_into_two_modes(build):
    generator = torch.Generator().manual_seed(0)
    means = torch.tensor([[-2.0, -1.0], [2.0, 1.0]])
    x = means[torch.randint(2, (2000,), generator=generator)] + 0.6 * torch.randn(2000, 2, generator=generator)
    flow = build(x, layers=10)
    side = torch.linspace(-5, 5, 101)
    grid = torch.cartesian_prod(side, side)

    def found() -> list[tuple[int, int]]:
        with torch.no_grad():
            return modes(flow.log_prob(grid).exp().reshape(101, 101), 0.2)

    assert len(found()) == 1
    optimiser = torch.optim.Adam(flow.parameters(), 2e-2)
    for step in range(150):
        loss = -flow.log_prob(x[(step * 200) % 2000 :][:200]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    places = torch.stack([torch.stack([side[i], side[j]]) for i, j in found()])
    assert len(places) == 2
    assert (places[places[:, 0].argsort()] - means).norm(dim=1).max() < 0.7


@pytest.mark.parametrize("build", [pf.flows.planar, pf.flows.sylvester], ids=lambda f: f.__name__)
def test_the_fast_direction_never_iterates(build):
    for fast in ("density", "sampling"):
        flow = build(features=2, layers=2, fast=fast)
        bends = [part for part in flow.modules() if isinstance(part, Planar | Sylvester)]
        x = flow.sample(5)
        assert all((bend.solved is None) == (fast == "sampling") for bend in bends)
        for bend in bends:
            bend.solved = None
        flow.log_prob(x)
        assert all((bend.solved is None) == (fast == "density") for bend in bends)


@pytest.mark.parametrize("build", [pf.flows.planar, pf.flows.radial, pf.flows.sylvester], ids=lambda f: f.__name__)
def test_draws_of_the_variational_setting_come_with_their_log_prob(build):
    flow = stirred(build(features=3, condition=2, layers=3, fast="sampling"), 0.4).double()
    condition = torch.randn(6, 2, dtype=torch.float64)
    x, log_prob = flow.rsample_and_log_prob((4,), condition, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(log_prob, flow.log_prob(x, condition), rtol=1e-8, atol=1e-8)
    gradients = torch.autograd.grad(log_prob.mean(), list(flow.parameters()))
    assert all(torch.isfinite(g).all() for g in gradients)
