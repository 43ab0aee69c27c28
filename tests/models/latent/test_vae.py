"""Variational autoencoders: what they are built from, what they refuse, and what training does beside the bound."""

import pytest
import torch

import pushforward as pf
from pushforward.core.data import Batch
from pushforward.core.errors import ConfigError, DataError
from pushforward.core.random import RowGenerator
from pushforward.models.latent.variational_autoencoder import negative_bound


def grey(levels: int = 256) -> pf.data.Images:
    pixels = torch.randint(0, levels, (30, 5, 6), generator=torch.Generator().manual_seed(0))
    return pf.data.Images.of(pixels, levels=levels)


def test_the_likelihood_suits_the_data():
    two = pf.data.Table.of(torch.tensor([[0.0, 3.0], [1.0, 5.0], [1.0, 3.0]]))
    counts = torch.tensor([[0.5, 3.0], [1.5, 5.0], [1.0, 4.0]])
    found = [type(pf.latent.vae(data, hidden=[4]).likelihood).__name__ for data in (grey(), grey(2), two, counts)]
    assert found == ["LogisticLikelihood", "BernoulliLikelihood", "BernoulliLikelihood", "GaussianLikelihood"]
    assert set(pf.latent.vae(two, hidden=[4]).sample(50)[:, 1].unique().tolist()) == {3.0, 5.0}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"network": "conv"}, "expected images for the network conv"),
        ({"likelihood": "bernoulli"}, "expected a likelihood among gaussian, bernoulli"),
        ({"latents": 0}, "at least 1 latent number"),
        ({"free_bits": -1.0}, "expected warmup and free_bits of at least 0"),
        ({"flow_layers": 0}, "at least 1 latent number and flow layer"),
    ],
)
def test_what_does_not_fit_is_said(options, words):
    with pytest.raises(ConfigError, match=words):
        pf.latent.vae(torch.randn(20, 3), **options)


def test_numbers_outside_the_two_values_are_refused():
    model = pf.latent.vae(grey(), likelihood="bernoulli", hidden=[4], latents=2)
    with pytest.raises(DataError, match="expected numbers from 0 to 255"):
        model.log_prob(torch.full((1, 1, 5, 6), 300.0))
    with pytest.raises(ConfigError, match="at least 2 draws"):
        model.iwae(torch.zeros(1, 5, 6), draws=1)


def test_warm_up_begins_without_the_divergence_and_evaluation_has_all_of_it():
    x = torch.randn(20, 3)
    model, plain = (pf.latent.vae(x, hidden=[4], warmup=warmup, seed=1) for warmup in (2, 0))
    batch = Batch(x)
    values = [negative_bound(model, batch, RowGenerator(0, 20)) for _ in range(4)]
    full = negative_bound(plain, batch, RowGenerator(0, 20)).value
    fit, kl = (values[0].metrics[name] for name in ("reconstruction", "kl"))
    for step, value in enumerate(values):
        torch.testing.assert_close(value.value.detach(), fit + min(step / 2, 1) * kl)
    model.steps_seen.zero_()
    model.eval()
    torch.testing.assert_close(negative_bound(model, batch, RowGenerator(0, 20)).value, full)
    assert model.steps_seen == 0


def test_free_bits_are_not_paid_below_and_not_granted_in_evaluation():
    x = torch.randn(20, 3)
    model = pf.latent.vae(x, latents=2, hidden=[4], free_bits=50.0)
    value = negative_bound(model, Batch(x), RowGenerator(0, 20))
    torch.testing.assert_close(value.value.detach(), value.metrics["reconstruction"] + 100.0)
    model.eval()
    value = negative_bound(model, Batch(x), RowGenerator(0, 20))
    torch.testing.assert_close(value.value.detach(), value.metrics["reconstruction"] + value.metrics["kl"])


def test_posteriors_share_their_first_encoder_and_decoder():
    one, other = (pf.latent.vae(grey(), latents=3, hidden=[6], posterior=p).state_dict() for p in ("none", "sylvester"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_pictures_have_the_shapes_that_are_said():
    model = pf.latent.vae(grey(17), latents=3, posterior="planar", flow_layers=2, network="conv", hidden=[2, 8])
    x = grey(17).take(torch.arange(4)).x
    assert model.reconstruct(x[None]).shape == (1, 4, 1, 5, 6)
    path = model.interpolate(x[0], x[1], steps=3)
    assert path.shape == (3, 1, 5, 6)
    torch.testing.assert_close(path[0], model.reconstruct(x[0]))
    torch.testing.assert_close(path[-1], model.reconstruct(x[1]))
    assert model.traverse(x[0], places=2, steps=5).shape == (2, 5, 1, 5, 6)
    assert model.iwae(x, draws=70).value.shape == (4,)


def test_it_is_saved_with_its_units(tmp_path):
    x = torch.randn(40, 2) * 5 + 100
    model = pf.latent.vae(x, latents=2, posterior="iaf", prior="flow", flow_layers=1, hidden=[4])
    pf.save(model, tmp_path / "m.pf")
    torch.testing.assert_close(pf.load(tmp_path / "m.pf").log_prob(x), model.log_prob(x))
