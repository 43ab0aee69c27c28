"""G6: guidance by a classifier is Bayes' rule; classifier-free and autoguidance are the scores that they say they are.

Oracles: the mixture that is left when a class is chosen (closed form, and its distribution function by scipy), gradients by autodiff of
log densities of that mixture, and its own posterior of the class for the classifier that is trained.
"""

from functools import partial

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import pushforward as pf
from pushforward.core.data import Batch
from pushforward.core.path import Path
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.models.diffusion.guidance import Autoguidance, ClassifierFree, ClassifierGuidance, time_classifier
from pushforward.models.diffusion.samplers import DDIM, Ancestral, ProbabilityFlow
from pushforward.parts.paths import VE, VP, Cosine, Linear
from tests.exact_mixture import ExactMixture, exact_model, standard_mixture

BUDGET = 1e-5
PATHS = {"VP": VP(), "VE": VE(0.02, 30.0), "Cosine": Cosine(), "Linear": Linear()}
CLASSES = ([0], [1, 2])  # the bumps that a label stands for


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def of_class(label: int) -> ExactMixture:
    whole, bumps = standard_mixture(), CLASSES[label]
    weights = whole.weights[bumps]
    return ExactMixture(weights / weights.sum(), whole.means[bumps], whole.stds[bumps])


class ExactClassifier(nn.Module):
    """log p_t(label | x_t) of the mixture, up to a constant."""

    classes = 2

    def __init__(self, path: Path):
        super().__init__()
        self.path = path

    def forward(self, y: Tensor, t: Tensor) -> Tensor:
        t = t.double()
        alpha, sigma = self.path.alpha(t), self.path.sigma(t)
        joint = standard_mixture()._components(y.double() * torch.hypot(alpha, sigma)[:, None], alpha, sigma)[0]
        return torch.stack([joint[:, bumps].logsumexp(1) for bumps in CLASSES], 1).to(y.dtype)


@register
class ExactByLabel(nn.Module):
    """The exact noise prediction given a label, or without one where it is 2."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.dtype_marker = nn.Buffer(torch.zeros(()))

    def forward(self, y: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        alpha, sigma = self.path.alpha(t), self.path.sigma(t)
        x = y * torch.hypot(alpha, sigma)[:, None]
        whole = standard_mixture().posterior(x, alpha, sigma)[1]
        if condition is None:
            return whole
        parts = torch.stack([of_class(label).posterior(x, alpha, sigma)[1] for label in (0, 1)] + [whole])
        return parts[condition, torch.arange(len(y))]


def labelled_model(path: Path) -> pf.diffusion.Diffusion:
    return pf.diffusion.Diffusion(ExactByLabel(path), path, 2, "noise", classes=2).double()


def points(path: Path, n: int = 64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Noised points of the mixture: x_t, y, t, and labels, all over the path."""
    share = torch.rand(n, dtype=torch.float64, generator=seeded(1)) * 0.8 + 0.1
    theta = torch.lerp(*pf.paths.angle(path, torch.tensor([path.t_min, path.t_max], dtype=torch.float64)), share)
    t = pf.paths.time_of_angle(path, theta)
    noise = torch.randn(n, 2, dtype=torch.float64, generator=seeded(2))
    x = path.sample(standard_mixture().sample(n, 3), noise, t)
    return x, x / torch.hypot(path.alpha(t), path.sigma(t))[:, None], t, torch.arange(n) % 2


