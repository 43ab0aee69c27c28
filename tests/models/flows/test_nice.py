import pytest
import torch

import pushforward as pf
from pushforward.core.errors import ConfigError
from pushforward.parts.distributions import Dequantised, Flow, Logistic


def test_it_begins_as_the_standardised_gaussian():
    x = torch.randn(200, 3) * torch.tensor([100.0, 0.01, 2.0]) + torch.tensor([1e4, 0.0, 5.0])
    expected = torch.distributions.Normal(x.mean(0), x.std(0)).log_prob(x).sum(1)
    torch.testing.assert_close(pf.flows.nice(x).eval().log_prob(x), expected, rtol=1e-4, atol=2e-4)


def test_whole_numbers_are_dequantised():
    x = torch.randint(0, 9, (300, 2)).float()
    model = pf.flows.nice(x).eval()
    assert isinstance(model, Dequantised)
    x = model.sample(20)
    assert torch.equal(x, x.round())


def test_one_feature_is_shifted_by_the_condition():
    flow = pf.flows.nice(features=1, condition=2, hidden=[8])
    torch.nn.init.normal_(next(p for p in flow.parameters() if p.shape == (1, 8)))
    low, high = (flow.log_prob(torch.zeros(1), torch.full((2,), c)) for c in (-2.0, 2.0))
    assert low != high


def test_its_bijection_takes_a_logistic_base():
    flow = pf.flows.nice(features=2, hidden=[8])
    assert isinstance(flow, Flow)
    logistic = Flow(Logistic.standardised(2), flow.bijection)
    torch.testing.assert_close(logistic.log_prob(torch.zeros(2)), 2 * torch.tensor(torch.pi / 3**0.5 / 4).log())


def test_no_layers_are_refused():
    with pytest.raises(ConfigError, match="at least 1 layer"):
        pf.flows.nice(features=2, layers=0)


def test_the_seed_decides_the_first_weights():
    first, again, other = (pf.flows.nice(features=2, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any((first[key] != other[key]).any() for key in first)
