"""D3: a neural ODE is a residual network in the limit, a homeomorphism without extra room, and a classifier with a head.

Oracles: a residual network written with torch alone, scipy's matrix exponential, quadrature and densities, finite differences.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad
from scipy.linalg import expm
from torch import Tensor, nn

from pushforward.core.data import Batch
from pushforward.core.errors import DataError
from pushforward.core.process import Context
from pushforward.core.random import RowGenerator
from pushforward.models.dynamics import NeuralODE, neural_ode, neural_ode_series
from pushforward.parts.data import Series, Table, load
from pushforward.parts.diffeq import Dopri5, Euler
from pushforward.parts.nn import ConvVectorField, VectorField

A = np.array([[-0.3, 2.0, 0.0], [-2.0, -0.3, 0.5], [0.1, 0.0, -0.8]])


def linear_field(matrix: np.ndarray) -> VectorField:
    """f(h) = matrix h."""
    field = VectorField(len(matrix), hidden=()).double()
    with torch.no_grad():
        field.network.head.linear.weight.copy_(torch.tensor(matrix))
        field.network.head.linear.bias.zero_()
    return field


@pytest.mark.parametrize("depth", [1, 5])
def test_euler_with_unit_steps_is_a_residual_network_with_shared_weights(depth):
    first, second, read_out = nn.Linear(4, 16).double(), nn.Linear(16, 4).double(), nn.Linear(4, 3).double()
    x, labels = torch.randn(7, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2, 0])
    h = torch.nn.functional.pad(x, (0, 1))
    for _ in range(depth):
        h = h + second(torch.tanh(first(h)))
    logits = read_out(h)
    nn.functional.cross_entropy(logits, labels).backward()

    model = NeuralODE((3,), 3, VectorField(4, (16,)), 1, solver=Euler(), step_size=1.0, duration=float(depth)).double()
    model.field.network.hidden[0].load_state_dict(first.state_dict())
    model.field.network.head.linear.load_state_dict(second.state_dict())
    model.read_out.load_state_dict(read_out.state_dict())
    torch.testing.assert_close(model(x), logits, rtol=1e-12, atol=1e-12)
    model.objective(model, Batch(x, labels), RowGenerator(0, 7)).value.backward()
    torch.testing.assert_close(model.field.network.hidden[0].weight.grad, first.weight.grad, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(model.field.network.head.linear.bias.grad, second.bias.grad, rtol=1e-10, atol=1e-12)


def test_a_linear_field_is_the_matrix_exponential():
    model = NeuralODE((2,), 2, linear_field(A), 1, rtol=1e-9, atol=1e-11, duration=1.5).double()
    x = torch.randn(5, 2, dtype=torch.float64)
    h0 = np.concatenate([x.numpy(), np.zeros((5, 1))], 1)
    np.testing.assert_allclose(model.features(x).detach(), h0 @ expm(1.5 * A).T, rtol=1e-7, atol=1e-8)
    path = model.trajectory(x, torch.tensor([0.0, 0.4, 1.5], dtype=torch.float64)).detach()
    np.testing.assert_allclose(path[1], h0 @ expm(0.4 * A).T, rtol=1e-6, atol=1e-7)


def test_the_kinetic_energy_is_the_integral_of_the_squared_speed():
    model = NeuralODE((3,), 2, linear_field(A), kinetic=1.0, rtol=1e-9, atol=1e-11).double()
    x = torch.randn(4, 3, dtype=torch.float64)
    numbers, energy = model._with_energy(x)

    def speed(t: float, row: np.ndarray) -> float:
        return np.square(A @ expm(t * A) @ row).mean()

    truth = [quad(speed, 0, 1, args=(row,))[0] for row in x.numpy()]
    np.testing.assert_allclose(energy.detach(), truth, rtol=1e-7)
    torch.testing.assert_close(numbers, model(x), rtol=1e-7, atol=1e-8)
    labels = torch.tensor([0, 1, 1, 0])
    with_energy = model.objective(model, Batch(x, labels), RowGenerator(0, 4)).value
    plain = nn.functional.cross_entropy(model(x), labels)
    assert float((with_energy - plain).detach()) == pytest.approx(np.mean(truth), rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_without_room_a_line_keeps_its_order(seed):
    torch.manual_seed(seed)
    field = VectorField(1, (16,), time=True)
    for parameter in field.parameters():
        nn.init.normal_(parameter)
    model = NeuralODE((1,), 2, field, rtol=1e-6, atol=1e-8)
    ends = model.features(torch.linspace(-2, 2, 50)[:, None])[:, 0]
    assert bool((ends.diff() > 0).all())


def test_with_room_a_line_can_be_turned_round():
    turn = np.array([[0.0, -math.pi], [math.pi, 0.0]])
    model = NeuralODE((1,), 2, linear_field(turn), augment=1, rtol=1e-9, atol=1e-11).double()
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    torch.testing.assert_close(model.features(x)[:, :1], -x, rtol=0, atol=1e-7)
    assert model.begin(x).shape == (9, 2)
    assert bool((model.begin(x)[:, 1] == 0).all())


def test_the_predictions_are_scipys_in_the_units_of_the_data():
    values = torch.randn(40, 4) * torch.tensor([1.0, 100.0, 0.1, 5.0]) + 3
    table = Table.of(values, ["a", "b", "c", "d"]).given("c", "d")
    model = neural_ode(table, head="regress", hidden=(8,), augment=1)
    batch = table.take(torch.arange(40))
    prediction = model.predict(batch.x)
    expected = stats.norm(prediction.mean.detach(), prediction.stddev.detach()).logpdf(values[:, 2:]).sum(1).mean()
    assert float(model.objective(model, batch, RowGenerator(0, 40)).value.detach()) == pytest.approx(
        -expected, rel=1e-4
    )
    torch.testing.assert_close(model.begin(batch.x).mean(0), torch.zeros(3), rtol=0, atol=1e-4)


def test_gradients_are_finite_differences():
    model = NeuralODE((2,), 3, VectorField(3, (5,), time=True), 1, kinetic=0.3, rtol=1e-10, atol=1e-12).double()
    x, labels = torch.randn(3, 2, dtype=torch.float64), torch.tensor([0, 2, 1])
    names = [name for name, _ in model.named_parameters()]

    def loss(x: Tensor, *weights: Tensor) -> Tensor:
        batch = Batch(x, labels)
        call = torch.func.functional_call(
            _Loss(model), dict(zip([f"model.{name}" for name in names], weights)), (batch,)
        )
        return call

    weights = [parameter.detach().clone().requires_grad_() for parameter in model.parameters()]
    assert torch.autograd.gradcheck(
        loss, (x.requires_grad_(), *weights), eps=1e-5, atol=1e-5, rtol=1e-4, fast_mode=True
    )


@pytest.mark.parametrize("gradient", ["checkpointed", "adjoint", "reversible"])
def test_all_ways_to_differentiate_the_solve_agree(gradient):
    found = []
    for own in ("direct", gradient):
        torch.manual_seed(0)
        settings = (
            {"solver": Dopri5(), "step_size": 0.02} if gradient == "reversible" else {"rtol": 1e-10, "atol": 1e-12}
        )
        model = NeuralODE((2,), 3, VectorField(3, (5,), time=True), 1, kinetic=0.3, gradient=own, **settings).double()
        x = torch.randn(4, 2, dtype=torch.float64)
        model.objective(model, Batch(x, torch.tensor([0, 2, 1, 1])), RowGenerator(0, 4)).value.backward()
        found.append(torch.cat([torch.zeros(0) if p.grad is None else p.grad.flatten() for p in model.parameters()]))
    torch.testing.assert_close(found[1], found[0], rtol=1e-3 if gradient == "reversible" else 1e-6, atol=1e-6)


class _Loss(nn.Module):
    def __init__(self, model: NeuralODE):
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Tensor:
        return self.model.objective(self.model, batch, RowGenerator(0, len(batch))).value


def test_a_convolutional_field_commutes_with_shifts_of_the_image():
    model = NeuralODE((1, 12, 12), 2, ConvVectorField(3, 6), 2)
    image = torch.zeros(1, 1, 12, 12)
    image[..., 5:7, 5:7] = torch.randn(2, 2)
    with torch.no_grad():
        here, there = model.features(image), model.features(image.roll((1, -1), (2, 3)))
    # Far from the border, whose zeros are another surrounding.
    inner = (slice(None), slice(None), slice(5, 8), slice(4, 7))
    torch.testing.assert_close(there[inner], here.roll((1, -1), (2, 3))[inner], rtol=1e-2, atol=1e-3)


def test_small_digits_are_learned():
    digits = load("digits")
    train, test = digits.split((0.8, 0.2), 0)
    model = neural_ode(train, hidden=(12,), augment=3, solver="Heun", step_size=0.5)
    adam = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(60):
        generator = RowGenerator(step, 128)
        adam.zero_grad()
        model.objective(model, train.take(generator.integers(len(train))), generator).value.backward()
        adam.step()
    batch = test.take(torch.arange(len(test)))
    accuracy = (model.predict(batch.x).probs.argmax(1) == batch.condition).double().mean()
    assert accuracy > 0.9  # 0.1 by chance; 60 steps are far from enough for the best


# --- the forecaster of what is observed itself ---
def test_a_linear_forecaster_is_the_matrix_exponential_from_the_last_full_point():
    model = neural_ode_series(channels=3, hidden=()).double()
    model.field, model.rtol, model.atol = linear_field(A), 1e-9, 1e-11
    t = torch.tensor([[2.0, 0.0, 1.0, 9.0]], dtype=torch.float64)  # in no order, the last one padding
    y = torch.randn(1, 4, 3, dtype=torch.float64)
    mask = torch.ones(1, 4, 3, dtype=torch.bool)
    mask[0, 0, 1] = mask[0, 3] = False  # at time 2 a channel is missing
    y[0, 3] = torch.nan
    target = torch.tensor([[[0.5], [3.0], [-0.5], [1.0]]], dtype=torch.float64)
    prediction = model.predict(Context(t[..., None], y, mask), target)
    sources = [(1, 0.5), (2, 2.0), (1, -0.5), (2, 0.0)]
    truth = np.stack([expm(gap * A) @ y[0, i].numpy() for i, gap in sources])
    np.testing.assert_allclose(prediction.mean[0].detach(), truth, rtol=1e-6, atol=1e-7)
    spread = prediction.stddev[0].detach()
    slope = ((spread[1] ** 2 - spread[3] ** 2) / 2.0, (spread[0] ** 2 - spread[3] ** 2) / 0.5)
    torch.testing.assert_close(*slope)  # the variance grows in proportion to the time since


@pytest.mark.parametrize("log", [False, True])
def test_the_shooting_loss_is_the_mean_density_of_the_points_ahead(log):
    t = torch.arange(4.0, dtype=torch.float64)
    x = torch.randn(6, 4, 2, dtype=torch.float64) * 3 + 1
    x = x.exp() if log else x
    x[:, 1:3, 1] = torch.nan  # so that the first point is the only start
    series = Series.of(t, x)
    model = neural_ode_series(series.to("cpu"), hidden=(4,), log=log, horizon=2, starts=3).double()
    batch = series.take(torch.arange(6))
    batch = type(batch)(batch.t.double(), batch.x.double(), batch.observed)
    context = Context(batch.t[:, :1, None], batch.x[:, :1], batch.observed[:, :1])
    prediction = model.predict(context, batch.t[:, 1:3, None])
    loc, scale = prediction.base_dist.loc.detach(), prediction.base_dist.scale.detach()
    truth = stats.lognorm(s=scale, scale=loc.exp()) if log else stats.norm(loc, scale)
    density = truth.logpdf(batch.x[:, 1:3])
    loss = model.objective(model, batch, RowGenerator(0, 6)).value
    assert float(loss.detach()) == pytest.approx(-density[..., 0].mean(), rel=1e-3)


def test_logarithms_are_forecast_for_positive_numbers():
    t, x = torch.arange(5.0), torch.rand(8, 5, 2) * 1000 + 1
    model = neural_ode_series(Series.of(t, x), log=True, hidden=(4,))
    prediction = model.predict(Context.of(t[None, :3, None], x[:1, :3]), t[None, 3:, None])
    expected = stats.lognorm(s=prediction.base_dist.scale.detach(), scale=prediction.base_dist.loc.exp().detach())
    np.testing.assert_allclose(prediction.mean.detach(), expected.mean(), rtol=1e-4)
    assert bool((prediction.sample((100,)) > 0).all())
    with pytest.raises(DataError, match="above 0"):
        neural_ode_series(Series.of(t, -x), log=True)
