"""What planar, radial and Sylvester flows have in common."""

import pytest
import torch

import pushforward as pf
from pushforward.core.errors import ConfigError, DataError
from pushforward.parts.distributions import Flow

MODELS = pytest.mark.parametrize(
    "build", [pf.flows.planar, pf.flows.radial, pf.flows.sylvester], ids=lambda f: f.__name__
)
FAST = pytest.mark.parametrize("fast", ["density", "sampling"])


@FAST
@MODELS
def test_it_begins_as_the_standardised_gaussian(build, fast):
    x = torch.randn(200, 2) * torch.tensor([100.0, 0.01]) + torch.tensor([1e4, 0.0])
    expected = torch.distributions.Normal(x.mean(0), x.std(0)).log_prob(x).sum(1)
    torch.testing.assert_close(build(x, fast=fast).log_prob(x), expected, rtol=1e-4, atol=2e-4)


@FAST
@MODELS
def test_one_feature_and_a_condition(build, fast, tmp_path):
    flow = build(features=1, condition=2, layers=2, hidden=[8], fast=fast)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    condition = torch.randn(4, 2)
    x = flow.sample(3, condition)
    assert x.shape == (3, 4, 1)
    pf.save(flow, tmp_path / "flow.pf")
    again = pf.load(tmp_path / "flow.pf")
    assert isinstance(again, Flow)
    assert torch.equal(again.log_prob(x, condition), flow.log_prob(x, condition))


@MODELS
def test_the_seed_decides_the_first_weights(build):
    before = torch.random.get_rng_state()
    first, again, other = (build(features=2, seed=seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any((first[key] != other[key]).any() for key in first)


@MODELS
def test_impossible_settings_are_refused(build):
    with pytest.raises(ConfigError, match="expected fast"):
        build(features=2, fast="both")
    with pytest.raises(ConfigError, match="at least 1 layer"):
        build(features=2, layers=0)
    with pytest.raises(ConfigError, match="one of the two"):
        build()
    with pytest.raises(DataError):
        build(torch.ones(20, 2))


def test_sylvester_takes_turns_and_refuses_ranks_it_cannot_have():
    flow = pf.flows.sylvester(features=3, rank=2, kind="triangular", layers=2)
    assert [part.reverse for part in flow.modules() if isinstance(part, pf.bijections.Sylvester)] == [False, True]
    with pytest.raises(ConfigError, match="rank in 1"):
        pf.flows.sylvester(features=3, rank=4)
