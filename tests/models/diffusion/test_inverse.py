"""Inverse problems: what is refused, shapes, and conditions."""

import pytest
import torch
from jaxtyping import TypeCheckError

import pushforward as pf
from pushforward.models.diffusion.inverse import (  # fmt: skip
    DPS,
    Colorise,
    Inpaint,
    LinearOperator,
    PiGDM,
    Projection,
    SuperResolve,
    solve,
)

SEEN = Inpaint(torch.tensor([True, False]))


@pytest.fixture
def model():
    return pf.diffusion.flow_matching(event_shape=2, width=8)


@pytest.fixture
def images():
    return pf.diffusion.flow_matching(event_shape=(3, 8, 8), levels=256, width=4)


def test_a_mask_of_another_shape_says_which_would_fit(images):
    with pytest.raises(
        ValueError, match=r"expected a mask that broadcasts to an event of shape \(3, 8, 8\), got \(7, 8\)"
    ):
        solve(images, torch.zeros(3, 8, 8), Inpaint(torch.ones(7, 8, dtype=torch.bool)))
    with pytest.raises(ValueError, match=r"got \(2, 3, 8, 8\); a mask of shape \(8, 8\) is for all channels"):
        solve(images, torch.zeros(3, 8, 8), Inpaint(torch.ones(2, 3, 8, 8, dtype=torch.bool)))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Inpaint(torch.ones(2)), "expected a boolean mask"),
        (lambda: Inpaint(torch.zeros(2, dtype=torch.bool)), "leaves some number to be seen"),
        (lambda: Colorise((0.0, 0.0)), "not all zero"),
        (lambda: SuperResolve(0), "expected a factor of at least 1"),
        (lambda: LinearOperator(torch.zeros(2, 2)), "expected a finite matrix"),
        (lambda: LinearOperator(torch.ones(3)), "expected a finite matrix"),
        (lambda: LinearOperator(torch.ones(1, 3), (2, 2)), "with 4 columns"),
        (lambda: DPS(SEEN, torch.zeros(1, 2), step_size=0.0), "expected a positive step_size"),
        (lambda: Projection(SEEN, torch.zeros(1, 2), noise=-1.0), "expected a noise of at least 0"),
        (lambda: Projection(SEEN, torch.zeros(1, 2), resamplings=0), "expected at least one resampling"),
        (lambda: Projection(SEEN, torch.zeros(1, 2)).init(torch.zeros(1, 2)), "attached to a model, got it alone"),
        (lambda: DPS(SEEN, torch.zeros(1, 2)).init(torch.zeros(1, 2)), "attached to a model, got it alone"),
        (
            lambda: PiGDM(pf.diffusion.ddpm(event_shape=2, width=8), SEEN, torch.zeros(1, 2), prior_std=0.0),
            "positive prior_std",
        ),
    ],
)
def test_impossible_parts_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_operators_refuse_events_that_they_do_not_fit(model, images):
    for operator, prior, message in (
        (Colorise(), model, "expected images of 3 channels"),
        (SuperResolve(3), images, "expected images whose sides 3 divides"),
        (LinearOperator(torch.ones(1, 3)), model, r"expected events of shape \(3,\), got \(2,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            solve(prior, torch.zeros(1), operator)


def test_measurements_must_be_finite_where_they_are_seen_and_of_their_shape(model):
    with pytest.raises(ValueError, match="expected a finite measurement, got 1 inf or NaN"):
        solve(model, torch.tensor([float("nan"), 0.0]), SEEN)
    with pytest.raises(ValueError, match=r"expected measurement of shape \(\*batch, 2\), got \(3,\)"):
        solve(model, torch.zeros(3), SEEN)
    with pytest.raises(ValueError, match="expected 3 draws to have 3 rows in Projection, got 2"):
        model.sample(3, sampler=Projection(SEEN, torch.zeros(2, 2)))


def test_methods_and_samplers_that_do_not_go_together_are_refused(model):
    with pytest.raises((ValueError, TypeCheckError), match="magic"):
        solve(model, torch.zeros(2), SEEN, method="magic")
    with pytest.raises(ValueError, match="expected no sampler for 'dps', which is one itself, got DDIM"):
        solve(model, torch.zeros(2), SEEN, method="dps", sampler=pf.diffusion.samplers.DDIM())
    with pytest.raises(ValueError, match="expected a noise of at least 0"):
        solve(model, torch.zeros(2), SEEN, noise=-0.1)


@pytest.mark.parametrize("method", ["pigdm", "dps", "projection", "repaint"])
def test_draws_come_before_the_batch_and_labels_and_guides_pass_through(method):
    model = pf.diffusion.ddpm(event_shape=2, classes=3, width=8)
    free = pf.diffusion.guidance.ClassifierFree
    x = solve(model, torch.zeros(4, 2), SEEN, method=method, condition=torch.tensor([0, 1, 2, 0]), draws=(2, 3), steps=3, guide=free)  # fmt: skip
    assert x.shape == (2, 3, 4, 2)
    assert torch.isfinite(x).all()
    assert not x.requires_grad


def test_a_walk_that_is_at_its_end_says_so(model):
    sampler = DPS(SEEN, torch.zeros(1, 2), steps=1).on(model)
    state, info = sampler.step(sampler.init(torch.zeros(1, 2)), pf.RowGenerator(0, 1))
    assert info.values["misfit"].shape == (1,)
    with pytest.raises(ValueError, match="expected at most 1 steps"):
        sampler.step(state, pf.RowGenerator(0, 1))
