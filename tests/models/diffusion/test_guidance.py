"""Guides: what is refused, and what they leave alone."""

from functools import partial

import pytest
import torch

import pushforward as pf
from pushforward.models.diffusion.guidance import Autoguidance, ClassifierFree, ClassifierGuidance, time_classifier

small = partial(pf.diffusion.ddpm, event_shape=2, width=8)


@pytest.fixture
def model():
    return small(classes=3)


def test_a_guide_must_give_a_denoiser_of_the_same_path(model):
    with pytest.raises(ValueError, match="expected a guide that turns a model into a denoiser, got one that gives int"):
        model.sample(2, guide=lambda _: 3)
    other = pf.diffusion.flow_matching(event_shape=2, classes=3, width=8)
    with pytest.raises(ValueError, match=r"expected a guide on the path of the model, VP\(.*\), got one on Linear"):
        model.sample(2, guide=lambda _: other)


@pytest.mark.parametrize("weight", [float("nan"), float("inf")])
def test_a_weight_must_be_finite(model, weight):
    for build in (ClassifierFree, partial(Autoguidance, worse_model=model), partial(ClassifierGuidance, classifier=time_classifier(model=model), labels=0)):  # fmt: skip
        with pytest.raises(ValueError, match="expected a finite weight"):
            build(model, weight=weight)


def test_classifier_free_guidance_needs_a_model_with_labels_and_a_label(model):
    with pytest.raises(ValueError, match="expected a model with labels, got a Diffusion without classes"):
        ClassifierFree(small())
    with pytest.raises(ValueError, match=r"expected labels 0 \.\. 2 to guide towards, got none"):
        model.sample(2, guide=ClassifierFree)


def test_a_classifier_of_another_path_or_of_other_classes_is_refused(model):
    elsewhere = time_classifier(model=pf.diffusion.flow_matching(event_shape=2, width=8), classes=3)
    with pytest.raises(ValueError, match="expected a classifier on the path of the model"):
        ClassifierGuidance(model, elsewhere, 0)
    with pytest.raises(ValueError, match="expected a classifier of the model's 3 classes, got one of 5"):
        ClassifierGuidance(model, time_classifier(model=model, classes=5), 0)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (3, r"expected labels in 0 \.\. 2, got 3 to 3"),
        (torch.tensor([0, -1]), r"expected labels in 0 \.\. 2, got -1 to 0"),
        (torch.tensor(0.5), "expected a whole-number label"),
        (torch.zeros(2, 1, dtype=torch.long), r"of shape \(2, 1\)"),
    ],
)
def test_labels_that_the_classifier_does_not_know_are_refused(model, labels, message):
    with pytest.raises(ValueError, match=message):
        ClassifierGuidance(model, time_classifier(model=model), labels)


def test_there_must_be_a_label_for_each_draw():
    model = small()
    guide = partial(
        ClassifierGuidance, classifier=time_classifier(model=model, classes=3), labels=torch.tensor([0, 1, 2])
    )
    with pytest.raises(ValueError, match="expected 4 draws to have 4 rows in ClassifierGuidance, got 3"):
        model.sample(4, guide=guide)
    assert model.sample(3, guide=guide).shape == (3, 2)


def test_a_worse_model_must_be_of_the_same_kind(model):
    with pytest.raises(ValueError, match="expected a worse model with classes=3, got None"):
        Autoguidance(model, small())
    with pytest.raises(ValueError, match="expected a worse model with event_shape="):
        Autoguidance(small(), pf.diffusion.ddpm(event_shape=3, width=8))
    with pytest.raises(ValueError, match="expected a worse model on the path of the model"):
        Autoguidance(small(), pf.diffusion.edm(event_shape=2, width=8))


def test_a_classifier_is_assembled_from_what_it_is_for():
    with pytest.raises(ValueError, match="expected classes=, the number of classes, or data that know it"):
        time_classifier(model=small())
    images = pf.data.Images.of(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), [0, 1, 2, 2], levels=17)
    model = pf.diffusion.v_diffusion(images.unlabelled(), width=8)
    classifier = time_classifier(images, model=model, width=8)
    assert classifier.classes == 3
    assert torch.equal(classifier.scale, model.scale)
    with pytest.raises(ValueError, match="expected data of the model's shape"):
        time_classifier(images, model=small())
    with pytest.raises(ValueError, match="expected at least 2 classes"):
        time_classifier(model=small(), classes=1)


def test_a_classifier_wants_labels_that_are_numbered_from_nought():
    classifier = time_classifier(model=small(), classes=3)
    rows = pf.RowGenerator(0, 4)
    for condition, message in (
        (None, "expected a label for each of 4 rows, got none"),
        (torch.zeros(4, 2), r"got a condition of shape \(4, 2\)"),
        (torch.tensor([0.0, 1.0, 0.5, 2.0]), r"whole numbers in 0 \.\. 2"),
        (torch.tensor([0, 1, 2, 3]), r"whole numbers in 0 \.\. 2, got 0 to 3"),
    ):
        with pytest.raises(ValueError, match=message):
            classifier.objective(classifier, pf.Batch(torch.zeros(4, 2), condition), rows)


def test_guides_can_stand_on_each_other_and_on_samplers_of_every_kind(model):
    samplers, labels = pf.diffusion.samplers, torch.tensor([0, 1, 2, 0])
    classifier = time_classifier(model=model)

    def both(prior):
        return ClassifierGuidance(ClassifierFree(prior, 2.0), classifier, labels, 0.5)

    for sampler in (samplers.DDIM(steps=3), samplers.Ancestral(steps=3), samplers.ProbabilityFlow(steps=2)):
        assert torch.isfinite(model.sample(condition=labels, sampler=sampler, guide=both)).all()


def test_a_guide_can_be_saved_with_its_parts(model, tmp_path):
    guide = ClassifierGuidance(model, time_classifier(model=model), torch.tensor([0, 2]), 1.5)
    again = pf.load(pf.save(guide, tmp_path / "guide.pf"))
    y, t = torch.randn(2, 2), torch.full((2,), 0.3)
    torch.testing.assert_close(again(y, t, None), guide.eval()(y, t, None))
