"""B4: edits in the noise of a flow. Oracles: the original images; a linear flow, whose edits are known; a classifier of pixels."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

import pushforward as pf
from pushforward.core.errors import ConfigError, DataError, ShapeError


def linear() -> pf.Flow:
    loc, scale = torch.tensor([1.0, -2.0]), torch.tensor([2.0, 0.5])
    return pf.Flow(pf.distributions.Gaussian.standard(2), pf.bijections.Affine(loc, scale))


def test_in_a_linear_flow_a_direction_is_the_difference_of_means():
    a, b = torch.randn(50, 2) + 3, torch.randn(70, 2)
    towards = pf.flows.direction(linear(), a, b)
    torch.testing.assert_close(towards, (a.mean(0) - b.mean(0)) / torch.tensor([2.0, 0.5]))
    x = torch.randn(4, 3, 2)
    torch.testing.assert_close(pf.flows.edit(linear(), x, towards, 0.5), x + 0.5 * (a.mean(0) - b.mean(0)))
    each = torch.tensor([-1.0, 0.0, 2.0])
    torch.testing.assert_close(pf.flows.edit(linear(), x, towards, each), x + each[:, None] * (a.mean(0) - b.mean(0)))


def stirred_glow() -> pf.Distribution:
    torch.manual_seed(0)
    model = pf.flows.glow(event_shape=(1, 8, 8), levels=17, steps=2, width=16)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def test_the_originals_come_back_to_the_last_pixel():
    model, digits = stirred_glow(), pf.data.load("digits").unlabelled()
    x = digits.take(torch.arange(64)).x
    z = pf.flows.encode(model, x)
    assert z.shape == (64, 64)
    assert torch.equal(pf.flows.decode(model, z), x)
    towards = pf.flows.direction(model, x[:20], x[20:])
    assert torch.equal(pf.flows.edit(model, x, towards, 0.0), x)
    assert not torch.equal(pf.flows.edit(model, x, towards, 1.0), x)
    path = pf.flows.interpolate(model, x[0], x[1], points=5)
    assert torch.equal(path[0], x[0])
    assert torch.equal(path[-1], x[1])
    with torch.no_grad():  # what cannot be true of a path that skips the noise: its middle is no mean of pixels
        assert not torch.equal(path[2], (x[0] + x[1]).div(2).round())


def test_a_classifier_sees_more_of_the_attribute_the_further_an_edit_goes():
    digits = pf.data.load("digits")
    three, eight = (digits.take(torch.nonzero(digits.labels == k).flatten()).x for k in (3, 8))
    model = pf.flows.glow(event_shape=(1, 8, 8), levels=17, steps=2, width=24)
    both = pf.data.Images.of(torch.cat([three[40:], eight[40:]]).byte(), levels=17)
    settings = pf.training.Settings(bar=False, batch_size=64, learning_rate=2e-3)
    pf.fit(model, both, steps=60, seed=0, settings=settings)
    judge = LogisticRegression(max_iter=2000, C=0.01)
    judge.fit(both.pixels.flatten(1).numpy(), np.repeat([0, 1], [len(three) - 40, len(eight) - 40]))
    towards = pf.flows.direction(model, eight[40:], three[40:])
    with torch.no_grad():
        edited = pf.flows.edit(model, three[:40, None], towards, torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0]))
    scores = judge.decision_function(edited.flatten(0, 1).flatten(1).numpy()).reshape(40, 5).mean(0)
    assert (np.diff(scores) > 0).all()
    assert scores[0] < scores[2] < 0 < scores[4]
    assert torch.equal(edited[:, 2], three[:40])


def test_mistakes_are_one_sentence():
    with pytest.raises(DataError, match="expected rows with the attribute and rows without it, got 0 and 3"):
        pf.flows.direction(linear(), torch.zeros(0, 2), torch.zeros(3, 2))
    with pytest.raises(ConfigError, match="expected a flow, whose data have noise to edit, got Gaussian"):
        pf.flows.encode(pf.distributions.Gaussian.standard(2), torch.zeros(2))
    with pytest.raises(ConfigError, match="expected at least 2 points"):
        pf.flows.interpolate(linear(), torch.zeros(2), torch.ones(2), points=1)
    with pytest.raises(ShapeError, match="expected x of shape"):
        pf.flows.encode(linear(), torch.zeros(3))
