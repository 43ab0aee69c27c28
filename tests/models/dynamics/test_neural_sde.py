"""What a neural SDE and a latent SDE refuse, and what they do at the edges."""

import pytest
import torch

import pushforward as pf
from pushforward.core.errors import ConfigError, DataError, ShapeError
from pushforward.core.process import Context
from pushforward.models.dynamics import LatentSDE, NeuralSDE, latent_sde, neural_sde
from pushforward.models.dynamics.observations import step_grid

BOTH = pytest.mark.parametrize("build", [neural_sde, latent_sde])


def context(n: int = 2, points: int = 4, channels: int = 1) -> Context:
    t = torch.arange(float(points)).expand(n, points)[..., None]
    return Context.of(t, torch.sin(t).expand(n, points, channels).clone())


@BOTH
def test_data_and_channels_are_one_or_the_other(build):
    data = pf.data.Series.of(torch.arange(5.0), torch.randn(2, 5))
    for arguments in ({}, {"data": data, "channels": 1}):
        with pytest.raises(ConfigError, match="one of the two"):
            build(**arguments)


def test_impossible_settings_are_refused():
    for wrong in ({"diffusion": "full"}, {"observation_noise": 0.0}, {"substeps": 0}, {"hidden": [0]}, {"channels": 0}):
        with pytest.raises(ConfigError):
            NeuralSDE(**{"channels": 1, **wrong})
    for wrong in ({"latent": 0}, {"steps": 0}, {"channels": 0}):
        with pytest.raises(ConfigError):
            LatentSDE(**{"channels": 1, **wrong})
    with pytest.raises(ConfigError, match="drift"):
        neural_sde(channels=1, drift="quadratic")


@BOTH
def test_contexts_and_targets_that_do_not_fit_are_refused(build):
    model, given = build(channels=1), context()
    with pytest.raises(ShapeError, match="one series is a batch of one"):
        model.predict(context(channels=2), torch.zeros(2, 3, 1))
    with pytest.raises(ShapeError, match="targets"):
        model.predict(given, torch.zeros(3, 3, 1))
    given.y[0, 1] = torch.nan
    with pytest.raises(DataError, match="1 that are not"):
        model.predict(given, torch.zeros(2, 3, 1))


@BOTH
def test_log_scale_wants_positive_data(build):
    data = pf.data.Series.of(torch.arange(5.0), torch.tensor([[1.0, 2.0, 0.0, 3.0, 1.0]]))
    with pytest.raises(DataError, match="log_scale=False"):
        build(data, log_scale=True)
    model = build(pf.data.Series.of(torch.arange(5.0), torch.rand(2, 5) + 0.1), log_scale=True)
    found = model.predict(Context.of(torch.zeros(1, 1, 1), torch.ones(1, 1, 1)), torch.ones(1, 3, 1))
    assert (found.sample((20,)) > 0).all()


@BOTH
def test_times_in_other_units_than_the_models_are_refused(build):
    with pytest.raises(ConfigError, match="build the model from data"):
        build(channels=1).predict(context(), torch.full((2, 1, 1), 1.7e9))


@BOTH
@pytest.mark.parametrize("diffusion", ["constant", "network"])
def test_every_parameter_learns(build, diffusion):
    options = {"diffusion": diffusion} if build is neural_sde else {"steps": 8}
    data = pf.data.Series.of(torch.arange(6.0), torch.randn(8, 6, 2))
    model = build(data, hidden=(8,), **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.objective(model, data.take(torch.arange(8)), pf.RowGenerator(0, 8)).value.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


@BOTH
def test_a_model_is_saved_and_loaded(build, tmp_path):
    model = build(pf.data.Series.of(torch.arange(6.0), torch.rand(8, 6, 2)), hidden=(8,))
    pf.save(model, tmp_path / "model.pf")
    again, target = pf.load(tmp_path / "model.pf"), torch.linspace(-1, 8, 7).expand(2, 7)[..., None]
    with torch.no_grad():
        pair = [m.predict(context(channels=2), target) for m in (model, again)]
    torch.testing.assert_close(pair[0].mean, pair[1].mean)
    torch.testing.assert_close(pair[0].stddev, pair[1].stddev)


def test_paths_begin_where_the_context_ends():
    sde, given = neural_sde(channels=1), context()
    with pytest.raises(ShapeError, match="ascend"):
        sde.sample_paths(given, torch.tensor([2.0, 4.0]))
    with torch.no_grad():
        paths = sde.sample_paths(given, torch.tensor([3.0, 3.0, 5.0]), n=4, generator=torch.Generator().manual_seed(1))
    assert paths.shape == (4, 2, 3, 1)
    torch.testing.assert_close(paths[..., 0, :], paths[..., 1, :])


def test_steps_of_a_row_do_not_depend_on_the_others():
    t = torch.tensor([[0.0, 1.0, 1.0], [0.5, 0.7, 3.0], [2.0, 2.0, 2.0]])
    real = torch.tensor([[True, True, True], [True, True, True], [True, False, False]])
    together = step_grid(t, real, 0.4)
    for i in range(3):
        alone = step_grid(t[i : i + 1], real[i : i + 1], 0.4)
        steps = alone.length.shape[1]
        for ours, own in zip(together[:3], alone[:3]):
            torch.testing.assert_close(ours[i : i + 1, :steps], own)
        assert (together.length[i, steps:] == 0).all()
        assert (together.arrival[i, steps:] == -1).all()


@torch.no_grad()
def test_a_generator_draws_other_paths_for_every_row():
    model, given = latent_sde(channels=1, latent=2, paths=3, steps=8), context(2)
    target = torch.full((2, 1, 1), 9.0)
    fixed, again = model.predict(given, target).mean, model.predict(given, target).mean
    torch.testing.assert_close(fixed, again)
    torch.testing.assert_close(fixed[0], fixed[1])
    drawn = model.predict(given, target, generator=torch.Generator().manual_seed(0)).mean
    assert (drawn[0] - drawn[1]).abs().max() > 1e-3
