"""Sizes, units, sentences and saved files of the latent, attentive, convolutional and transformer processes."""

import pytest
import torch

import pushforward as pf
from pushforward.core.errors import ConfigError, DataError, ShapeError
from pushforward.core.process import Context, Process
from pushforward.parts.data import FunctionSet, gp_draws

P = pf.processes
SMALL = {
    "attentive": lambda data=None: P.attentive_neural_process(data, hidden=8, layers=1),
    "convolutional": lambda data=None: P.convolutional_neural_process(data, channels=4, layers=2),
    "latent": lambda data=None: P.neural_process(data, hidden=8, latents=4, layers=1),
    "latent attentive": lambda data=None: P.attentive_neural_process(data, hidden=8, layers=1, latent=True),
    "transformer": lambda data=None: P.transformer_neural_process(data, width=8, layers=1),
}
every = pytest.mark.parametrize("name", SMALL)


@every
def test_predictions_are_in_the_units_of_the_data(name):
    data = gp_draws("rbf", 20, points=8)
    scaled = FunctionSet.of(data.x, 1000 * data.y + 5)
    plain, big = (SMALL[name](d) for d in (data, scaled))
    context = Context.of(data.x[:, :4], data.y[:, :4])
    with torch.no_grad():
        small = plain.predict(context, data.x[:, 4:])
        large = big.predict(Context.of(context.x, 1000 * context.y + 5), data.x[:, 4:])
    torch.testing.assert_close(large.mean, 1000 * small.mean + 5, rtol=1e-3, atol=0.5)
    torch.testing.assert_close(large.stddev, 1000 * small.stddev, rtol=1e-3, atol=0.5)


@every
def test_the_seed_fixes_the_weights_and_a_file_keeps_them(name, tmp_path):
    data = gp_draws("rbf", 20, points=8)
    one, two = SMALL[name](data), SMALL[name](data)
    context, at = Context.of(data.x[:, :3], data.y[:, :3]), data.x[:, 3:]
    pf.save(one, tmp_path / "process.pf")
    loaded = pf.load(tmp_path / "process.pf")
    assert isinstance(loaded, Process)
    with torch.no_grad():
        means = [process.predict(context, at).mean for process in (one, two, loaded)]
    assert torch.equal(means[0], means[1])
    torch.testing.assert_close(means[2], means[0])


@every
def test_points_that_do_not_fit_are_refused(name):
    process = SMALL[name]()
    good = Context.of(torch.zeros(2, 3, 1), torch.zeros(2, 3, 1))
    with pytest.raises(ShapeError, match=r"context of x \(n, points, 1\)"):
        process.predict(Context.of(torch.zeros(2, 3, 2), torch.zeros(2, 3, 1)), torch.zeros(2, 4, 1))
    with pytest.raises(ShapeError, match=r"of shape \(2, targets, 1\), got \(1, 4, 1\); give each"):
        process.predict(good, torch.zeros(1, 4, 1))


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: P.NeuralProcess(latents=0), "sizes of 1 or more"),
        (lambda: P.NeuralProcess(min_scale=0.0), "0 < min_scale < 1"),
        (lambda: P.AttentiveNeuralProcess(hidden=10, heads=4), "divides the width 10, got 4"),
        (lambda: P.attentive_neural_process(latent=True, self_attention=1), "leave one of them out"),
        (lambda: P.ConvolutionalNeuralProcess(x_dim=3), "1 or 2 coordinates, got 3"),
        (lambda: P.ConvolutionalNeuralProcess(points_per_unit=0.0), "points_per_unit above 0"),
        (lambda: P.ConvolutionalNeuralProcess(kernel=4), "an odd kernel"),
        (lambda: P.TransformerNeuralProcess(layers=0), "width and layers of 1 or more"),
    ],
)
def test_impossible_settings_are_refused(build, sentence):
    with pytest.raises(ConfigError, match=sentence):
        build()


@pytest.mark.parametrize("far", [1e9, float("nan")])
def test_a_grid_that_cannot_be_is_refused(far):
    process = SMALL["convolutional"]()
    with pytest.raises(DataError, match="finite places on a grid of at most"):
        process.predict(Context.of(torch.zeros(1, 1, 1), torch.zeros(1, 1, 1)), torch.full((1, 1, 1), far))


def test_pixels_get_one_cell_each():
    place = torch.cartesian_prod(torch.arange(6.0), torch.arange(6.0)).expand(3, -1, -1)
    process = P.convolutional_neural_process(FunctionSet.of(place, torch.randn(3, 36, 1)), channels=4)
    assert process.spacing == pytest.approx(1.0)
