"""What samplers say to impossible numbers, to models without a score, and to names that are none."""

from functools import partial

import pytest
import torch

import pushforward as pf
from pushforward.core.errors import ConfigError
from pushforward.models.diffusion.samplers import named
from pushforward.models.diffusion.samplers.named import NAMED

samplers = pf.diffusion.samplers


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: samplers.DPMSolver(2, order=3), "at least so many steps, got order=3 and steps=2; take more steps"),
        (lambda: samplers.DPMSolver(9, order=3, noise=True), "expected an order from 1 to 2"),
        (lambda: samplers.UniPC(9, order=4), "expected an order from 1 to 3"),
        (lambda: samplers.LangevinCorrector(snr=0.8), r"expected snr in \(0, 0.7\)"),
        (lambda: samplers.ReverseEulerMaruyama(eta=-1.0), "expected eta of at least 0, got -1.0"),
        (lambda: samplers.ChurnedHeun(churn=-1.0), "expected churn of at least 0"),
        (lambda: samplers.PredictorCorrector(samplers.UniPC(9)), "expected a predictor among Ancestral, .* got UniPC"),
        (lambda: samplers.PredictorCorrector(corrections=-1), "expected at least 0 corrections, got -1"),
        (lambda: named("dpm"), "expected a sampler among Ancestral, .*, got 'dpm'; take one of these"),
    ],
)
def test_impossible_numbers_are_named(build, sentence):
    with pytest.raises(ConfigError, match=sentence):
        build()


def test_steps_too_long_for_euler_maruyama_are_refused_and_not_run():
    model = pf.diffusion.flow_matching(event_shape=2, width=16)
    with pytest.raises(ConfigError, match="expected steps in which the noise does not grow, got steps=10 with spacing='angle'; take more"):  # fmt: skip
        model.sample(2, sampler=samplers.ReverseEulerMaruyama(10, spacing="angle"))


@pytest.mark.parametrize("name", ["ancestral", "reverse-diffusion", "predictor corrector", "ReverseRungeKutta", "AnnealedLangevin"])  # fmt: skip
def test_a_flow_of_coupled_pairs_refuses_noise(name):
    model = pf.diffusion.flow_matching(event_shape=2, width=16, coupling="optimal")
    with pytest.raises(ConfigError, match=r"expected a sampler without noise for a flow that was trained on optimal pairs, got .* take DDIM"):  # fmt: skip
        model.sample(2, sampler=named(name, 6))
    assert pf.diffusion.flow_matching(event_shape=2, width=16).sample(2, sampler=named(name, 6)).isfinite().all()


def test_a_reflowed_flow_refuses_noise_too():
    student, _ = pf.diffusion.reflow(pf.diffusion.flow_matching(event_shape=2, width=16), pairs=4)
    with pytest.raises(ConfigError, match="trained on given pairs, got Ancestral"):
        student.sample(2, sampler=samplers.Ancestral(4))


@pytest.mark.parametrize("name", ["DDIM", "DPMSolver", "UniPC", "ProbabilityFlow", "ChurnedHeun"])
def test_a_flow_of_coupled_pairs_has_samplers_without_noise(name):
    model = pf.diffusion.flow_matching(event_shape=2, width=16, coupling="optimal")
    assert model.sample(2, sampler=named(name, 4)).isfinite().all()


@pytest.mark.parametrize("name", list(NAMED))
def test_every_named_sampler_draws_images_in_single_precision_and_guided(name):
    model = pf.diffusion.v_diffusion(event_shape=(1, 8, 8), classes=3, levels=4, width=8)
    guide = partial(pf.diffusion.guidance.ClassifierFree, weight=2.0)
    x = model.sample(condition=torch.tensor([0, 2]), sampler=named(name, 12), guide=guide)
    assert x.shape == (2, 1, 8, 8)
    assert x.dtype == torch.float32
    assert x.isfinite().all()
