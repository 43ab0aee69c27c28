"""D5: a latent ODE bounds the likelihood from below, reads sets of points that differ in every way, and decodes at any time.

Oracles: Gaussian conditioning in closed form, quadrature, the matrix exponential, PyTorch's own GRU on packed sequences, finite
differences, and reordering, padding and shifting by hand.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad
from scipy.linalg import expm
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from pushforward.core.process import Context
from pushforward.core.random import RowGenerator
from pushforward.models.dynamics import LatentODE, latent_ode
from pushforward.models.dynamics.conditioning import condition_on
from pushforward.models.dynamics.latent_ode import kl_to_prior
from pushforward.parts.data import Series, SeriesBatch
from pushforward.parts.nn import MLP, ODERNN, SeriesEncoder, SeriesGRU, VectorField, last_real
from pushforward.parts.nn.series_encoder import KINDS

SIGMAS = 5.0  # a false alarm in 1.7 million


def double(values) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# --- a model whose likelihood is known: a number z moves as exp(a t), two channels see it with noise ---
RATE, WEIGHT, SHIFT, NOISE = -0.7, double([1.5, -0.8]), double([0.2, 1.0]), 0.3


class Answer(nn.Module):
    """An encoder that has been told mean and scale of its posterior."""

    def __init__(self, mean: Tensor, scale: Tensor):
        super().__init__()
        self.numbers = torch.stack([mean, torch.log(torch.expm1(scale - 1e-3))], -1)

    def forward(self, t: Tensor, x: Tensor, observed: Tensor) -> Tensor:
        return self.numbers


def linear_model(encoder: nn.Module) -> LatentODE:
    field, decoder = VectorField(1, ()), MLP(1, 2, ())
    with torch.no_grad():
        field.network.head.linear.weight.fill_(RATE)
        field.network.head.linear.bias.zero_()
        decoder.head.linear.weight.copy_(WEIGHT[:, None])
        decoder.head.linear.bias.copy_(SHIFT)
    model = LatentODE(encoder, field, decoder, NOISE, "all", draws=512, rtol=1e-9, atol=1e-11).double()
    # The noise was set in float32; and units, so that they are seen to be accounted for.
    model.raw_noise.copy_(torch.log(torch.expm1(double(NOISE) - 1e-3)).expand(2))
    model.x_loc.copy_(double([3.0, -1.0]))
    model.x_scale.copy_(double([2.0, 0.5]))
    model.t_loc.fill_(1.0)
    model.t_scale.fill_(4.0)
    return model


def ragged_batch() -> SeriesBatch:
    t = double([[1.0, 2.0, 3.5, 5.0], [1.5, 4.0, 4.0, 4.0], [1.0, 1.2, 5.0, 6.0]])
    observed = torch.tensor([[[1, 1], [1, 0], [0, 1], [1, 1]], [[1, 1], [0, 1], [0, 0], [0, 0]], [[1, 0]] * 4]).bool()
    x = torch.randn(3, 4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) * 2 + 1
    return SeriesBatch(t, torch.where(observed, x, 0.0), observed)


def row_facts(batch: SeriesBatch, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is seen of row i, its mean given z = 0, and its slope in z, in the units of the data."""
    seen = batch.observed[i].numpy()
    scale, loc = np.array([2.0, 0.5]), np.array([3.0, -1.0])
    growth = np.exp(RATE * (batch.t[i].numpy() - 1.0) / 4.0)[:, None]
    slope = scale * growth * WEIGHT.numpy()
    mean = np.broadcast_to(loc + scale * SHIFT.numpy(), slope.shape)
    noise = np.broadcast_to((NOISE * scale) ** 2, slope.shape)
    return batch.x[i].numpy()[seen] - mean[seen], slope[seen], noise[seen]


def exact(batch: SeriesBatch) -> tuple[Tensor, Tensor, Tensor]:
    """log p(x), and mean and deviation of z given x, by conditioning a Gaussian."""
    found = []
    for i in range(len(batch)):
        y, h, r = row_facts(batch, i)
        log_p = stats.multivariate_normal(np.zeros(len(y)), np.outer(h, h) + np.diag(r)).logpdf(y)
        variance = 1 / (1 + np.sum(h**2 / r))
        found.append((log_p, variance * np.sum(h * y / r), math.sqrt(variance)))
    return tuple(double(column) for column in zip(*found))  # type: ignore[return-value]


def repeated(batch: SeriesBatch, times: int) -> SeriesBatch:
    rows = torch.arange(len(batch)).repeat_interleave(times)
    return SeriesBatch(batch.t[rows], batch.x[rows], batch.observed[rows])


