"""Glow, RealNVP of images, temperature: settings, errors, and the way through fit, files and the command line."""

import pytest
import torch

import pushforward as pf
from pushforward.core.errors import ConfigError
from pushforward.parts.distributions import Dequantised, Flow, Uniform

BUILD = {"glow": pf.flows.glow, "realnvp_images": pf.flows.realnvp_images}


@pytest.mark.parametrize("build", BUILD.values(), ids=BUILD)
class TestSettings:
    def test_data_or_a_shape(self, build):
        with pytest.raises(ConfigError, match="got neither"):
            build()
        with pytest.raises(ConfigError, match="got both"):
            build(pf.data.load("digits"), event_shape=(1, 8, 8))
        with pytest.raises(ConfigError, match="which know their own"):
            build(pf.data.load("digits"), classes=10)

    @pytest.mark.parametrize("shape", [(8,), (0, 8, 8), ()])
    def test_no_image(self, build, shape):
        with pytest.raises(ConfigError, match="expected images of shape"):
            build(event_shape=shape)

    def test_sides_that_cannot_be_halved(self, build):
        with pytest.raises(ConfigError, match=r"even sides, got 7 x 8 pixels; .*images.resized\(8, 8\)"):
            build(event_shape=(1, 7, 8))
        with pytest.raises(ConfigError, match=r"1 to 2 scales, .* got 3; .*images.resized\(32, 32\)"):
            build(event_shape=(1, 28, 28), scales=3)

    def test_unknown_kinds(self, build):
        with pytest.raises(ConfigError, match="dequantisation"):
            build(event_shape=(1, 4, 4), dequantisation="none")
        with pytest.raises(ConfigError, match="memory"):
            build(event_shape=(1, 4, 4), memory="little")
        with pytest.raises(ConfigError, match="at least 2 levels"):
            build(event_shape=(1, 4, 4), levels=1)

    def test_the_seed_makes_the_weights(self, build):
        one, same, other = (build(event_shape=(1, 4, 4), width=4, seed=seed).state_dict() for seed in (0, 0, 1))
        assert all(torch.equal(a, b) for a, b in zip(one.values(), same.values()))
        assert any(not torch.equal(a, b) for a, b in zip(one.values(), other.values()))


def test_glow_refuses_what_it_does_not_know():
    for options, words in (
        ({"conv": "lu"}, "kind 'plu' or 'dense'"),
        ({"prior": "none"}, "prior"),
        ({"steps": 0}, "step"),
    ):
        with pytest.raises(ConfigError, match=words):
            pf.flows.glow(event_shape=(1, 4, 4), **options)


def test_realnvp_takes_images_and_leaves_tables_as_they_were():
    digits = pf.data.load("digits")
    assert isinstance(pf.flows.realnvp(digits), Dequantised)
    with pytest.raises(ConfigError, match="use realnvp_images"):
        pf.flows.realnvp(digits, layers=3)
    assert isinstance(pf.flows.realnvp(features=2), Flow)


@pytest.mark.parametrize("labelled", [True, False])
def test_fit_save_and_draw(labelled, tmp_path):
    digits = pf.data.load("digits")
    digits = digits if labelled else digits.unlabelled()
    model = pf.flows.glow(digits, steps=1, width=8)
    history = pf.fit(model, digits, steps=3, settings=pf.training.Settings(bar=False, batch_size=32))
    assert history.records[-1]["step"] == 3
    pf.save(model, tmp_path / "glow.pf")
    again, batch = pf.load(tmp_path / "glow.pf"), digits.take([0, 1, 2])
    torch.testing.assert_close(again.log_prob(batch.x, batch.condition), model.log_prob(batch.x, batch.condition))
    drawn = again.sample((), batch.condition) if labelled else again.sample(3)
    assert drawn.shape == (3, 1, 8, 8)
    assert torch.equal(drawn, drawn.round())


def test_a_temperature_is_a_positive_number_for_a_gaussian_base():
    model = pf.flows.glow(event_shape=(1, 4, 4), width=4)
    with pytest.raises(ConfigError, match="temperature of at least 0"):
        pf.flows.tempered(model, -0.5)
    with pytest.raises(ConfigError, match="Gaussian base, got Uniform"):
        pf.flows.tempered(Uniform(torch.zeros(1), torch.ones(1)), 0.5)


def test_variational_noise_begins_as_uniform_and_sees_the_image():
    digits = pf.data.load("digits").unlabelled()
    model = pf.flows.glow(digits, steps=1, width=8, dequantisation="variational")
    plain = pf.flows.glow(digits, steps=1, width=8)
    x = digits.take(torch.arange(4)).x
    torch.testing.assert_close(model.log_prob(x), plain.log_prob(x), rtol=1e-4, atol=1e-2)
    settings = pf.training.Settings(bar=False, batch_size=32)
    pf.fit(model, digits, steps=3, settings=settings)
    u = torch.full((1, 1, 8, 8), 0.5)
    cells = [model.spread(image[None], u)[0] - image for image in x[:2]]
    assert not torch.equal(*cells)
    assert pf.flows.tempered(model, 0.5).sample(2).shape == (2, 1, 8, 8)
