"""Families of functions: one seed a function, sizes, pictures as functions, and sentences."""

import pytest
import torch

from pushforward.core.errors import ConfigError
from pushforward.parts.data import (
    FunctionSet,
    Images,
    gp_draws,
    load,
    lotka_volterra,
    oscillators,
    predator_prey,
    rotating_digits,
    sawtooth,
)


@pytest.mark.parametrize("draw", [sawtooth, oscillators, lotka_volterra, predator_prey])
def test_a_function_depends_on_the_seed_and_its_number_only(draw):
    few, many = draw(3, points=(3, 6), seed=7), draw(40, points=(3, 6), seed=7)
    assert torch.equal(few.x, many.x[:3])
    assert torch.equal(few.mask, many.mask[:3])
    torch.testing.assert_close(few.y, many.y[:3])
    assert not torch.equal(few.y, draw(3, points=(3, 6), seed=8).y)
    assert few.y[~few.mask].eq(0).all()


def test_both_kinds_survive_where_they_must():
    data = predator_prey(60, points=20, seed=1)
    assert data.y.min() >= 1
    assert data.y.eq(data.y.round()).all()


def test_saws_may_run_along_a_plane():
    assert sawtooth(5, points=4, x_dim=2).x.shape == (5, 4, 2)


def test_pictures_are_functions_of_the_plane():
    images = Images.of(torch.randint(0, 256, (3, 4, 5, 3)), levels=256)
    found = FunctionSet.from_images(images)
    assert (found.x_dim, found.y_dim, found.x.shape[1]) == (2, 3, 20)
    assert found.x[0, 0].tolist() == [-1, -1]
    assert found.x[0, 4].tolist() == [-1, 1]
    assert found.x[0, -1].tolist() == [1, 1]
    pixels = found.y[1].reshape(4, 5, 3).movedim(-1, 0) * 255
    torch.testing.assert_close(pixels, images.pixels[1].float())
    assert len(found.split((0.7, 0.3))[0]) == 2


def test_a_set_remembers_the_process_that_drew_it():
    data = gp_draws("rbf*periodic", 10, points=4, length_scale=0.5, noise=0.1)
    assert data.process == ("rbf(0.5)*periodic(0.5, 1.0)", 0.1)
    assert data.split((0.5, 0.5))[1].process == data.process == data.to("cpu").process
    assert sawtooth(3).process is None


@pytest.mark.parametrize("name", ["gp_weakly_periodic", "sawtooth", "oscillators", "rotating_digits"])
def test_named_sets_can_be_loaded(name):
    data = load(name)
    assert len(data) in (4096, 183)
    assert data.y.dtype == torch.float32


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: rotating_digits(digit=12), "expected a digit that is there and at least one frame, got 12"),
        (lambda: rotating_digits(frames=0), "at least one frame, got 3 and 0"),
        (lambda: predator_prey(2, rates=(-1, 0, 0, 0)), "expected rates and numbers of animals from 0"),
        (lambda: predator_prey(2, rates=(0, 5.0, 0, 0), high=20.0), "got none for 2 of 2 functions in 100 attempts"),
        (lambda: predator_prey(2, rates=(0, 0, 5.0, 0), survive=False), "expected at most 1000 animals"),
        (lambda: gp_draws("rbf(0.2, 3)"), r"a positive length scale in brackets, .* got 'rbf\(0.2, 3\)'"),
        (lambda: gp_draws("rbf(wide)"), r"expected numbers as the scales of a kernel, got 'rbf\(wide\)'"),
        (lambda: gp_draws("0.5"), "expected a kernel and a positive variance, got '0.5'"),
        (lambda: gp_draws("0*rbf"), "expected a kernel and a positive variance"),
        (lambda: gp_draws("rbf+"), "expected kernels among rbf, .* got ''"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, sentence):
    with pytest.raises(ConfigError, match=sentence):
        call()