def test_importance_weights_of_the_exact_posterior_are_the_likelihood():
    batch = ragged_batch()
    log_p, mean, scale = exact(batch)
    model = linear_model(Answer(mean, scale))
    estimate = model.log_likelihood(batch, RowGenerator(0, 3), samples=2)
    torch.testing.assert_close(estimate.detach(), log_p, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("off", "wide"), [(0.0, 1.0), (0.4, 1.0), (-0.2, 1.7), (0.0, 0.5)])
def test_the_elbo_is_the_likelihood_less_the_divergence_of_q_from_the_posterior(off, wide):
    batch, times = ragged_batch(), 1500
    log_p, mean, scale = exact(batch)
    many = repeated(batch, times)
    q = Normal(mean + off, wide * scale)
    model = linear_model(Answer(*(v.repeat_interleave(times) for v in (q.mean, q.stddev))))
    with torch.no_grad():
        found = model.elbo(many, RowGenerator(0, len(many))).unflatten(0, (3, times))
    gap = kl_divergence(q, Normal(mean, scale))
    error = found.std(1) / math.sqrt(times)
    assert bool(((found.mean(1) - (log_p - gap)).abs() < SIGMAS * error).all())


def test_the_objective_is_minus_the_elbo_per_observed_number():
    batch = ragged_batch()
    _, mean, scale = exact(batch)
    model = linear_model(Answer(mean, scale))
    loss = model.objective(model, batch, RowGenerator(0, 3))
    assert float(loss.value.detach()) == pytest.approx(
        -float(model.elbo(batch, RowGenerator(0, 3)).sum().detach()) / 13
    )


@pytest.mark.parametrize(("mean", "scale"), [(0.0, 1.0), (1.3, 0.4), (-0.5, 2.5)])
def test_the_divergence_is_its_integral(mean, scale):
    q = stats.norm(mean, scale)
    truth = quad(lambda z: q.pdf(z) * (q.logpdf(z) - stats.norm.logpdf(z)), mean - 12 * scale, mean + 12 * scale)[0]
    found = kl_to_prior(double([[mean, mean]]), double([[scale, scale]]))
    assert float(found) == pytest.approx(2 * truth, abs=1e-8)


def test_predictions_are_those_of_gaussian_conditioning():
    batch = ragged_batch()
    _, mean, scale = exact(batch)
    model = linear_model(Answer(mean, scale))
    target = double([0.0, 2.0, 9.0])  # before the data, among them, beyond
    prediction = model.predict(batch.context(), target[None, :, None].expand(3, 3, 1))
    slope = (double([2.0, 0.5]) * WEIGHT) * torch.exp(RATE * (target - 1.0) / 4.0)[:, None]
    centre = double([3.0, -1.0]) + double([2.0, 0.5]) * SHIFT
    # Draws come in pairs, so a mean that is linear in z is exact; a variance of 256 pairs is within 5 sqrt(2 / 256).
    torch.testing.assert_close(prediction.mean.detach(), centre + slope * mean[:, None, None], rtol=1e-6, atol=1e-6)
    noise = (NOISE * double([2.0, 0.5])).square()
    found = (prediction.variance.detach() - noise) / (slope * scale[:, None, None]).square()
    assert bool((found - 1).abs().max() < SIGMAS * math.sqrt(2 / 256))
    assert bool((found - found[:1, :1, :1]).abs().max() < 1e-5)  # the draws are joint over the targets


# --- encoders ---
@pytest.mark.parametrize("network", [ODERNN(3, 6, (8,)), SeriesGRU(3, 6)])
def test_without_motion_the_states_are_those_of_torchs_gru_on_packed_sequences(network):
    torch.manual_seed(1)
    network = network.double()
    peer = nn.GRU(3, 6, batch_first=True).double()
    if isinstance(network, ODERNN):
        for parameter in network.field.network.head.parameters():
            nn.init.zeros_(parameter)
        own, cell = network.cell.state_dict(), peer.state_dict()
        network.cell.load_state_dict({name: cell[f"{name}_l0"] for name in own})
    else:
        network.layer.load_state_dict(peer.state_dict())
    lengths = [5, 1, 3]
    x, gaps = torch.randn(3, 5, 3, dtype=torch.float64), torch.rand(3, 5, dtype=torch.float64)
    real = torch.arange(5) < torch.tensor(lengths)[:, None]
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    x = torch.where(real[..., None], x, torch.nan)
    torch.testing.assert_close(last_real(network(x, gaps, real), real), peer(packed)[1][0])


