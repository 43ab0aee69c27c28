"""B2, B3: flows of images.

Oracles: the Jacobian of a whole image by automatic differentiation and its determinant from LAPACK; means and variances
by torch.mean and torch.var; a permutation of channels written out; the entropy of a uniform byte; densities from scipy.
"""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import pushforward as pf
from pushforward.core.data import Batch
from pushforward.core.random import RowGenerator
from pushforward.models.flows.pixels import Pixels
from pushforward.parts.bijections import (
    ActNorm,
    ActNormConv,
    Affine,
    AffineTransformer,
    Chain,
    ClassPrior,
    ImageCoupling,
    InvertibleConv1x1,
    MultiScale,
    Squeeze,
    start_from_data,
)
from pushforward.parts.distributions import Dequantised, Flow, Gaussian, Uniform

FLOWS = {
    "glow": lambda **of: pf.flows.glow(steps=2, width=8, **of),
    "glow, dense, standard prior": lambda **of: pf.flows.glow(steps=2, width=8, conv="dense", prior="standard", **of),
    "realnvp": lambda **of: pf.flows.realnvp_images(width=8, blocks=1, **of),
}


def stirred(model: nn.Module, scale: float = 0.1) -> nn.Module:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return model.eval()


def images(rows: int = 200, classes: int | None = None) -> pf.data.Images:
    """Smooth pictures of 8 x 8 pixels in 16 levels, brighter in one half."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(rows, 1, 3, 3, generator=generator)
    fine = nn.functional.interpolate(coarse, (8, 8), mode="bilinear")
    fine[:, :, :4] *= 0.5
    labels = None if classes is None else torch.arange(rows) % classes
    return pf.data.Images.of((fine * 15.99).byte(), labels, levels=16)


def jacobian(function, value: Tensor) -> Tensor:
    matrix = torch.autograd.functional.jacobian(lambda v: function(v[None])[0][0].flatten(), value)
    return matrix.reshape(-1, value.numel())


class TestActNorm:
    @pytest.mark.parametrize("shape", [(3, 4, 5), (4, 1, 1), (3,)], ids=str)
    @pytest.mark.parametrize("fused", [False, True])
    def test_after_the_start_each_channel_has_mean_0_and_variance_1(self, shape, fused):
        actnorm = ActNorm(shape)
        # The identity as the matrix, so that what leaves the fused part is what the normalisation gave.
        conv = InvertibleConv1x1(shape, "dense")
        with torch.no_grad():
            conv.dense.copy_(torch.eye(shape[0]))
        flow = Flow(Gaussian.standard(shape), ActNormConv(actnorm, conv) if fused else actnorm)
        sizes = torch.logspace(-2, 3, shape[0]).reshape(-1, *(1,) * (len(shape) - 1))
        x = 100 + sizes * torch.randn(300, *shape)
        assert start_from_data(flow.double(), Batch(x.double()), RowGenerator(0, 300)) == 1
        z, log_det = flow.bijection.inverse(x.double())
        channels = z.transpose(0, 1).flatten(1)
        torch.testing.assert_close(channels.mean(1), torch.zeros(shape[0]).double(), rtol=0, atol=1e-8)
        torch.testing.assert_close(channels.var(1, correction=0), torch.ones(shape[0]).double(), rtol=1e-6, atol=0)
        expected = torch.linalg.slogdet(jacobian(flow.bijection.inverse, x[0].double())).logabsdet
        torch.testing.assert_close(log_det[0], expected)

    @pytest.mark.parametrize("name", FLOWS)
    def test_in_a_whole_model_each_sees_what_the_others_made(self, name):
        data = images(classes=3)
        model = FLOWS[name](data=data)
        batch, noise = data.take(torch.arange(100)), RowGenerator(0, 100)
        seen: dict[nn.Module, Tensor] = {}
        parts = [part for part in model.modules() if isinstance(part, ActNorm)]
        assert start_from_data(model, batch, noise) == len(parts) > 3
        hooked = {part: part.start for part in parts}
        for part in parts:  # note what each of them is given in a second pass
            part.start = lambda x, part=part: seen.__setitem__(part, x)  # type: ignore[method-assign]
            part.starting = True
        with torch.no_grad():
            model.objective(model, batch, RowGenerator(0, 100))
        for part, start in hooked.items():
            part.start, part.starting = start, False  # type: ignore[method-assign]
            z = part._inverse(seen[part], None)[0].transpose(0, 1).flatten(1)
            torch.testing.assert_close(z.mean(1), torch.zeros(len(z)), rtol=0, atol=2e-3)
            torch.testing.assert_close(z.var(1, correction=0), torch.ones(len(z)), rtol=2e-3, atol=0)

    def test_it_starts_once_and_the_start_is_saved(self, tmp_path):
        flow = Flow(Gaussian.standard(2), ActNorm(2))
        x = 5 + torch.randn(50, 2)
        assert start_from_data(flow, Batch(x), RowGenerator(0, 50)) == 1
        shift = flow.bijection.shift.clone()
        assert start_from_data(flow, Batch(10 * x), RowGenerator(0, 50)) == 0
        assert torch.equal(flow.bijection.shift, shift)
        pf.save(flow, tmp_path / "flow.pf")
        again = pf.load(tmp_path / "flow.pf")
        assert start_from_data(again, Batch(10 * x), RowGenerator(0, 50)) == 0

    def test_a_constant_channel_stays_finite(self):
        flow = Flow(Gaussian.standard((2, 3, 3)), ActNorm((2, 3, 3)))
        x = torch.randn(20, 2, 3, 3)
        x[:, 1] = 1e4
        start_from_data(flow, Batch(x), RowGenerator(0, 20))
        z, log_det = flow.bijection.inverse(x)
        assert torch.isfinite(z).all()
        assert torch.isfinite(log_det).all()
        assert (z[:, 1] == 0).all()

    def test_rows_do_not_see_each_other_afterwards(self):
        data = images()
        model = FLOWS["glow"](data=data)
        start_from_data(model, data.take(torch.arange(100)), RowGenerator(0, 100))
        x = data.take(torch.arange(20)).x
        alone = torch.stack([model.eval().log_prob(row) for row in x])
        torch.testing.assert_close(model.log_prob(x), alone, rtol=1e-5, atol=1e-3)


class TestConvolution:
    @pytest.mark.parametrize("kind", ["plu", "dense"])
    def test_its_log_det_is_that_of_the_whole_image(self, kind):
        conv = stirred(InvertibleConv1x1((3, 2, 4), kind, seed=3), 0.3).double()
        x = torch.randn(3, 2, 4).double()
        z, log_det = conv.inverse(x)
        torch.testing.assert_close(log_det, torch.linalg.slogdet(jacobian(conv.inverse, x)).logabsdet)
        torch.testing.assert_close(log_det, 8 * torch.linalg.slogdet(conv.weight()).logabsdet)
        torch.testing.assert_close(z, nn.functional.conv2d(x[None], conv.weight()[:, :, None, None])[0])

    def test_a_permutation_shuffles_the_channels(self):
        conv, order = InvertibleConv1x1((4, 2, 2), "dense"), [2, 0, 3, 1]
        with torch.no_grad():
            conv.dense.copy_(torch.eye(4)[order])
        x = torch.randn(5, 4, 2, 2)
        z, log_det = conv.inverse(x)
        assert torch.equal(z, x[:, order])
        assert (log_det.abs() < 1e-6).all()
        assert torch.equal(conv.forward(z)[0], x)

    @pytest.mark.parametrize("kind", ["plu", "dense"])
    @pytest.mark.parametrize("size", [1, 2, 5, 48])
    def test_it_begins_as_a_rotation(self, kind, size):
        conv = InvertibleConv1x1((size, 2, 2), kind, seed=size)
        torch.testing.assert_close(conv.weight() @ conv.weight().T, torch.eye(size), rtol=0, atol=1e-5)
        assert torch.linalg.det(conv.weight().double()).item() == pytest.approx(1, abs=1e-5)

    @pytest.mark.parametrize("direction", ["forward", "inverse"])
    def test_a_singular_matrix_is_one_clear_error(self, direction):
        conv = InvertibleConv1x1((3, 2, 2), "dense")
        with torch.no_grad():
            conv.dense[0] = conv.dense[1] = 1.0
        with pytest.raises(pf.UserError, match="expected an invertible matrix of channels, got a singular one"):
            getattr(conv, direction)(torch.randn(2, 3, 2, 2))

    def test_fused_it_is_the_chain_of_the_two(self):
        parts = ActNorm((6, 3, 2)), InvertibleConv1x1((6, 3, 2))
        fused = stirred(ActNormConv(*parts), 0.3)
        chain = Chain([parts[1], parts[0]])
        value = torch.randn(7, 6, 3, 2)
        for direction in ("forward", "inverse"):
            for ours, theirs in zip(getattr(fused, direction)(value), getattr(chain, direction)(value)):
                torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


class TestCoupling:
    @pytest.mark.parametrize("swapped", [False, True])
    def test_a_checkerboard_passes_exactly_the_right_pixels(self, swapped):
        network = stirred(pf.nn.CouplingResNet(2, 4, width=4, blocks=1), 0.5)
        mask = "checkerboard_swapped" if swapped else "checkerboard"
        coupling = ImageCoupling((2, 5, 4), mask, AffineTransformer(), network)
        z = torch.randn(20, 2, 5, 4)
        same = (coupling.forward(z)[0] == z).all(0)
        for i in range(5):
            for j in range(4):
                assert (same[:, i, j] == ((i + j) % 2 == int(swapped))).all()

    @pytest.mark.parametrize("mask", ["channel", "channel_swapped", "checkerboard", "checkerboard_swapped"])
    def test_what_is_mapped_does_not_tell_how(self, mask):
        width = 4 if mask.startswith("checker") else 2
        network = stirred(pf.nn.CouplingConvNet(width, 2 * width, width=4), 0.5).double()
        coupling = ImageCoupling((4, 2, 2), mask, AffineTransformer(), network)
        x = torch.randn(4, 2, 2).double()
        passes = coupling.forward(x)[0] == x
        matrix = jacobian(coupling.forward, x)
        mapped = matrix[~passes.flatten()][:, ~passes.flatten()]
        assert mapped.diagonal().abs().min() > 0
        assert (mapped - torch.diag(mapped.diagonal())).abs().max() == 0

    def test_the_first_half_of_the_channels_passes(self):
        network = stirred(pf.nn.CouplingConvNet(1, 4, width=4), 0.5)
        coupling = ImageCoupling((3, 4, 4), "channel", AffineTransformer(), network)
        z = torch.randn(10, 3, 4, 4)
        assert (coupling.forward(z)[0] == z).flatten(2).all(2).all(0).tolist() == [True, False, False]


class TestMultiScale:
    @pytest.mark.parametrize(("shape", "scales"), [((1, 8, 8), 2), ((1, 28, 28), 2), ((3, 16, 16), 3)], ids=str)
    @pytest.mark.parametrize("name", FLOWS)
    def test_the_noise_has_the_size_of_the_image(self, name, shape, scales):
        model = FLOWS[name](event_shape=shape, levels=4)
        flow = model.model
        assert flow.base.event_shape == (math.prod(shape),)
        stack = next(part for part in flow.modules() if isinstance(part, MultiScale))
        deepest = scales if name.startswith("glow") else scales + 1
        assert len(stack.levels) == deepest
        assert model.sample(2).shape == (2, *shape)

    @pytest.mark.parametrize("name", FLOWS)
    def test_every_number_of_the_noise_reaches_the_image(self, name):
        model = stirred(FLOWS[name](event_shape=(1, 4, 4), levels=4, scales=2)).double()
        z = torch.randn(16).double()
        assert (jacobian(model.model.bijection.forward, z).abs().sum(0) > 0).all()

    @pytest.mark.parametrize("name", FLOWS)
    def test_the_density_is_that_of_the_jacobian(self, name):
        flow = stirred(FLOWS[name](event_shape=(1, 4, 4), levels=4, scales=2)).double().model
        for z in torch.randn(3, 16).double():
            x = flow.bijection.forward(z)[0]
            size = torch.linalg.slogdet(jacobian(flow.bijection.forward, z)).logabsdet.item()
            expected = stats.norm.logpdf(z.numpy()).sum() - size
            assert flow.log_prob(x).item() == pytest.approx(expected, abs=1e-7)

    def test_what_leaves_first_is_fine_detail(self):
        two = MultiScale([Squeeze((2, 4, 4)), Squeeze((1, 8, 8))])
        x = torch.randn(3, 1, 8, 8)
        z = two.inverse(x)[0]
        # The squeeze puts rows 0, 2, 4, .. in the channels that stay, and rows 1, 3, 5, .. in those that leave.
        rows = x[:, 0, 1::2].reshape(3, 4, 4, 2).permute(0, 3, 1, 2).flatten(1)
        assert torch.equal(z[:, 32:], rows)


class TestTemperature:
    def linear(self) -> Dequantised:
        torch.manual_seed(0)
        shape = (1, 2, 2)
        mix = Chain(
            [InvertibleConv1x1((4, 1, 1)), Squeeze(shape), Affine(torch.full(shape, 100.0), torch.full(shape, 10.0))]
        )
        return Dequantised(Flow(Gaussian.standard((4, 1, 1)), mix), torch.ones(shape))

    def test_zero_gives_the_mean_image(self):
        for model in (self.linear(), self.linear().model):
            drawn = pf.flows.tempered(model, 0.0).sample(50)
            assert torch.equal(drawn, torch.full((50, 1, 2, 2), 100.0))

    def test_the_variance_of_a_linear_flow_scales(self):
        flow = self.linear().model
        for temperature in (0.5, 1.0, 2.0):
            drawn = pf.flows.tempered(flow, temperature).sample(4000, generator=torch.Generator().manual_seed(0))
            # (n - 1) s^2 / sigma^2 is chi-squared: both tails together one in 10^5, over twelve looks.
            low, high = stats.chi2(3999).ppf([1e-5 / 24, 1 - 1e-5 / 24]) / 3999
            ratio = drawn.flatten(1).var(0) / (10 * temperature) ** 2
            assert ((ratio > low) & (ratio < high)).all()

    def test_its_density_is_that_of_its_draws(self):
        flow = self.linear().model
        x = 100 + 10 * torch.randn(20, 1, 2, 2)
        z = flow.bijection.inverse(x)[0].detach().flatten(1).double().numpy()
        expected = stats.norm(scale=0.7).logpdf(z).sum(1) - 4 * math.log(10)
        torch.testing.assert_close(
            pf.flows.tempered(flow, 0.7).log_prob(x), torch.from_numpy(expected).float(), rtol=1e-4, atol=1e-4
        )

    def test_weights_are_shared(self):
        model = FLOWS["glow"](event_shape=(1, 8, 8), levels=4)
        cool = pf.flows.tempered(model, 0.7)
        assert {id(p) for p in cool.parameters()} == {id(p) for p in model.parameters()}


class TestPixels:
    @pytest.mark.parametrize("levels", [2, 17, 256])
    def test_a_uniform_source_costs_its_entropy(self, levels):
        # The whole way from bytes to [-1/2, 1/2], with a flow that only moves numbers and a base that is flat there.
        pixels = Pixels(torch.Size((1, 4, 4)), levels)
        model = pixels.model(MultiScale([Squeeze((2, 2, 2)), Squeeze((1, 4, 4))]))
        flat = Uniform(torch.full((16,), -0.5), torch.full((16,), 0.5))
        model = Dequantised(Flow(flat, model.model.bijection), model.steps)
        x = torch.randint(levels, (50, 1, 4, 4)).float()
        bits = -model.log_prob(x) / (16 * math.log(2))
        torch.testing.assert_close(bits, torch.full((50,), math.log2(levels)), rtol=1e-6, atol=0)

    def test_a_logistic_base_makes_the_logit_flat(self):
        # sigmoid of a standard logistic number is uniform on (0, 1): with alpha = 0.05 a pixel has density 0.9 / levels.
        pixels = Pixels(torch.Size((1, 2, 2)), 256)
        flow = pixels.model(MultiScale([Squeeze((1, 2, 2))]), logit=True).model
        x = 256 * torch.rand(200, 1, 2, 2)
        z, log_det = flow.bijection.inverse(x)
        score = torch.from_numpy(stats.logistic.logpdf(z.double().numpy()).sum(1)) + log_det
        torch.testing.assert_close(score, torch.full((200,), 4 * math.log(0.9 / 256)).double(), rtol=1e-4, atol=0)


class TestClasses:
    def test_a_prior_is_one_gaussian_a_class(self):
        prior = stirred(ClassPrior(3, classes=2), 0.7)
        flow = Flow(Gaussian.standard(3), prior)
        x, label = torch.randn(40, 3), torch.arange(40) % 2
        scale = (3 * torch.tanh(prior.raw_scale / 3)).exp()
        expected = stats.norm.logpdf(x.numpy(), prior.loc.detach()[label].numpy(), scale.detach()[label].numpy()).sum(1)
        torch.testing.assert_close(flow.log_prob(x, label), torch.from_numpy(expected).float(), rtol=1e-4, atol=1e-4)
        assert (flow.log_prob(x, label) != flow.log_prob(x, 1 - label)).all()

    @pytest.mark.parametrize("name", FLOWS)
    def test_the_class_changes_the_density_and_the_draws(self, name):
        model = stirred(FLOWS[name](event_shape=(1, 8, 8), levels=16, classes=3))
        x = images().take(torch.arange(5)).x
        scores = torch.stack([model.log_prob(x, torch.tensor(k)) for k in range(3)])
        assert (scores[0] != scores[1]).all()
        assert (scores[1] != scores[2]).all()
        together = model.log_prob(x.repeat(3, 1, 1, 1), torch.arange(3).repeat_interleave(5))
        torch.testing.assert_close(together, scores.flatten(), rtol=1e-5, atol=1e-3)

    @pytest.mark.parametrize("label", [3, -1])
    def test_a_class_that_is_not_there_is_refused(self, label):
        model = FLOWS["glow"](event_shape=(1, 8, 8), levels=16, classes=3)
        with pytest.raises(pf.UserError, match="expected classes as whole numbers from 0 to 2"):
            model.sample((), torch.tensor([0, label]))


@pytest.mark.parametrize("name", FLOWS)
def test_reversible_memory_gives_the_same_gradients(name):
    data = images(classes=2)
    batch, losses, gradients = data.take(torch.arange(30)), [], []
    for memory in ("ordinary", "reversible"):
        model = stirred(FLOWS[name](data=data, memory=memory)).double()
        double = Batch(batch.x.double(), batch.condition)
        loss = model.objective(model, double, RowGenerator(0, 30)).value
        loss.backward()
        losses.append(loss)
        gradients.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(losses[0], losses[1])
    for ours, theirs in zip(*gradients):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
