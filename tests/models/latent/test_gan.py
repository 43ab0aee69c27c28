"""Adversarial networks: conditions, refusals, files."""

import pytest
import torch

import pushforward as pf
from pushforward.core.data import Batch
from pushforward.core.errors import ConfigError, DataError
from pushforward.core.random import RowGenerator


def labelled() -> pf.data.Images:
    pixels = torch.randint(0, 17, (30, 4, 4), generator=torch.Generator().manual_seed(0))
    return pf.data.Images.of(pixels, torch.arange(30) % 3, levels=17)


@pytest.mark.parametrize("network", ["dense", "conv"])
def test_labels_are_the_condition(network):
    model = pf.latent.gan(labelled(), network=network, hidden=[4, 8])
    drawn = model.sample(2, torch.tensor([0, 1, 2]))
    assert drawn.shape == (2, 3, 1, 4, 4)
    assert ((drawn >= 0) & (drawn < 17) & (drawn == drawn.round())).all()
    loss = model.objective(model, labelled().take(torch.arange(30)), RowGenerator(0, 30))
    loss.value.backward()
    assert all(p.grad is not None for p in model.parameters())
    with pytest.raises(DataError, match="expected labels from 0 to 2"):
        model.sample((), torch.tensor([3]))


def test_the_generator_moves_in_every_fifth_step_of_wasserstein():
    x = torch.randn(20, 2)
    model = pf.latent.gan(x, hidden=[4], loss="wasserstein")
    moved = []
    for step in range(6):
        model.zero_grad()
        model.objective(model, Batch(x), RowGenerator(step, 20)).value.backward()
        moved.append(any(bool(p.grad.any()) for p in model.generator.parameters()))
    assert moved == [True, False, False, False, False, True]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"penalty": -1.0}, "a penalty of at least 0"),
        ({"network": "conv"}, "or conv for images"),
        ({"latents": 0}, "at least 1 number of noise"),
    ],
)
def test_what_does_not_fit_is_said(options, words):
    with pytest.raises(ConfigError, match=words):
        pf.latent.gan(torch.randn(20, 3), **options)


def test_it_is_saved_and_has_no_density(tmp_path):
    table = pf.data.Table.of(torch.randn(40, 3) * 5 + 100).given("x2")
    model = pf.latent.gan(table, hidden=[4])
    pf.save(model, tmp_path / "m.pf")
    given, again = torch.full((6, 1), 100.0), pf.load(tmp_path / "m.pf")
    first, second = (each.sample((), given, generator=torch.Generator().manual_seed(0)) for each in (model, again))
    torch.testing.assert_close(first, second)
    with pytest.raises(TypeError, match="no log_prob"):
        model.log_prob(torch.zeros(2, 2), given[:2])
