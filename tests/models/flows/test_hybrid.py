"""The hybrid model: what it is built from, shapes, kinds of flows, and what is refused."""

import pytest
import torch

import pushforward as pf
from pushforward.core.data import Batch
from pushforward.core.errors import ConfigError, DataError
from pushforward.core.random import RowGenerator
from pushforward.parts.distributions import Dequantised, Flow, Gaussian, VariationalDequantised
from pushforward.parts.nn import MLP

HybridModel, hybrid = pf.flows.HybridModel, pf.flows.hybrid


def table() -> pf.data.Table:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(60, 3, generator=generator)
    return pf.data.Table.of(torch.cat([rows, (torch.arange(60.0) % 3)[:, None]], 1)).given("x3")


@pytest.mark.parametrize("flow", ["realnvp", "neural_spline"])
def test_it_is_built_for_tables_and_images(flow):
    of_table = hybrid(table(), flow=flow, layers=2, hidden=(8,))
    assert of_table.classes == 3
    assert of_table.event_shape == (3,)
    digits = pf.data.load("digits")
    of_images = hybrid(digits, flow=flow, layers=2, hidden=(8,), head_hidden=(8,))
    x = digits.take(torch.arange(4)).x
    assert of_images.class_log_probs(x.reshape(2, 2, 1, 8, 8)).shape == (2, 2, 10)
    assert of_images.features(x).shape == (4, 64)
    assert of_images.predict(x[0]).shape == ()
    drawn = of_images.sample(3)
    assert (drawn == drawn.round()).all()
    # It begins without an opinion on classes.
    torch.testing.assert_close(of_images.class_log_probs(x).exp(), torch.full((4, 10), 0.1))


def test_the_same_seed_gives_the_same_model():
    one, two, other = (hybrid(table(), layers=2, hidden=(8,), head_hidden=(8,), seed=seed) for seed in (1, 1, 2))
    for a, b in zip(one.parameters(), two.parameters()):
        assert torch.equal(a, b)
    assert not torch.equal(one.head.hidden[0].weight, other.head.hidden[0].weight)


def test_flows_of_ones_own():
    digits = pf.data.load("digits")
    glow = pf.flows.glow(digits.unlabelled(), scales=2, steps=1, width=8)
    noise = pf.bijections.Affine(torch.zeros(2), torch.ones(2))
    learned = VariationalDequantised(pf.flows.realnvp(features=2, layers=2), noise, torch.ones(2))
    for flow, x in ((glow, digits.take(torch.arange(4)).x), (learned, torch.tensor([[0.0, 1.0], [3.0, -2.0]]))):
        model = hybrid(flow=flow, classes=10)
        loss = model.objective(model, Batch(x, torch.arange(len(x))), RowGenerator(0, len(x))).value
        loss.backward()
        assert torch.isfinite(loss)
        assert model.head.head.linear.weight.grad.abs().max() > 0
        assert model.log_prob(x).shape == (len(x),)
        assert model.log_prob_kind == "lower_bound"


def test_draws_may_have_gradients_where_those_of_the_flow_do():
    model = hybrid(flow=pf.flows.realnvp(features=2, layers=2), classes=2)
    x, log_prob = model.rsample_and_log_prob(4)
    torch.testing.assert_close(log_prob, model.log_prob(x))
    with pytest.raises(TypeError, match="cannot be reparameterised"):
        hybrid(flow=Dequantised(pf.flows.realnvp(features=2), torch.ones(2)), classes=2).rsample(3)


def test_what_it_refuses():
    flow = pf.flows.realnvp(features=2, layers=2)
    with pytest.raises(ConfigError, match="expected a flow without condition"):
        hybrid(flow=pf.flows.realnvp(features=2, condition=1), classes=2)
    with pytest.raises(ConfigError, match="expected a Flow, Dequantised or not, got Gaussian"):
        hybrid(flow=Gaussian.standard(2), classes=2)
    with pytest.raises(ConfigError, match="expected a head of 2 inputs"):
        HybridModel(flow, MLP(3, 2))
    with pytest.raises(ConfigError, match="expected a weight of at least 0"):
        HybridModel(flow, MLP(2, 2), -1.0)
    with pytest.raises(ConfigError, match="expected data, or a flow and classes="):
        hybrid()
    with pytest.raises(ConfigError, match="expected flow 'realnvp' or 'neural_spline' with data"):
        hybrid(table(), flow="glow")
    with pytest.raises(ConfigError, match="expected flow 'realnvp' or 'neural_spline' with data"):
        hybrid(classes=2)
    with pytest.raises(DataError, match="expected images with labels"):
        hybrid(pf.data.load("digits").unlabelled())


@pytest.mark.parametrize("labels", [[0, 3], [-2, 0], [0.5, 1.0], [float("nan"), 0.0], [0]])
def test_labels_that_are_none(labels):
    model = hybrid(flow=Flow(Gaussian.standard(2), pf.bijections.Permutation([1, 0])), classes=3)
    with pytest.raises(DataError, match="expected a class number from 0 to 2 for each of 2 rows"):
        model.objective(model, Batch(torch.zeros(2, 2), torch.tensor(labels)), RowGenerator(0, 2))
