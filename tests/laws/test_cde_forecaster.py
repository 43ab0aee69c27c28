"""D6, forecasts: the state after the last observation moves with time alone, and nothing that comes later is looked at.

Oracles: the matrix exponential for an affine field, gradients for causality, densities of scipy.
"""

import pytest
import torch
from scipy import stats
from scipy.linalg import expm

import pushforward as pf
from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.process import Context
from pushforward.core.random import RowGenerator
from pushforward.models.dynamics import CDEForecaster, NeuralCDE, neural_cde_series
from pushforward.models.dynamics.cde_forecaster import forecast_likelihood, in_order
from pushforward.parts.data import Series


def stirred(**settings) -> CDEForecaster:
    torch.manual_seed(0)
    model = neural_cde_series(channels=2, hidden=4, width=6, **settings).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.4)
    return model


def observations(n: int = 3, points: int = 6) -> Context:
    generator = torch.Generator().manual_seed(1)
    t = torch.rand(n, points, generator=generator, dtype=torch.float64).cumsum(1)
    y = torch.randn(n, points, 2, generator=generator, dtype=torch.float64)
    mask = torch.rand(n, points, 2, generator=generator) < 0.7
    mask[:, 0] = True
    return Context(t[..., None], y, mask)


def test_after_the_last_observation_the_state_follows_the_field_of_time():
    """With an affine field dz/dt = A z + b, so z(t) = expm of the bordered matrix."""
    torch.manual_seed(0)
    network = NeuralCDE(
        1, 1, hidden=3, layers=0, head="regress", interpolation="linear", counts=True, causal=True
    ).double()
    network.field.bounded = False
    model = CDEForecaster(network).double()
    context = Context.of(
        torch.tensor([[[0.0], [0.4], [1.0]]]).double(), torch.tensor([[[1.0], [-0.5], [0.3]]]).double()
    )
    with torch.no_grad():
        start = network.states(in_order(context))[-1, 0]
        layer = network.field.layers[0]
        border = torch.zeros(4, 4, dtype=torch.float64)
        border[:3, :3], border[:3, 3] = layer.weight[:3], layer.bias[:3]  # the first channel of the path is time
        for ahead in (0.0, 0.3, 1.7):
            z = torch.as_tensor(expm(border.numpy() * ahead)) @ torch.cat([start, torch.ones(1, dtype=torch.float64)])
            expected = network.read_out(z[:3])[0]
            found = model.predict(context, torch.tensor([[[1.0 + ahead]]], dtype=torch.float64)).mean
            assert float(found) == pytest.approx(float(expected), abs=2e-5)


def test_a_forecast_knows_what_was_before_and_nothing_after():
    model, context = stirred(), observations()
    target = (0.5 * (context.x[:, 2] + context.x[:, 3]))[:, None]
    y = context.y.clone().requires_grad_()
    prediction = model.predict(Context(context.x, y, context.mask), target)
    (slope,) = torch.autograd.grad(prediction.mean.sum() + prediction.stddev.sum(), y)
    assert (slope[:, 3:] == 0).all()
    assert (slope[:, :3].abs().sum((1, 2)) > 0).all()
    assert (slope[~context.mask] == 0).all()
    earlier = Context(context.x[:, :3], context.y[:, :3], context.mask[:, :3])
    torch.testing.assert_close(model.predict(earlier, target).mean, prediction.mean)


def test_order_padding_and_company_change_nothing():
    model, context = stirred(), observations()
    target = torch.tensor([0.1, 1.0, 9.0], dtype=torch.float64).expand(3, 3)[..., None]
    whole = model.predict(context, target)
    order = torch.tensor([4, 0, 5, 2, 1, 3])
    shuffled = Context(context.x[:, order], context.y[:, order], context.mask[:, order])
    torch.testing.assert_close(model.predict(shuffled, target).mean, whole.mean)
    nothing = torch.full_like(context.y, torch.nan)
    longer = Context(torch.cat([context.x, 50 + context.x], 1), torch.cat([context.y, nothing], 1),
                     torch.cat([context.mask, torch.zeros_like(context.mask)], 1))  # fmt: skip
    torch.testing.assert_close(model.predict(longer, target).stddev, whole.stddev)


def test_without_a_past_it_is_the_channels_own_mean_and_spread():
    series = Series.of([0.0, 1.0, 2.0, 4.0], 5 + 3 * torch.randn(20, 4, 2, generator=torch.Generator().manual_seed(0)))
    model, units = neural_cde_series(series), series.units()
    empty = Context(torch.zeros(2, 0, 1), torch.zeros(2, 0, 2), torch.zeros(2, 0, dtype=torch.bool))
    unseen = Context(torch.ones(2, 3, 1), torch.ones(2, 3, 2), torch.zeros(2, 3, dtype=torch.bool))
    for context in (empty, unseen, Context.of(torch.full((2, 1, 1), 3.0), torch.ones(2, 1, 2))):
        prediction = model.predict(context, torch.full((2, 4, 1), 1.5))
        torch.testing.assert_close(prediction.mean, units.mean.expand(2, 4, 2))
        torch.testing.assert_close(prediction.stddev, units.std.expand(2, 4, 2))


def test_the_loss_is_the_density_of_what_predict_says():
    """One start, a horizon of one: minus the log density, by scipy, of the point after it under `predict` of those before."""
    model = stirred(horizon=1, starts=1)
    model.network.x_scale.copy_(torch.tensor([2.0, 0.5]))
    model.network.y_scale.copy_(torch.tensor([2.0, 0.5]))
    series = Series.of(
        torch.tensor([0.0, 0.05]).double(), torch.randn(5, 2, 2, generator=torch.Generator().manual_seed(2)).double()
    )
    loss = forecast_likelihood(model, series.take(torch.arange(5)), RowGenerator(0, 5)).value
    past = Context.of(series.t[:, :1, None], series.x[:, :1])
    prediction = model.predict(past, series.t[:, 1:, None])
    density = stats.norm(prediction.mean.detach(), prediction.stddev.detach()).logpdf(series.x[:, 1:])
    assert float(loss.detach()) == pytest.approx(-density.mean(), rel=1e-5)


def test_it_learns_a_wave():
    t = torch.linspace(0, 6, 31)
    phase = 6 * torch.rand(64, 1, generator=torch.Generator().manual_seed(3))
    series = Series.of(t, torch.stack([torch.sin(2 * t + phase), torch.cos(2 * t + phase)], -1))
    model = neural_cde_series(series, hidden=16, width=32, layers=1, horizon=5)
    settings = pf.training.Settings(bar=False, learning_rate=2e-2, batch_size=32)
    pf.fit(model, series, steps=200, settings=settings)
    past = Context.of(series.t[:, :25, None], series.x[:, :25])
    error = (model.predict(past, series.t[:, 25:27, None]).mean - series.x[:, 25:27]).square().mean().sqrt()
    assert error < 0.3  # the last value known is off by 0.44, the mean by 0.7


def test_misfits_are_refused():
    with pytest.raises(ConfigError, match="use neural_cde_series"):
        CDEForecaster(NeuralCDE(2, 2, head="regress"))
    with pytest.raises(ConfigError, match="data or channels"):
        neural_cde_series()
    with pytest.raises(ShapeError, match="expected a context of x"):
        neural_cde_series(channels=2).predict(
            Context.of(torch.zeros(1, 3, 1), torch.zeros(1, 3, 1)), torch.zeros(1, 2, 1)
        )