def test_between_points_the_state_follows_its_field():
    torch.manual_seed(0)
    network = ODERNN(2, 4, (), substeps=400).double()
    h, gap = torch.randn(3, 4, dtype=torch.float64), double([0.0, 0.5, 2.0])
    nn.init.zeros_(network.field.network.head.linear.bias)
    matrix = network.field.network.head.linear.weight.detach().numpy()
    truth = np.stack([expm(float(g) * matrix) @ row for g, row in zip(gap, h.numpy())])
    np.testing.assert_allclose(network.evolve(h, gap).detach(), truth, atol=5e-3)
    assert torch.equal(network.evolve(h, gap)[0], h[0])


def test_a_decaying_state_halves_at_its_rate():
    network = SeriesGRU(2, 3, decay=True).double()
    with torch.no_grad():
        network.rate.fill_(math.log(2))
    h = torch.randn(2, 3, dtype=torch.float64)
    torch.testing.assert_close(network.evolve(h, double([0.0, 3.0])), torch.stack([h[0], h[1] / 8]))


@pytest.mark.parametrize("kind", KINDS)
def test_an_encoder_sees_nothing_but_what_was_observed(kind):
    torch.manual_seed(0)
    encoder = SeriesEncoder(2, 5, 6, kind).double()
    t = torch.rand(3, 6, dtype=torch.float64)
    x, observed = torch.randn(3, 6, 2, dtype=torch.float64), torch.rand(3, 6, 2) < 0.6
    observed[0], observed[2] = True, False
    bare = encoder(t, x, observed)
    assert not torch.allclose(bare[0], bare[1])
    order = torch.randperm(6)
    torch.testing.assert_close(encoder(t[:, order], x[:, order], observed[:, order]), bare)
    torch.testing.assert_close(encoder(t, torch.where(observed, x, torch.nan), observed), bare)
    wide = [torch.cat([v, torch.full_like(v[:, :3], math.nan)], 1) for v in (t, x)]
    padded = torch.cat([observed, torch.zeros(3, 3, 2, dtype=torch.bool)], 1)
    torch.testing.assert_close(encoder(*wide, padded), bare)
    seen = observed[1].any(-1)
    alone = encoder(t[1:2, seen], x[1:2, seen], observed[1:2, seen])
    torch.testing.assert_close(alone, bare[1:2])
    assert not torch.allclose(encoder(t * 1.5, x, observed)[:2], bare[:2])  # times do matter


# --- the whole model ---
def small_model(kind: str = "rnn", **settings) -> LatentODE:
    torch.manual_seed(0)
    model = latent_ode(
        channels=2, latent=3, encoder=kind, encoder_width=6, field_hidden=(8,), decoder_hidden=(8,), **settings
    )
    model.rtol, model.atol = 1e-9, 1e-11
    return model.double()


@pytest.mark.parametrize("kind", KINDS)
def test_the_elbo_of_a_row_does_not_depend_on_its_padding_or_company(kind):
    batch, model = ragged_batch(), small_model(kind)
    together = model.elbo(batch, RowGenerator(5, 3))
    for i, length in enumerate((4, 2, 4)):
        row = slice(i, i + 1)
        alone = SeriesBatch(batch.t[row, :length], batch.x[row, :length], batch.observed[row, :length])
        torch.testing.assert_close(model.elbo(alone, RowGenerator(5, 3).slice(i, i + 1)), together[row])


@pytest.mark.parametrize("kind", KINDS)
def test_a_shift_of_all_times_changes_nothing(kind):
    batch, model = ragged_batch(), small_model(kind)
    before, target = model.elbo(batch, RowGenerator(0, 3)), batch.t[..., None] + 0.7
    mean = model.predict(batch.context(), target).mean
    later = SeriesBatch(batch.t + 100, batch.x, batch.observed)
    model.t_loc += 100
    torch.testing.assert_close(model.elbo(later, RowGenerator(0, 3)), before)
    torch.testing.assert_close(model.predict(later.context(), target + 100).mean, mean)


def test_times_are_decoded_in_any_order_on_both_sides_of_the_start():
    torch.manual_seed(0)
    model, z = small_model(), torch.randn(4, 3, dtype=torch.float64)
    model.field = VectorField(3, ()).double()
    nn.init.zeros_(model.field.network.head.linear.bias)
    matrix = model.field.network.head.linear.weight.detach().numpy()
    t = double([[2.0, -1.0, 0.0, 2.0, -3.0], [5.0, 1.0, 0.5, 0.1, 0.0], [-1.0, -2.0, -3.0, -0.5, -0.1], [0.0] * 5])
    found = model.decode(z, t)
    paths = np.stack([[expm(s * matrix) @ row for s in times] for times, row in zip(t.tolist(), z.numpy())])
    truth = model.decoder(torch.tensor(paths).flatten(0, 1)).unflatten(0, (4, 5))
    torch.testing.assert_close(found, truth, rtol=1e-6, atol=1e-7)


