"""B12: linear layers are the matrices that they say they are.

Oracles: determinants and solutions by LAPACK through numpy, the matrix itself by pushing the unit vectors through, the
multivariate normal of scipy.
"""

import numpy as np
import pytest
import torch
from scipy import stats

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import Diagonal, Inverse, LULinear, Orthogonal, Permutation, QRLinear
from pushforward.parts.distributions import Flow, Gaussian

D = 5


def made(name: str, dtype: torch.dtype = torch.float64) -> Bijection:
    generator = torch.Generator().manual_seed(0)
    part: Bijection = {
        "lu": lambda: LULinear(D),
        "lu permuted": lambda: LULinear(D, seed=2),
        "lu of a matrix": lambda: LULinear.of(torch.randn(D, D, generator=generator)),
        "qr": lambda: QRLinear(D),
        "qr, few reflections": lambda: QRLinear(D, reflections=1),
        "orthogonal": lambda: Orthogonal(D),
        "diagonal": lambda: Diagonal(D),
        "permutation": lambda: Permutation([3, 0, 4, 1, 2]),
    }[name]()
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator))
    return part.to(dtype)


NAMES = ["lu", "lu permuted", "lu of a matrix", "qr", "qr, few reflections", "orthogonal", "diagonal", "permutation"]


def matrix_of(part: Bijection) -> tuple[np.ndarray, np.ndarray]:
    """A and b of x = A z + b."""
    d, dtype = part.event_shape[0], next(part.parameters(), torch.zeros(1, dtype=torch.float64)).dtype
    b = part.forward(torch.zeros(1, d, dtype=dtype))[0][0]
    return (part.forward(torch.eye(d, dtype=dtype))[0] - b).T.detach().numpy(), b.detach().numpy()


@pytest.mark.parametrize("name", NAMES)
class TestAgainstLapack:
    def test_log_det(self, name):
        part = made(name)
        matrix, _ = matrix_of(part)
        expected = np.linalg.slogdet(matrix).logabsdet
        z = torch.randn(4, D, dtype=torch.float64)
        for direction, sign in ((part.forward, 1), (part.inverse, -1)):
            log_det = direction(z)[1].detach().numpy()
            np.testing.assert_allclose(log_det, sign * expected, atol=1e-12)

    def test_it_is_linear_and_solved(self, name):
        part = made(name)
        matrix, b = matrix_of(part)
        z = torch.randn(20, D, dtype=torch.float64)
        np.testing.assert_allclose(part.forward(z)[0].detach().numpy(), z.numpy() @ matrix.T + b, atol=1e-12)
        expected = np.linalg.solve(matrix, (z.numpy() - b).T).T
        np.testing.assert_allclose(part.inverse(z)[0].detach().numpy(), expected, atol=1e-10)

    @pytest.mark.parametrize(("dtype", "reach"), [(torch.float32, 1e3), (torch.float64, 1e4)], ids=str)
    def test_round_trips_far_out(self, name, dtype, reach):
        part = made(name, dtype)
        condition = np.linalg.cond(matrix_of(made(name))[0])
        z = reach * (2 * torch.rand(100, D, dtype=dtype) - 1)
        again = part.inverse(part.forward(z)[0])[0]
        assert (again - z).abs().max() <= 20 * torch.finfo(dtype).eps * condition * reach