@pytest.mark.parametrize("predict", ["data", "noise", "score", "velocity", "v"])
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_an_exact_classifier_turns_the_prediction_into_that_of_its_class(path, predict):
    x, y, t, labels = points(path)
    guide = ClassifierGuidance(exact_model(path, predict), ExactClassifier(path), labels)
    alpha, sigma = path.alpha(t), path.sigma(t)
    ours = path.convert(guide(y, t, None), predict, "noise", x, t)
    theirs = [of_class(label).posterior(x, alpha, sigma)[1] for label in (0, 1)]
    torch.testing.assert_close(ours, torch.where(labels[:, None] == 0, *theirs), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("sampler", [Ancestral(steps=120), DDIM(steps=80), ProbabilityFlow(steps=30)], ids=lambda s: type(s).__name__)  # fmt: skip
@pytest.mark.parametrize("label", [0, 1])
def test_an_exact_classifier_guides_samples_to_its_class(sampler, label):
    guide = partial(ClassifierGuidance, classifier=ExactClassifier(VP()), labels=label)
    x = exact_model(VP()).sample(1500, sampler=sampler, guide=guide, generator=seeded(4))
    for column in (0, 1):
        found = stats.kstest(x[:, column].numpy(), partial(of_class(label).cdf, column))
        assert found.pvalue > BUDGET / 12, found


def log_joint(x: Tensor, t: Tensor, path: Path, label: int, weight: float) -> Tensor:
    """log p_t(x) + weight log p_t(label | x), from densities."""
    alpha, sigma = path.alpha(t), path.sigma(t)
    whole, one = standard_mixture().log_prob(x, alpha, sigma), of_class(label).log_prob(x, alpha, sigma)
    return whole + weight * (one - whole)


@pytest.mark.parametrize("weight", [-0.5, 0.0, 1.0, 1.7, 4.0])
@pytest.mark.parametrize("path", [VP(), VE(0.02, 30.0)], ids=["VP", "VE"])
def test_guided_scores_are_those_of_the_tilted_density(path, weight):
    # Both kinds of guidance: score of p_t(x) p_t(label | x)^weight, by autodiff of the densities.
    x, y, t, labels = points(path)
    at = x.clone().requires_grad_()
    both = torch.stack([log_joint(at, t, path, label, weight) for label in (0, 1)], 1)
    (score,) = torch.autograd.grad(both.gather(1, labels[:, None]).sum(), at)
    noise = -path.sigma(t)[:, None] * score
    free = ClassifierFree(labelled_model(path), weight)(y, t, labels)
    torch.testing.assert_close(free, noise, rtol=1e-6, atol=1e-6)
    by_classifier = ClassifierGuidance(exact_model(path), ExactClassifier(path), labels, weight)(y, t, None)
    torch.testing.assert_close(by_classifier, noise, rtol=1e-6, atol=1e-6)


def test_classifier_free_guidance_of_weight_one_is_the_model_itself_and_of_none_the_model_without_labels():
    model, labels = labelled_model(Cosine()), torch.arange(40) % 2
    sampler = DDIM(steps=12)
    draws = {
        w: model.sample(condition=labels, sampler=sampler, guide=partial(ClassifierFree, weight=w), generator=seeded(5))
        for w in (0.0, 1.0, 3.0)
    }
    assert torch.equal(draws[1.0], model.sample(condition=labels, sampler=sampler, generator=seeded(5)))
    assert torch.equal(draws[0.0], model.sample(40, sampler=sampler, generator=seeded(5)))
    assert not torch.allclose(draws[3.0], draws[1.0], atol=0.05)


def test_more_guidance_makes_samples_surer_of_their_class():
    model, labels = labelled_model(VP()), torch.arange(600) % 2
    sure = []
    for weight in (0.0, 1.0, 3.0):
        x = model.sample(condition=labels, guide=partial(ClassifierFree, weight=weight), generator=seeded(6))
        p = ExactClassifier(VP())(x, torch.full((600,), VP().t_min, dtype=torch.float64)).log_softmax(1)
        sure.append(float(p.gather(1, labels[:, None]).exp().mean()))
    assert sure[0] < 0.7 < sure[1] <= sure[2]


@pytest.mark.parametrize("predict", ["data", "v"])
def test_autoguidance_goes_on_from_the_worse_score_through_the_better(predict):
    path, weight = VP(), 2.5
    x, y, t, _ = points(path)
    worse = of_class(1)  # a model that lost a bump
    bad = pf.diffusion.Diffusion(_Lost(path), path, 2, "noise").double()
    ours = Autoguidance(exact_model(path, predict), bad, weight)(y, t, None)
    at = x.clone().requires_grad_()
    alpha, sigma = path.alpha(t), path.sigma(t)
    good_log, bad_log = standard_mixture().log_prob(at, alpha, sigma), worse.log_prob(at, alpha, sigma)
    (score,) = torch.autograd.grad((weight * good_log + (1 - weight) * bad_log).sum(), at)
    torch.testing.assert_close(path.convert(ours, predict, "score", x, t), score, rtol=1e-5, atol=1e-5)


@register
class _Lost(nn.Module):
    """The exact noise prediction of one class alone."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.dtype_marker = nn.Buffer(torch.zeros(()))

    def forward(self, y: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        alpha, sigma = self.path.alpha(t), self.path.sigma(t)
        return of_class(1).posterior(y * torch.hypot(alpha, sigma)[:, None], alpha, sigma)[1]


def test_labels_stay_with_their_rows_however_the_rows_are_divided(monkeypatch):
    model, labels = exact_model(VP()), (torch.rand(300, generator=seeded(7)) < 0.5).long()
    guide = partial(ClassifierGuidance, classifier=ExactClassifier(VP()), labels=labels)
    whole = model.sample(300, sampler=DDIM(steps=10), guide=guide, generator=seeded(8))
    monkeypatch.setattr(type(model), "_rows", lambda self, rows, condition: 64)  # as if memory were short
    parts = model.sample(300, sampler=DDIM(steps=10), guide=guide, generator=seeded(8))
    torch.testing.assert_close(parts, whole, rtol=1e-9, atol=1e-9)
    few = model.sample(7, sampler=DDIM(steps=10), guide=partial(guide, labels=labels[:7]), generator=seeded(8))
    torch.testing.assert_close(few, whole[:7], rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_a_classifier_learns_the_posterior_of_the_class_at_every_noise():
    # Trained by the same objective as in `fit`, on whose minimiser the exact posterior of the mixture is the judge.
    model = exact_model(VP(), dtype=torch.float32)
    classifier = time_classifier(model=model, classes=2, width=64)
    x = standard_mixture().sample(4000, 9)
    labels = (torch.rand(4000, dtype=torch.float64, generator=seeded(10)) > _posterior(x)).long()
    settings = pf.training.Settings(bar=False)
    pf.fit(
        classifier,
        pf.data.Table.of(torch.cat([x, labels[:, None]], 1).float()).given("x2"),
        steps=400,
        settings=settings,
    )
    y, t = (v.float() for v in points(VP(), 2000)[1:3])
    with torch.no_grad():
        exact, ours = ExactClassifier(VP())(y, t).log_softmax(1), classifier(y, t).log_softmax(1)
    gap = (exact.exp() * (exact - ours)).sum(1).mean()
    entropy = -(exact.exp() * exact).sum(1).mean()
    assert 0 <= gap < 0.03, (gap, entropy)
    loss = classifier.objective(classifier, Batch(x.float(), labels), RowGenerator(11, len(x)))
    assert float(loss.metrics["accuracy"]) > 0.8


def _posterior(x: Tensor) -> Tensor:
    """p(label 0 | x) of clean data."""
    joint = standard_mixture()._components(x, 1.0, 0.0)[0].softmax(1)
    return joint[:, 0]
