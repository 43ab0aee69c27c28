"""B7, B8: bounded layers, log dets by series, inverses with a bound, and a classifier that can be run backwards.

Oracles: singular values of dense matrices (LAPACK); Jacobians by automatic differentiation and their slogdet; autodiff of the
exact log det for gradients. Estimates are compared in their own standard errors, with a false-alarm budget of 1e-5 a law.
"""

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.nn import functional

import pushforward as pf
from pushforward.core.random import RowGenerator
from pushforward.parts.numerics import (
    log_det_converged,
    log_det_exact,
    log_det_series,
    log_det_unbiased,
    probes_of_rows,
)

BUDGET = 1e-5


def stirred(module: torch.nn.Module, scale: float = 0.5) -> torch.nn.Module:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=scale)
    return module.double()


def errors_allowed(comparisons: int) -> float:
    """Standard errors by which the worst of so many means of many numbers may be off."""
    return float(stats.norm.isf(BUDGET / (2 * comparisons)))


def dense(layer: pf.nn.SpectralConv2d, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The matrix of a convolution, column by column."""
    columns = torch.eye(torch.Size(shape).numel(), dtype=weight.dtype).reshape(-1, *shape)
    return functional.conv2d(columns, weight, padding=layer.padding).flatten(1).T


class TestSpectralNorm:
    @pytest.mark.parametrize(("inputs", "outputs", "kernel", "size"), [(2, 3, 3, (5, 4)), (4, 2, 1, (3, 3)), (1, 3, 5, (8, 8))])  # fmt: skip
    @pytest.mark.parametrize("training", [False, True])
    def test_a_convolution_has_the_singular_value_of_its_matrix(self, inputs, outputs, kernel, size, training):
        layer = stirred(pf.nn.SpectralConv2d(inputs, outputs, kernel, size, coefficient=0.9)).train(training)
        exact = torch.linalg.matrix_norm(dense(layer, layer.weight, (inputs, *size)), 2)
        got = layer.sigma()
        assert got <= exact * (1 + 1e-10)
        torch.testing.assert_close(got, exact, rtol=2e-2 if training else 1e-9, atol=0)
        if not training:
            scaled = torch.linalg.matrix_norm(dense(layer, layer.normalised(), (inputs, *size)), 2)
            assert scaled.item() == pytest.approx(0.9, rel=1e-9)

    def test_the_kernel_as_a_matrix_would_not_do(self):
        kernel = torch.ones(1, 1, 3, 3)
        layer = pf.nn.SpectralConv2d(1, 1, 3, (16, 16)).eval()
        with torch.no_grad():
            layer.weight.copy_(kernel)
        assert torch.linalg.matrix_norm(kernel.reshape(1, 9), 2) < 3.01 < 8.7 < layer.sigma() < 9

    @pytest.mark.parametrize("layer", [pf.nn.SpectralLinear(5, 3, 0.5), pf.nn.SpectralConv2d(2, 3, 3, (4, 3), 0.5)])
    def test_its_gradient_is_that_of_the_singular_value(self, layer):
        layer = stirred(layer).eval()
        weight = layer.weight.detach().clone().requires_grad_()
        matrix = weight if weight.ndim == 2 else dense(layer, weight, (2, 4, 3))
        (expected,) = torch.autograd.grad(torch.linalg.matrix_norm(matrix, 2), weight)
        (got,) = torch.autograd.grad(layer.sigma(), layer.weight)
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-7)

    def test_a_small_weight_is_left_alone(self):
        layer = stirred(pf.nn.SpectralLinear(5, 3, 0.97), 0.01).eval()
        assert torch.equal(layer.normalised(), layer.weight)

    def test_training_keeps_up_with_a_weight_that_moves(self):
        # A fused optimiser does not count versions; the norm must see its steps all the same.
        layer = pf.nn.SpectralLinear(20, 20, 0.9)
        optimiser = torch.optim.AdamW(layer.parameters(), 0.02, fused=True)
        x = torch.randn(50, 20)
        for _ in range(60):
            loss = -layer(x).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            assert torch.linalg.matrix_norm(layer.normalised().detach(), 2) <= 0.9 * 1.05
        assert torch.linalg.matrix_norm(layer.weight, 2) > 1.2
        assert torch.linalg.matrix_norm(layer.eval().normalised(), 2).item() == pytest.approx(0.9, rel=1e-5)


NETWORKS = {
    "mlp": lambda: pf.nn.ContractiveMLP(4, hidden=[16, 16], coefficient=0.97, condition=2),
    "mlp elu": lambda: pf.nn.ContractiveMLP(3, hidden=[16], coefficient=0.9, activation="elu"),
    "conv": lambda: pf.nn.ContractiveConv((2, 4, 4), channels=[6, 6], coefficient=0.97),
}


@pytest.mark.parametrize("scale", [0.5, 5.0])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_measured_lipschitz_constant_is_below_the_bound(name, scale):
    network = stirred(NETWORKS[name](), scale).eval()
    assert network.lipschitz_bound() < 1
    x = torch.randn(60, *network.event_shape, dtype=torch.float64) * torch.logspace(-2, 2, 60)[:, None].reshape(
        60, *(1,) * len(network.event_shape)
    )
    given = () if not network.condition else (torch.randn(60, network.condition, dtype=torch.float64),)
    slopes = [
        torch.linalg.matrix_norm(
            torch.autograd.functional.jacobian(
                lambda v, i=i: network(v[None], *(c[i : i + 1] for c in given)).flatten(), x[i]
            ).flatten(1),
            2,
        )
        for i in range(60)
    ]
    assert max(slopes) <= network.lipschitz_bound() * (1 + 1e-6)
    other = x + torch.randn_like(x)
    with torch.no_grad():
        ratio = (network(x, *given) - network(other, *given)).flatten(1).norm(dim=1) / (x - other).flatten(1).norm(
            dim=1
        )
    assert ratio.max() <= network.lipschitz_bound() * (1 + 1e-6)
    assert max(slopes) > 0.1 * network.lipschitz_bound()


STEEP = {
    "mlp": lambda: pf.nn.ContractiveMLP(4, hidden=[6], coefficient=0.97),
    "mlp elu": lambda: pf.nn.ContractiveMLP(3, hidden=[4], coefficient=0.9, activation="elu"),
    "conv": lambda: pf.nn.ContractiveConv((2, 3, 3), channels=[3], kernels=[3, 3], coefficient=0.97, activation="elu"),
}


def case(name: str) -> tuple[torch.nn.Module, Tensor, float, float]:
    """A network, a row of its domain, log det(I + J) by autodiff and LAPACK, and the largest singular value of J."""
    network = stirred(STEEP[name](), 0.5).eval()
    x = torch.randn(1, *network.event_shape, dtype=torch.float64)
    matrix = torch.autograd.functional.jacobian(lambda v: network(v).flatten(), x).reshape(x.numel(), x.numel())
    one = torch.eye(x.numel(), dtype=torch.float64)
    return network, x, torch.linalg.slogdet(one + matrix).logabsdet.item(), torch.linalg.matrix_norm(matrix, 2).item()


@pytest.mark.parametrize("name", STEEP)
class TestSeries:
    count = 2000

    def test_russian_roulette_is_unbiased(self, name):
        network, x, exact, _ = case(name)
        rows, signs, uniform = self.draws(x)
        _, value, _ = log_det_unbiased(network, rows, signs, uniform, terms=2)
        assert abs(value.mean().item() - exact) <= errors_allowed(len(NETWORKS)) * value.std().item() / self.count**0.5

    def test_a_series_that_is_cut_keeps_to_its_bias_bound(self, name):
        network, x, exact, size = case(name)
        rows, signs, _ = self.draws(x)
        for terms in (1, 3, 8):
            with torch.no_grad():
                _, value, _ = log_det_series(network, rows, signs, terms)
            bias = x.numel() * size ** (terms + 1) / ((terms + 1) * (1 - size))
            assert (
                abs(value.mean().item() - exact)
                <= bias + errors_allowed(3 * len(NETWORKS)) * value.std().item() / self.count**0.5
            )

    def test_a_whole_series_misses_no_more_than_asked(self, name):
        # With all unit vectors for probes, the mean over them times d is the trace itself.
        network, x, exact, _ = case(name)
        d = x.numel()
        units = torch.eye(d, dtype=torch.float64).reshape(d, 1, *x.shape[1:])
        _, value, _ = log_det_converged(network, x, units, network.lipschitz_bound(), tolerance=1e-9)
        assert value.item() * d == pytest.approx(exact, abs=1e-7)

    def test_its_gradient_is_unbiased(self, name):
        network, x, _, _ = case(name)
        names = [key for key, _ in network.named_parameters()]

        def exact(x: Tensor, *weights: Tensor) -> Tensor:
            def g(v: Tensor) -> Tensor:
                return torch.func.functional_call(network, dict(zip(names, weights)), (v[None],)).flatten()

            matrix = torch.autograd.functional.jacobian(g, x[0], create_graph=True).reshape(x.numel(), x.numel())
            return torch.linalg.slogdet(torch.eye(x.numel(), dtype=torch.float64) + matrix).logabsdet

        weights = [p.detach().clone().requires_grad_() for p in network.parameters()]
        at = x.clone().requires_grad_()
        expected = torch.autograd.grad(exact(at, *weights), [at, *weights], allow_unused=True)
        # Along one direction of all weights and the row; a hundred means, so that their scatter is known.
        sums = []
        generator = torch.Generator().manual_seed(3)
        direction = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in (at, *weights)]
        for block in range(100):
            rows, signs, uniform = self.draws(x, 40, seed=block)
            rows = rows.requires_grad_()
            _, value, _ = log_det_unbiased(network, rows, signs, uniform, terms=2)
            own = torch.autograd.grad(value.mean(), [rows, *network.parameters()], allow_unused=True)
            sums.append(sum((d * (g.sum(0, keepdim=True) if i == 0 else g)).sum()
                            for i, (d, g) in enumerate(zip(direction, own)) if g is not None))  # fmt: skip
        got = torch.stack(sums)
        wanted = sum((d * g).sum() for d, g in zip(direction, expected) if g is not None)
        # Student's t, as the scatter is itself measured from a hundred means.
        allowed = float(stats.t.isf(BUDGET / (2 * len(NETWORKS)), len(got) - 1))
        assert abs(got.mean() - wanted) <= allowed * got.std() / len(got) ** 0.5
        assert got.std() / len(got) ** 0.5 < 0.2 * abs(wanted) + 0.05

    def test_the_standard_error_is_the_scatter_of_the_estimates(self, name):
        network, x, _, _ = case(name)
        rows, signs, uniform = self.draws(x, probes=8)
        with torch.no_grad():
            _, value, error = log_det_unbiased(network, rows, signs, uniform, terms=2)
        assert error.square().mean().sqrt().item() == pytest.approx(value.std().item(), rel=0.15)
        assert torch.isinf(log_det_series(network, x, torch.ones(1, *x.shape, dtype=x.dtype), 2)[2]).all()

    def draws(self, x: Tensor, count: int | None = None, seed: int = 0, probes: int = 1):
        n = count or self.count
        generator = RowGenerator(seed, n)
        signs = generator.rademacher(probes, *x.shape[1:], dtype=torch.float64).transpose(0, 1)
        return x.expand(n, *x.shape[1:]).clone(), signs, generator.uniform(probes, dtype=torch.float64).T


def test_exact_log_dets_are_those_of_lapack():
    for d in (1, 2, 3, 7):
        matrix = 0.3 * torch.randn(50, d, d, dtype=torch.float64) / d
        expected = torch.linalg.slogdet(torch.eye(d, dtype=torch.float64) + matrix).logabsdet
        torch.testing.assert_close(log_det_exact(matrix), expected, rtol=1e-12, atol=1e-12)


def test_probes_of_rows_have_the_identity_for_their_second_moment():
    x = torch.randn(20_000, 4, dtype=torch.float64)
    probes = probes_of_rows(x, 3)
    products = torch.einsum("kni,knj->nkij", probes, probes)
    # Only phases are random: rows of one set of phases agree on average with the identity but for their frequencies.
    torch.testing.assert_close(products.mean(0), torch.eye(4, dtype=torch.float64).expand(3, 4, 4), rtol=0, atol=0.05)
    moved = probes_of_rows(x + 1e-9, 3)
    assert (moved - probes).abs().max() < 1e-6
    torch.testing.assert_close(probes_of_rows(x[7:8], 3), probes[:, 7:8], rtol=1e-9, atol=1e-9)


class TestInverse:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("name", ["mlp elu", "conv"])
    def test_its_error_is_below_the_bound(self, name, dtype):
        exact = pf.bijections.Residual(stirred(NETWORKS[name](), 2.0).eval())
        z = torch.randn(200, *exact.event_shape, dtype=torch.float64)
        with torch.no_grad():
            x = exact.forward(z)[0].to(dtype)
            # The number that the rounded x stands for, from double precision.
            truth = exact.inverse(x.double())[0]
            part = exact.to(dtype)
            got, _ = part.inverse(x)
        assert part.solved is not None
        error = (got.double() - truth).flatten(1).norm(dim=1).max().item()
        assert error <= part.solved.bound < 1e-2
        assert part.solved.iterations > 3

    def test_an_unbounded_network_is_refused_and_a_stretch_does_not_come_to_rest(self):
        with pytest.raises(pf.UserError, match="below 1"):
            pf.bijections.Residual(pf.nn.ContractiveMLP(2, coefficient=None))
        with pytest.raises(pf.UserError, match="below 1"):
            pf.bijections.Residual(pf.nn.ContractiveMLP(2, coefficient=1.0))
        part = pf.bijections.Residual(pf.nn.ContractiveMLP(2, hidden=[8], coefficient=0.9)).eval()
        for layer in part.network.layers:  # what the bound says is no longer true
            layer.coefficient = None
        stirred(part, 3.0)
        with pytest.raises(pf.UserError, match="come to rest"):
            part.inverse(10 * torch.randn(20, 2, dtype=torch.float64))


class TestEstimates:
    def flow(self, **settings) -> pf.Distribution:
        flow = pf.flows.residual(features=5, layers=3, hidden=[16], **settings)
        return stirred(flow, 0.3)

    def test_they_say_so(self):
        exact, estimate = self.flow(), self.flow(log_det="unbiased")
        assert (exact.log_prob_kind, estimate.log_prob_kind) == ("exact", "estimate")
        assert pf.flows.residual(features=17, layers=1).log_prob_kind == "estimate"
        x = torch.randn(9, 5, dtype=torch.float64)
        torch.testing.assert_close(self.flow(log_det="auto").eval().log_prob(x), exact.eval().log_prob(x))
        whole = pf.flows.residual(pf.data.Table.of(torch.arange(34.0).reshape(17, 2).sin().mul(9).round()), log_det="unbiased")  # fmt: skip
        assert whole.log_prob_kind == "estimate"

    def test_an_evaluation_is_near_the_exact_one_and_the_same_in_every_batch(self):
        exact, estimate = self.flow().eval(), self.flow(log_det="unbiased", probes=4).eval()
        x = torch.randn(3000, 5, dtype=torch.float64)
        with torch.no_grad():
            gap = estimate.log_prob(x) - exact.log_prob(x)
            alone = torch.stack([estimate.log_prob(row) for row in x[:20]])
        assert 0 < gap.std() < 0.5
        assert abs(gap.mean()) < 0.1 * gap.std()
        torch.testing.assert_close(estimate.log_prob(x)[:20], alone, rtol=0, atol=1e-4)

    def test_training_draws_afresh_and_on_average_the_exact_density(self):
        for log_det in ("unbiased", "auto"):
            exact, estimate = self.flow().eval(), self.flow(log_det=log_det).train()
            x = torch.randn(4, 5, dtype=torch.float64)
            for module in estimate.modules():  # the very weights of evaluation, which training approaches
                if isinstance(module, pf.nn.SpectralLinear):
                    module.eval()
            with torch.no_grad():
                wanted = exact.log_prob(x).mean().item()
                # Rows of one call share a number of terms: the scatter is that of calls.
                got = torch.stack([estimate.log_prob(x).mean() for _ in range(100)])
            assert got.std() > 0
            allowed = float(stats.t.isf(BUDGET / 4, 99))
            assert abs(got.mean().item() - wanted) <= allowed * got.std().item() / 100**0.5

    def test_reversible_training_sees_the_same_random_numbers(self):
        gradients = []
        for memory in ("ordinary", "reversible"):
            flow = self.flow(log_det="unbiased", memory=memory).train()
            torch.manual_seed(5)
            flow.log_prob(torch.linspace(-2, 2, 40, dtype=torch.float64).reshape(8, 5)).mean().backward()
            gradients.append([p.grad for p in flow.parameters()])
        for ordinary, reversible in zip(*gradients):
            torch.testing.assert_close(reversible, ordinary, rtol=1e-6, atol=1e-9)

    def test_images_have_a_density_that_follows_the_exact_one(self):
        model = pf.flows.residual_images(event_shape=(1, 4, 4), levels=4, scales=1, blocks=2, width=6)
        stirred(model, 0.3).eval()
        assert model.log_prob_kind == "estimate"
        bijection = model.model.bijection
        y = 4 * torch.rand(6, 1, 4, 4, dtype=torch.float64)
        with torch.no_grad():
            _, got = bijection.inverse(y)
        exact = torch.stack([
            torch.linalg.slogdet(torch.autograd.functional.jacobian(
                lambda v: bijection.inverse(v)[0].flatten(), row).reshape(16, 16)).logabsdet for row in y
        ])  # fmt: skip
        assert ((got - exact).abs() < 1.5).all()
        with torch.no_grad():
            z, _ = bijection.inverse(y)
            torch.testing.assert_close(bijection.forward(z)[0], y, rtol=1e-8, atol=1e-8)


class TestClassifier:
    def test_it_learns_digits_nearly_as_well_as_an_ordinary_network(self):
        train, test = pf.data.load("digits").split((0.8, 0.2), 0)
        accuracy = {}
        for coefficient in (0.9, None):
            model = pf.flows.invertible_resnet_classifier(train, blocks=1, width=16, coefficient=coefficient)
            settings = pf.training.Settings(bar=False, batch_size=128, learning_rate=5e-3, evaluate_every=1000)
            pf.fit(model, (train, test), steps=90, settings=settings)
            accuracy[coefficient] = (model.predict(test.pixels) == test.labels).double().mean().item()
            if coefficient:
                x = test.pixels.float()
                with torch.no_grad():
                    again = model.invert(model.features(x))
                assert (again - x).abs().max() < 1e-3
        assert accuracy[None] > 0.9
        assert accuracy[0.9] > accuracy[None] - 0.03

    def test_every_block_contracts(self):
        model = stirred(
            pf.flows.invertible_resnet_classifier(event_shape=(1, 8, 8), classes=3, blocks=1, width=4)
        ).eval()
        for module in model.modules():
            if isinstance(module, pf.nn.ContractiveConv):
                x = torch.randn(1, *module.event_shape, dtype=torch.float64)
                matrix = torch.autograd.functional.jacobian(lambda v, g=module: g(v).flatten(), x)
                assert torch.linalg.matrix_norm(matrix.reshape(x.numel(), -1), 2) <= module.lipschitz_bound() * (1 + 1e-6)  # fmt: skip
