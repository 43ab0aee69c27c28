"""Constructor, conditions and sentences of mixtures."""

import pytest
import torch
from torch import Size, nn

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.parts.distributions import Gaussian, Mixture


class Conditional(Distribution):
    """N(sign * condition, 1)."""

    def __init__(self, sign, kind="exact", optional=False):
        super().__init__()
        self.event_shape = self.condition_shape = Size((1,))
        self.log_prob_kind, self.condition_optional = kind, optional
        self.sign = nn.Buffer(torch.tensor(float(sign)))

    def _sample(self, condition, generator):
        return self.sign * condition + generator.normal(1)

    def _log_prob(self, x, condition):
        return torch.distributions.Normal(self.sign * condition, 1.0).log_prob(x).sum(1)


def halves(n=2):
    return torch.full((n,), 1 / n)


def gaussian(*shape, dtype=torch.float32):
    return Gaussian(torch.zeros(shape, dtype=dtype), torch.ones(shape, dtype=dtype))


def test_a_condition_goes_to_every_component():
    model = Mixture(halves(), [Conditional(1), Conditional(-1)])
    condition = torch.tensor([[100.0], [0.0]])
    x = model.sample(50, condition)
    assert x.shape == (50, 2, 1)
    assert set(x[:, 0].sign().flatten().tolist()) == {1.0, -1.0}
    assert (x[:, 0].abs() - 100).abs().max() < 10
    expected = torch.log((torch.tensor([0.5, 0.5]) * torch.tensor([-4.5, -0.5]).exp()).sum() / (2 * torch.pi) ** 0.5)
    assert torch.allclose(model.log_prob(torch.tensor([2.0]), torch.tensor([-1.0])), expected)


def test_a_mixture_claims_no_more_than_its_weakest_component():
    kinds = [("exact", "exact"), ("exact", "lower_bound"), ("lower_bound", "estimate"), ("none", "exact")]
    found = [Mixture(halves(), [Conditional(1, a), Conditional(1, b)]).log_prob_kind for a, b in kinds]
    assert found == ["exact", "lower_bound", "estimate", "none"]
    assert Mixture(halves(), [Conditional(1, optional=True), Conditional(1, optional=True)]).condition_optional
    assert not Mixture(halves(), [Conditional(1, optional=True), Conditional(1)]).condition_optional


def test_draws_have_no_gradients_and_say_so():
    model = Mixture(halves(), [Gaussian(torch.zeros(1), torch.ones(1), learn=True), gaussian(1)], learn=True)
    assert not model.reparameterised
    assert len(list(model.parameters())) == 3
    with pytest.raises(TypeError, match="cannot be reparameterised"):
        model.rsample(2)


def test_one_component_is_that_component():
    model, part = Mixture(torch.ones(1), [gaussian(2)]), gaussian(2)
    x = model.sample(20)
    assert torch.allclose(model.log_prob(x), part.log_prob(x))


@pytest.mark.parametrize(
    ("weights", "components", "sentence"),
    [
        (
            torch.tensor([0.5, 0.6]),
            [gaussian(1), gaussian(1)],
            "positive weights that sum to 1, got sum 1.1, minimum 0.5",
        ),
        (torch.tensor([1.5, -0.5]), [gaussian(1), gaussian(1)], "got sum 1, minimum -0.5"),
        (torch.tensor([1.0, 0.0]), [gaussian(1), gaussian(1)], "leave out empty components"),
        (halves(3), [gaussian(1), gaussian(1)], r"one weight for each component, got weights of shape \(3,\) for 2"),
        (torch.zeros(0), [], "one weight for each component"),
        (halves(), [gaussian(1), gaussian(2)], "expected components of one event and condition shape"),
        (halves(), [gaussian(1), Conditional(1)], "expected components of one event and condition shape"),
        (halves(), [gaussian(1), gaussian(1, dtype=torch.float64)], "and of the weights' dtype"),
    ],
)
def test_bad_mixtures_are_refused(weights, components, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Mixture(weights, components)
