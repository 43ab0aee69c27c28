import pytest
import torch

import pushforward as pf
from pushforward.core.errors import ConfigError, DataError
from pushforward.parts.bijections import Coupling, MaskedAutoregressive

EVERY = pytest.mark.parametrize(
    "build",
    [pf.flows.bernstein, pf.flows.neural_autoregressive, pf.flows.sum_of_squares, pf.flows.umnn],
    ids=lambda f: f.__name__,
)


@EVERY
def test_both_kinds(build):
    for kind, cls in (("autoregressive", MaskedAutoregressive), ("coupling", Coupling)):
        flow = build(features=3, condition=2, layers=2, hidden=[8], kind=kind)
        assert all(isinstance(part, cls) for part in flow.bijection.parts)
        assert flow.sample(4, torch.zeros(2)).shape == (4, 3)


@EVERY
def test_the_orders_of_features_take_turns(build):
    orders = [part.conditioner.order for part in build(features=3, layers=3, hidden=[8]).bijection.parts]
    assert orders == [[2, 1, 0], [0, 1, 2], [2, 1, 0]]


@EVERY
def test_one_column(build):
    for kind in ("autoregressive", "coupling"):
        flow = build(features=1, layers=1, hidden=[8], kind=kind)
        assert flow.log_prob(flow.sample(5)).shape == (5,)


@EVERY
def test_the_seed_decides_and_the_global_generator_is_left_alone(build):
    before = torch.random.get_rng_state()
    one, same, other = (build(features=3, layers=2, hidden=[8], seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)


@EVERY
def test_misuse_is_refused(build):
    with pytest.raises(ConfigError, match="expected kind 'autoregressive' or 'coupling', got 'dense'"):
        build(features=2, kind="dense")
    with pytest.raises(ConfigError, match="at least 1 layer"):
        build(features=2, layers=0)
    with pytest.raises(ConfigError, match="got neither"):
        build()
    with pytest.raises(DataError):
        build(torch.ones(20, 2))
