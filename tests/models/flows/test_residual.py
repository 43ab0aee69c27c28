"""`residual`, `residual_images` and the invertible classifier: what they refuse, what they begin as, saving."""

import pytest
import torch

import pushforward as pf
from pushforward.core.errors import ConfigError, ShapeError


def test_it_begins_as_nearly_the_standardised_gaussian():
    flow = pf.flows.residual(features=3).eval()
    x = torch.randn(200, 3)
    assert (flow.log_prob(x) - pf.distributions.Gaussian.standard(3).log_prob(x)).abs().max() < 0.5


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="1 layer"):
        pf.flows.residual(features=2, layers=0)
    with pytest.raises(ConfigError, match="below 1"):
        pf.flows.residual(features=2, coefficient=1.5)
    images = pf.data.Images.of(torch.arange(64 * 12).reshape(12, 8, 8) % 17, levels=17)
    with pytest.raises(ConfigError, match="beside images"):
        pf.flows.residual(images, layers=3)
    with pytest.raises(ConfigError, match="1 block"):
        pf.flows.residual_images(images, blocks=0)
    with pytest.raises(ConfigError, match="with labels"):
        pf.flows.invertible_resnet_classifier(images)
    for settings in ({"scales": 4}, {"blocks": 0}, {"coefficient": 1.0}, {"padding": -1}):
        with pytest.raises(ConfigError, match="expected"):
            pf.flows.invertible_resnet_classifier(event_shape=(1, 8, 8), classes=3, **settings)


def test_a_flow_of_images_fits_a_step_and_draws_by_class():
    images = pf.data.load("digits")
    flow = pf.flows.residual_images(images, blocks=1, width=8)
    pf.fit(flow, images, steps=2, settings=pf.training.Settings(bar=False, batch_size=16, held_out_rows=32))
    draws = flow.sample((), torch.arange(10))
    assert draws.shape == (10, 1, 8, 8)
    assert torch.equal(draws, draws.round())
    assert torch.isfinite(flow.log_prob(draws.clamp(0, 16), torch.arange(10))).all()


def test_the_classifier_refuses_what_does_not_fit_and_is_saved(tmp_path):
    model = pf.flows.invertible_resnet_classifier(event_shape=(3, 4, 4), classes=3, scales=1, blocks=1, width=4).eval()
    x = torch.randint(256, (5, 3, 4, 4))
    torch.testing.assert_close(model.log_probs(x).exp().sum(1), torch.ones(5))
    pf.save(model, tmp_path / "model.pf")
    assert torch.equal(pf.load(tmp_path / "model.pf").log_probs(x), model.log_probs(x))
    with pytest.raises(ShapeError, match="images of shape"):
        model.features(torch.zeros(1, 1, 4, 4))
    with pytest.raises(ShapeError, match="features of shape"):
        model.invert(torch.zeros(1, 1, 4, 4))
    ordinary = pf.flows.invertible_resnet_classifier(event_shape=(1, 4, 4), classes=2, scales=1, coefficient=None)
    with pytest.raises(ConfigError, match="cannot be inverted"):
        ordinary.invert(ordinary.features(torch.zeros(1, 1, 4, 4)))
    with pytest.raises(ConfigError, match="with labels"):
        model.objective(model, pf.Batch(x), pf.RowGenerator(0, 5))
