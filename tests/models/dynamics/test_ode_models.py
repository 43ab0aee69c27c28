"""Settings that are impossible, data that do not fit, and saved models of the neural and the latent ODE."""

import pytest
import torch

from pushforward.core.data import Batch
from pushforward.core.errors import ConfigError, DataError, ShapeError
from pushforward.core.process import Context
from pushforward.core.random import RowGenerator
from pushforward.lab.training import load, save
from pushforward.models.dynamics import LatentODE, NeuralODE, latent_ode, neural_ode, neural_ode_series
from pushforward.models.dynamics.solver_named import solver_named
from pushforward.parts.data import Images, Series, Table
from pushforward.parts.diffeq import Heun
from pushforward.parts.nn import MLP, ODERNN, ConvVectorField, SeriesEncoder, SeriesGRU, VectorField

SERIES = Series.of(torch.arange(5.0), torch.randn(12, 5, 2))
TABLE = Table.of(torch.randn(20, 3), ["a", "b", "c"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: latent_ode(), "got neither"),
        (lambda: latent_ode(SERIES, channels=2), "got both"),
        (lambda: latent_ode(channels=0), "at least 1"),
        (lambda: latent_ode(channels=2, latent=0), "at least 1"),
        (lambda: LatentODE(SeriesEncoder(2, 4), VectorField(2), MLP(2, 2), context="some"), "all, random, past"),
        (lambda: latent_ode(channels=2, noise=0.0), "noise above"),
        (lambda: latent_ode(channels=2, solver="dopri"), "Dopri5, Tsit5"),
        (lambda: neural_ode(), "features="),
        (lambda: neural_ode(features=2), "outputs="),
        (lambda: NeuralODE((2,), 2, VectorField(2), head="rank"), "classify"),
        (lambda: NeuralODE((2, 2), 2, VectorField(2)), "rows"),
        (lambda: neural_ode(features=2, outputs=2, duration=0.0), "duration"),
        (lambda: neural_ode_series(), "got neither"),
        (lambda: neural_ode_series(channels=0), "at least 1"),
        (lambda: neural_ode_series(channels=2, horizon=0), "horizon"),
        (lambda: ODERNN(2, 3, substeps=0), "substeps"),
        (lambda: SeriesGRU(0, 3), "at least 1"),
        (lambda: SeriesEncoder(2, 3, kind="x"), "rnn, decay, ode_rnn"),
        (lambda: ConvVectorField(0), "at least 1"),
    ],
)
def test_impossible_settings_are_refused(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


def test_data_that_do_not_fit_are_refused():
    with pytest.raises(DataError):
        neural_ode(TABLE)  # nothing to predict
    with pytest.raises(DataError, match="given"):
        neural_ode(TABLE, head="regress")
    with pytest.raises(DataError):
        neural_ode(Images.of(torch.randint(0, 9, (6, 8, 8)).byte().numpy(), levels=17))
    model = neural_ode(features=2, outputs=2)
    with pytest.raises(ShapeError, match=r"\(n, 2\)"):
        model.predict(torch.randn(4, 3))
    with pytest.raises(DataError, match="condition"):
        model.objective(model, Batch(torch.randn(4, 2)), RowGenerator(0, 4))


@pytest.mark.parametrize("build", [latent_ode, neural_ode_series])
def test_contexts_and_targets_that_do_not_fit_are_refused(build):
    model = build(SERIES)
    good = SERIES.take([0, 1]).context()
    with pytest.raises(ShapeError, match="x_target"):
        model.predict(good, torch.zeros(3, 4, 1))
    with pytest.raises(ShapeError, match="expected a context"):
        model.predict(Context.of(torch.zeros(2, 3, 1), torch.zeros(2, 3, 5)), torch.zeros(2, 4, 1))


@pytest.mark.parametrize("kind", ["rnn", "decay", "ode_rnn"])
def test_a_series_of_which_nothing_is_shown_still_trains(kind):
    model = latent_ode(SERIES, encoder=kind)
    batch = SERIES.take([0, 1])
    nothing = type(batch)(batch.t, batch.x, torch.zeros_like(batch.observed))
    loss = model.objective(model, nothing, RowGenerator(0, 2)).value
    loss.backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in model.parameters())
    forecaster = neural_ode_series(SERIES)
    forecaster.objective(forecaster, nothing, RowGenerator(0, 2)).value.backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in forecaster.parameters())


def test_a_column_of_class_numbers_is_learned_and_saved(tmp_path):
    x = torch.randn(60, 2)
    table = Table.of(torch.cat([x, (x[:, :1] > 0).float()], 1), ["a", "b", "side"]).given("side")
    model = neural_ode(table, hidden=(8,), solver=Heun(), step_size=0.5)
    assert model.outputs == 2
    save(model, tmp_path / "m.pf")
    again = load(tmp_path / "m.pf")
    torch.testing.assert_close(again.predict(x).probs, model.predict(x).probs)


def test_a_latent_ode_is_saved_with_its_units(tmp_path):
    model = latent_ode(SERIES, encoder="ode_rnn", noise=0.2)
    save(model, tmp_path / "m.pf")
    again, context = load(tmp_path / "m.pf"), SERIES.take([3]).context()
    target = torch.linspace(-1, 9, 7)[None, :, None]
    torch.testing.assert_close(again.predict(context, target).mean, model.predict(context, target).mean)


def test_solvers_have_names():
    solver = Heun()
    assert solver_named(solver) is solver
    assert type(solver_named("heun")) is Heun


def test_the_same_seed_gives_the_same_weights():
    for build in (
        lambda seed: latent_ode(channels=2, seed=seed),
        lambda seed: neural_ode(features=2, outputs=2, seed=seed),
    ):
        one, two, other = (torch.cat([p.flatten() for p in build(seed).parameters()]) for seed in (1, 1, 2))
        assert torch.equal(one, two)
        assert not torch.equal(one, other)
