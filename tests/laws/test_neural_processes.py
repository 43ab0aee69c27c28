"""E4, E5: latent, attentive, convolutional and transformer neural processes.

Order, padding, empty and ragged contexts and the independence of targets are laws of all processes: `test_neural_process.py`.
Oracles here: scipy's quadrature over a latent number, PyTorch's closed form and quadrature for a divergence, the law of total
covariance on fresh draws, shifts by hand, PyTorch's own multi-head attention.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor, nn

import pushforward as pf
from pushforward.core.process import Context
from pushforward.core.random import RowGenerator
from pushforward.models.processes import ConvolutionalNeuralProcess, NeuralProcess, TransformerNeuralProcess
from pushforward.parts.data import FunctionSet, gp_draws
from pushforward.parts.nn import ContextBlock, CrossAttention
from tests.cases import CASES

BUDGET = 1e-5
TAIL = float(stats.norm.isf(BUDGET / 2))
OURS = [name for name in CASES["processes"] if name.split(",")[0].split(" ")[0] in (
    "NeuralProcess", "AttentiveNeuralProcess", "ConvolutionalNeuralProcess", "TransformerNeuralProcess")]  # fmt: skip


def latent_process(latents: int = 1, **settings) -> NeuralProcess:
    """Weights large enough that the latent vector matters."""
    torch.manual_seed(0)
    process = NeuralProcess(hidden=8, latents=latents, layers=1, min_scale=0.3, **settings).double()
    with torch.no_grad():
        for weight in process.parameters():
            weight.normal_(std=0.7)
        process.decoder.head.linear.weight[1] = 0.0  # the same noise everywhere, so that it does not drown the rest
        process.decoder.head.linear.bias[1] = -2.0
        process.from_latent.weight.mul_(4)
    return process


def points(n: int = 2, m: int = 3, targets: int = 4) -> tuple[Context, Tensor, Tensor]:
    torch.manual_seed(1)
    x, y, at, values = (0.5 * torch.randn(n, count, 1).double() for count in (m, m, targets, targets))
    return Context.of(x, y), at, values


def exact_log_prob(process: NeuralProcess, context: Context, at: Tensor, y: Tensor, row: int) -> float:
    """log of the integral over one latent number of q(z | context) prod_j p(y_j | z), by scipy."""
    with torch.no_grad():
        q = process.posterior(context)
    loc, scale = float(q.mean[row, 0]), float(q.stddev[row, 0])

    def integrand(z: float) -> float:
        with torch.no_grad():
            parts = process.decode(torch.full((len(at), 1, 1), z).double(), context, at).base_dist
        mean, deviation = parts.mean[row, 0].numpy(), parts.stddev[row, 0].numpy()
        return float(stats.norm(mean, deviation).pdf(y[row].numpy()).prod() * stats.norm(loc, scale).pdf(z))

    return math.log(integrate.quad(integrand, loc - 8 * scale, loc + 8 * scale, limit=60, epsrel=1e-5)[0])


def test_the_joint_log_density_is_the_integral_over_the_latent_number():
    process, (context, at, y) = latent_process(draws=20_000), points()
    with torch.no_grad():
        prediction = process.predict(context, at, generator=torch.Generator().manual_seed(0))
        found = prediction.log_prob(y)
        each = prediction.component_distribution.log_prob(y[:, None]).exp()
    for row in range(2):
        relative = float(each[row].std() / each[row].mean()) / math.sqrt(20_000)
        exact = exact_log_prob(process, context, at, y, row)
        assert abs(float(found[row]) - exact) < TAIL * relative
        alone = stats.norm(prediction.mean[row], prediction.stddev[row]).logpdf(y[row]).sum()
        assert abs(alone - exact) > 2 * TAIL * relative  # a product over the targets is something else


def test_few_draws_give_a_lower_bound_on_average():
    process, (context, at, y) = latent_process(draws=4), points()
    with torch.no_grad():
        repeat = Context.of(*(v[:1].expand(2000, -1, -1) for v in (context.x, context.y)))
        prediction = process.predict(repeat, at[:1].expand(2000, -1, -1), generator=torch.Generator().manual_seed(0))
        found = prediction.log_prob(y[:1].expand(2000, -1, -1)).numpy()
    assert found.mean() + TAIL * found.std() / math.sqrt(2000) < exact_log_prob(process, context, at, y, 0)
    assert process.log_prob_kind == "estimate"


def test_the_bound_is_likelihood_minus_divergence_for_each_point():
    process = latent_process(latents=3)
    data = gp_draws("rbf", 3, points=(3, 6), seed=2)
    batch = data.take(torch.arange(3))
    batch = replace(batch, x=batch.x.double(), y=batch.y.double())
    losses = [process.objective(process, batch, RowGenerator(seed, 3)) for seed in range(3)]
    for seed, loss in enumerate(losses):
        # The context of this very step, drawn from the same stream; the divergence KL(with targets || context) by quadrature.
        context = pf.processes.random_context(batch.x, batch.y, batch.mask, RowGenerator(seed, 3).fork(0))
        q, p = process.posterior(Context(batch.x, batch.y, batch.mask)), process.posterior(context)
        z = q.mean + q.stddev * RowGenerator(seed, 3).fork(1).normal(1, 3, dtype=torch.float64)[:, 0]
        expected = []
        for i in range(3):
            divergence = sum(
                _divergence(*(v[i, d].detach() for v in (q.mean, q.stddev, p.mean, p.stddev))) for d in range(3)
            )
            parts = process.decode(z[:, None], context, batch.x).base_dist
            real = batch.mask[i]
            each = stats.norm(parts.mean[i, 0, real].detach(), parts.stddev[i, 0, real].detach())
            expected.append((each.logpdf(batch.y[i, real]).sum() - divergence) / int(real.sum()))
        np.testing.assert_allclose(-float(loss.value.detach()), np.mean(expected), rtol=1e-6)
    assert len({float(loss.metrics["divergence_per_point"]) for loss in losses}) == 3


def _divergence(m1: Tensor, s1: Tensor, m2: Tensor, s2: Tensor) -> float:
    one, two = stats.norm(float(m1), float(s1)), stats.norm(float(m2), float(s2))
    ends = one.ppf([1e-15, 1 - 1e-15])
    return integrate.quad(lambda z: one.pdf(z) * (one.logpdf(z) - two.logpdf(z)), *ends, epsabs=1e-11)[0]


def test_the_importance_objective_averages_joint_likelihoods():
    process = latent_process(objective="npml", training_draws=5)
    _, at, y = points(n=2, m=0, targets=4)
    batch = FunctionSet.of(at, y).take(torch.arange(2))
    loss = process.objective(process, batch, RowGenerator(0, 2))
    seen = pf.processes.random_context(at, y, batch.mask, RowGenerator(0, 2).fork(0))
    q = process.posterior(seen)
    z = q.mean[:, None] + q.stddev[:, None] * RowGenerator(0, 2).fork(1).normal(5, 1, dtype=torch.float64)
    parts = process.decode(z, seen, at).base_dist
    each = stats.norm(parts.mean.detach(), parts.stddev.detach()).logpdf(y[:, None]).sum((2, 3))
    np.testing.assert_allclose(-float(loss.value.detach()), np.log(np.exp(each).mean(1)).mean() / 4, rtol=1e-9)


@pytest.mark.parametrize("path", ["none", "mean", "attention"])
def test_draws_are_functions_that_hang_together(path):
    process = latent_process(latents=2, path=path, draws=64, heads=2)
    (context, _, _), at, n = points(n=1), torch.tensor([[[0.2], [0.3]]]).double(), 20_000  # two places, close together
    with torch.no_grad():
        prediction = process.predict(context, at)
        torch.manual_seed(5)
        drawn = prediction.sample((n,))[:, 0, :, 0]
    mean = prediction.component_distribution.mean[0, :, :, 0]
    noise = prediction.component_distribution.stddev[0, :, :, 0].square().mean(0)
    exact = torch.cov(mean.T, correction=0) + noise.diag()  # given z independent: noise is on the diagonal alone
    centred = drawn - mean.mean(0)
    products = centred[:, 0] * centred[:, 1]
    assert abs(float(products.mean() - exact[0, 1])) < TAIL * float(products.std()) / math.sqrt(n)
    assert abs(float(exact[0, 1])) > 2 * TAIL * float(products.std()) / math.sqrt(n)  # not by chance: they do share z
    torch.testing.assert_close(prediction.variance[0, :, 0], exact.diag())


def test_without_a_context_the_latent_vector_is_standard_normal():
    process, (_, at, _) = latent_process(latents=3), points()
    q = process.posterior(Context.of(at[:, :0], at[:, :0]))
    assert torch.equal(q.mean, torch.zeros(2, 3).double())
    assert torch.equal(q.stddev, torch.ones(2, 3).double())


def shifted_moments(process: pf.Process, context: Context, at: Tensor, shift: Tensor) -> Tensor:
    with torch.no_grad():
        moved = process.predict(Context(context.x + shift, context.y, context.mask), at + shift)
    return torch.cat([moved.mean, moved.stddev], -1)


@pytest.mark.parametrize(("x_dim", "levels"), [(1, 0), (1, 2), (2, 0), (2, 1)])
def test_a_convolutional_process_is_shifted_with_its_context(x_dim, levels):
    torch.manual_seed(0)
    process = ConvolutionalNeuralProcess(x_dim, 1, 4.0, channels=4, layers=3, kernel=3, levels=levels).double()
    x, y, at = torch.rand(3, 5, x_dim).double(), torch.randn(3, 5, 1).double(), torch.rand(3, 6, x_dim).double()
    context = Context(x, y, torch.arange(5) < torch.tensor([[5], [2], [1]]))
    still = shifted_moments(process, context, at, torch.zeros(x_dim))
    for shift in (0.25, 0.1234, -7.77):  # a cell; a part of one; many
        torch.testing.assert_close(shifted_moments(process, context, at, shift * torch.ones(x_dim)), still, rtol=0, atol=1e-9)  # fmt: skip
    own = torch.tensor([0.3, -0.7, 1.9])[:, None, None]  # a shift of its own for each function
    torch.testing.assert_close(shifted_moments(process, context, at, own), still, rtol=0, atol=1e-6)
    with torch.no_grad():  # but the targets alone may not move
        assert (process.predict(context, at + 0.25).mean - still[..., :1]).abs().max() > 1e-4


def test_the_other_processes_are_not_shifted():
    torch.manual_seed(0)
    process, (context, at, _) = TransformerNeuralProcess(width=8, layers=1, heads=2).double(), points()
    change = shifted_moments(process, context, at, torch.tensor(1.0)) - shifted_moments(
        process, context, at, torch.tensor(0.0)
    )
    assert change.abs().max() > 1e-3


def test_the_widths_of_the_bumps_are_learned():
    process = ConvolutionalNeuralProcess(points_per_unit=4.0, channels=4)
    context, at, y = points()
    context = Context.of(context.x.float(), context.y.float())
    process.predict(context, at.float()).log_prob(y.float()).sum().backward()
    for width in (process.log_width_in, process.log_width_out):
        assert width.grad is not None
        assert abs(float(width.grad)) > 1e-6


def test_attention_is_pytorchs_own():
    torch.manual_seed(0)
    ours, theirs = CrossAttention(8, heads=2), nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([layer.weight for layer in (ours.query, ours.key, ours.value)]))
        theirs.in_proj_bias.copy_(torch.cat([layer.bias for layer in (ours.query, ours.key, ours.value)]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    query, key, value = torch.randn(3, 4, 8), torch.randn(3, 6, 8), torch.randn(3, 6, 8)
    mask = torch.arange(6) < torch.tensor([[6], [3], [1]])
    torch.testing.assert_close(
        ours(query, key, value, mask), theirs(query, key, value, key_padding_mask=~mask, need_weights=False)[0]
    )


def test_attention_to_nothing_is_finite_and_so_is_its_gradient():
    block = ContextBlock(8, heads=2)
    x = torch.randn(2, 5, 8, requires_grad=True)
    out = block(x, torch.tensor([[False, False], [True, False]]))
    (gradient,) = torch.autograd.grad(out.square().sum(), x)
    assert out.isfinite().all()
    assert gradient.isfinite().all()
    torch.testing.assert_close(out[0, 2:], block(x[:1, 2:], torch.zeros(1, 0, dtype=torch.bool))[0])


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("given", [0, 1])
def test_no_target_gives_an_empty_prediction(name, given):
    process = CASES["processes"][name]()
    assert isinstance(process, pf.Process)
    x, y = torch.randn(2, given, process.x_dim), torch.randn(2, given, process.y_dim)
    prediction = process.predict(Context.of(x, y), torch.empty(2, 0, process.x_dim))
    assert prediction.sample().shape == (2, 0, process.y_dim)
    torch.testing.assert_close(prediction.log_prob(torch.empty(2, 0, process.y_dim)), torch.zeros(2))


@pytest.mark.parametrize("name", OURS)
def test_a_point_given_twice_is_no_trouble_and_gradients_are_finite(name):
    torch.manual_seed(0)
    process = CASES["processes"][name]()
    assert isinstance(process, pf.Process)
    x, y = torch.randn(3, 1, process.x_dim).repeat(1, 4, 1), torch.randn(3, 4, process.y_dim)
    batch = FunctionSet(x, y, torch.arange(4) < torch.tensor([[4], [1], [0]])).take(torch.arange(3))
    process.objective(process, batch, RowGenerator(0, 3)).value.backward()
    gradients = [p.grad for p in process.parameters() if p.grad is not None]
    assert gradients
    assert all(g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("name", OURS)
def test_nothing_in_the_padding_reaches_a_gradient(name):
    process, found = CASES["processes"][name](), []
    assert isinstance(process, pf.Process)
    torch.manual_seed(0)
    x, y = torch.randn(3, 4, process.x_dim), torch.randn(3, 4, process.y_dim)
    mask = torch.arange(4) < torch.tensor([[4], [2], [1]])
    for filling in (0.0, torch.nan):
        batch = FunctionSet(*(torch.where(mask[..., None], v, filling) for v in (x, y)), mask).take(torch.arange(3))
        loss = process.objective(process, batch, RowGenerator(0, 3)).value
        found.append((loss, *torch.autograd.grad(loss, list(process.parameters()), allow_unused=True)))
    for clean, dirty in zip(*found):
        assert (clean is None) == (dirty is None)
        if clean is not None:
            assert clean.isfinite().all()
            torch.testing.assert_close(clean, dirty)