class TestOrthogonal:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    @pytest.mark.parametrize("reflections", [1, 2, 5, 8])
    def test_its_transpose_is_its_inverse(self, reflections, dtype):
        part = Orthogonal(D, reflections).to(dtype)
        torch.nn.init.normal_(part.vectors)
        q, _ = matrix_of(part)
        np.testing.assert_allclose(q.T @ q, np.eye(D), atol=20 * torch.finfo(dtype).eps)
        assert np.linalg.det(q) == pytest.approx((-1) ** reflections, abs=1e-5)
        back, _ = matrix_of(Inverse(part))
        np.testing.assert_allclose(back, q.T, atol=20 * torch.finfo(dtype).eps)

    def test_one_reflection_turns_its_vector_and_leaves_the_plane_across(self):
        v = torch.tensor([1e-30, 2e-30, -1e-30])  # the squares vanish in float32
        part = Orthogonal(3, reflections=1)
        with torch.no_grad():
            part.vectors.copy_(v[None])
        across = torch.tensor([[2.0, -1.0, 0.0], [1.0, 0.0, 1.0]])
        torch.testing.assert_close(part(across)[0], across)
        torch.testing.assert_close(part(1e30 * v)[0], -1e30 * v)

    def test_as_many_reflections_as_features_reach_any_rotation(self):
        # Householder's own construction, run by LAPACK: the vectors of its QR are those of the product.
        matrix = np.random.default_rng(0).normal(size=(4, 4))
        packed, scales = np.linalg.qr(matrix, mode="raw")
        vectors = np.tril(packed.T, -1) + np.eye(4)
        q, _ = np.linalg.qr(matrix)
        used = [i for i in range(4) if scales[i] != 0]
        part = Orthogonal(4, len(used)).double()
        with torch.no_grad():
            part.vectors.copy_(torch.from_numpy(vectors.T[used].copy()))
        np.testing.assert_allclose(matrix_of(part)[0], q, atol=1e-12)

    def test_it_begins_as_the_identity(self):
        for part in (Orthogonal(4), Orthogonal(5), QRLinear(5), LULinear(3)):
            matrix, _ = matrix_of(part)
            np.testing.assert_allclose(matrix, np.eye(len(matrix)), atol=1e-6)


class TestLU:
    def test_a_seed_begins_as_a_permutation(self):
        first, second = (matrix_of(LULinear(6, seed=seed))[0] for seed in (0, 1))
        for matrix in (first, second):
            assert set(np.unique(matrix)) == {0.0, 1.0}
            np.testing.assert_array_equal(matrix @ matrix.T, np.eye(6))
        assert (first != second).any()

    def test_it_is_the_matrix_that_it_was_made_of(self):
        generator = torch.Generator().manual_seed(0)
        for size in (1, 2, 3, 7):
            matrix = torch.randn(size, size, dtype=torch.float64, generator=generator)
            bias = torch.randn(size, dtype=torch.float64, generator=generator)
            a, b = matrix_of(LULinear.of(matrix, bias))
            np.testing.assert_allclose(a, matrix.numpy(), atol=1e-13)
            np.testing.assert_array_equal(b, bias.numpy())

    def test_a_gaussian_through_it_is_scipys(self):
        matrix = torch.tensor([[2.0, 1.0, 0.0], [0.0, -1.0, 3.0], [1.0, 1.0, 1.0]], dtype=torch.float64)
        bias = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
        flow = Flow(Gaussian.standard(3).double(), LULinear.of(matrix, bias))
        x = torch.randn(20, 3, dtype=torch.float64)
        expected = stats.multivariate_normal(bias.numpy(), (matrix @ matrix.T).numpy()).logpdf(x.numpy())
        np.testing.assert_allclose(flow.log_prob(x).detach().numpy(), expected, rtol=1e-12)

    @pytest.mark.parametrize(
        "matrix", [[[1.0, 2.0], [2.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]], [[1 / 3, 0.1], [0.7, 0.21]]]
    )
    def test_a_singular_matrix_is_refused(self, matrix):
        with pytest.raises(ConfigError, match="expected a matrix with an inverse"):
            LULinear.of(torch.tensor(matrix))


@pytest.mark.parametrize("value", [-torch.inf, -200.0, 200.0, torch.nan])
@pytest.mark.parametrize("layer", [LULinear, QRLinear, Diagonal], ids=lambda c: c.__name__)
def test_weights_that_make_it_singular_are_refused_in_use(layer, value):
    part = layer(3)
    weights = part.state_dict()
    weights["log_scale" if layer is Diagonal else "log_diagonal"][1] = value
    part.load_state_dict(weights)
    for direction in (part.forward, part.inverse):
        with pytest.raises(ConfigError, match="on its diagonal at place 1"):
            direction(torch.ones(3))