def test_predictions_repeat_and_rows_of_a_seed_do_not_depend_on_their_number():
    batch, model = ragged_batch(), small_model()
    target = batch.t[..., None]
    assert torch.equal(model.predict(batch.context(), target).mean, model.predict(batch.context(), target).mean)
    few = Context(*(v[:2] for v in (batch.t[..., None], batch.x, batch.observed)))
    drawn = model.predict(batch.context(), target, generator=torch.Generator().manual_seed(4)).mean
    torch.testing.assert_close(
        model.predict(few, target[:2], generator=torch.Generator().manual_seed(4)).mean, drawn[:2]
    )
    assert not torch.allclose(drawn, model.predict(batch.context(), target).mean)
    t = double([0.5, 1.0])
    paths = [model.sample_paths(n, t, generator=torch.Generator().manual_seed(1)) for n in (2, 5)]
    torch.testing.assert_close(paths[0], paths[1][:2])


@pytest.mark.parametrize("kind", ["rnn", "ode_rnn"])
def test_gradients_are_finite_differences(kind):
    batch, model = ragged_batch(), small_model(kind, context="random", solver="Heun")
    names = [f"model.{name}" for name, _ in model.named_parameters()]
    weights = [parameter.detach().clone().requires_grad_() for parameter in model.parameters()]

    def loss(*weights: Tensor) -> Tensor:
        return torch.func.functional_call(_Loss(model), dict(zip(names, weights)), (batch,))

    assert torch.autograd.gradcheck(loss, tuple(weights), eps=1e-5, atol=1e-5, rtol=1e-4, fast_mode=True)


class _Loss(nn.Module):
    def __init__(self, model: LatentODE):
        super().__init__()
        self.model = model

    def forward(self, batch: SeriesBatch) -> Tensor:
        return self.model.objective(self.model, batch, RowGenerator(0, len(batch))).value


def test_the_part_of_the_points_that_is_shown_has_any_size_equally_likely():
    n, length = 4000, 4
    observed = torch.ones(n, 6, 1, dtype=torch.bool)
    observed[:, length:] = False
    batch = SeriesBatch(torch.arange(6.0).clamp(max=3.0).expand(n, 6), torch.zeros(n, 6, 1), observed)
    for kind in ("random", "past"):
        shown = condition_on(kind, batch, RowGenerator(0, n)).mask[..., 0]
        assert not shown[:, length:].any()
        counts = torch.bincount(shown.sum(1), minlength=length + 1)
        assert stats.chisquare(counts.numpy()).pvalue > 1e-5
        if kind == "past":
            assert bool((shown[:, :-1] >= shown[:, 1:]).all())
        else:
            assert stats.chisquare(shown[:, :length].sum(0).numpy()).pvalue > 1e-5
    assert torch.equal(condition_on("all", batch, RowGenerator(0, n)).mask, observed)


def test_units_are_taken_from_the_data():
    t = torch.tensor([[0.0, 10.0, 30.0]])
    series = Series.of(t, torch.tensor([[[1.0, 5.0], [3.0, math.nan], [5.0, 5.0]]]))
    model = latent_ode(series, noise=0.1)
    torch.testing.assert_close(model.noise, torch.tensor([0.1 * math.sqrt(8 / 3), 0.1]))
    assert (float(model.t_loc), float(model.t_scale)) == (0.0, 30.0)


def test_training_learns_waves():
    generator = torch.Generator().manual_seed(0)
    t = torch.linspace(0, 3, 16)
    phase = 6.28 * torch.rand(400, 1, generator=generator)
    clean = torch.stack([torch.sin(2 * t + phase), torch.cos(2 * t + phase)], -1)
    series = Series.of(t, clean + 0.1 * torch.randn(clean.shape, generator=generator))
    model = latent_ode(series, latent=3, context="all", encoder_width=24)
    adam, steps = torch.optim.Adam(model.parameters(), 1e-2), 120
    rate = torch.optim.lr_scheduler.OneCycleLR(adam, 1e-2, steps)
    for step in range(steps):
        source = RowGenerator(step, 64)
        adam.zero_grad()
        model.objective(model, series.take(source.fork(0).integers(360)), source.fork(1)).value.backward()
        adam.step()
        rate.step()
    batch = series.take(torch.arange(360, 400))
    with torch.no_grad():
        prediction = model.predict(batch.context(), batch.t[..., None])
    error = (prediction.mean - clean[360:]).square().mean().sqrt()
    assert float(error) < 0.3  # the waves have a deviation of 0.7
    assert bool((model.noise.detach() < 0.4).all())
