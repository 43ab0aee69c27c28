import pytest
import torch

import pushforward as pf
from pushforward.core.errors import ConfigError, DataError
from pushforward.parts.data import Table
from pushforward.parts.distributions import Dequantised, Flow

MODELS = pytest.mark.parametrize("build", [pf.flows.realnvp, pf.flows.neural_spline], ids=lambda f: f.__name__)


def rows(n: int = 200) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 3, generator=generator) * torch.tensor([100.0, 0.01, 2.0]) + torch.tensor([1e4, 0.0, 5.0])
    x[:, 2] = x[:, 2].round()
    return x


@MODELS
def test_it_begins_as_the_standardised_gaussian(build):
    x = rows()[:, :2]
    expected = torch.distributions.Normal(x.mean(0), x.std(0)).log_prob(x).sum(1)
    torch.testing.assert_close(build(x).eval().log_prob(x), expected, rtol=1e-4, atol=2e-4)


@MODELS
def test_whole_numbers_are_dequantised_and_come_back_whole(build):
    model = build(Table.of(rows(), ["a", "b", "count"]))
    assert isinstance(model, Dequantised)
    assert model.steps.tolist() == [0, 0, 1]
    drawn = model.eval().sample(50, generator=torch.Generator().manual_seed(1))
    assert torch.equal(drawn[:, 2], drawn[:, 2].round())
    assert torch.isfinite(model.log_prob(rows())).all()
    assert isinstance(build(Table.of(rows(), ["a", "b", "count"]).drop("count")), Flow)


@MODELS
def test_the_condition_of_a_table_is_standardised_inside(build):
    table = Table.of(rows(), ["a", "b", "count"]).given("a")
    model = build(table).eval()
    assert model.condition_shape == (1,)
    assert torch.isfinite(model.log_prob(table.values, table.condition)).all()
    torch.testing.assert_close(model.model.condition_loc, table.condition.mean(0))


@MODELS
def test_one_column(build):
    alone = build(rows()[:, :1]).eval()
    assert alone.log_prob(rows()[:, :1]).shape == (200,)
    assert build(features=1, condition=2).eval().sample(3, torch.zeros(2)).shape == (3, 1)


@MODELS
def test_the_seed_decides_and_the_global_generator_is_left_alone(build):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, same, other = (build(features=4, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)


@MODELS
def test_few_rows_get_small_networks_with_dropout_unless_told_otherwise(build):
    def first(model):
        return model.bijection.parts[0].conditioner

    assert (first(build(rows()[:, :2])).dropout, first(build(rows()[:, :2])).hidden[0].out_features) == (0.2, 64)
    assert (first(build(features=2)).dropout, first(build(features=2)).hidden[0].out_features) == (0.0, 128)
    told = first(build(rows()[:, :2], hidden=[7], dropout=0.0))
    assert (told.dropout, told.hidden[0].out_features) == (0.0, 7)


@MODELS
def test_misuse_is_refused(build):
    with pytest.raises(ConfigError, match="expected data or features=, one of the two, got neither"):
        build()
    with pytest.raises(ConfigError, match="got both"):
        build(rows(), features=3)
    with pytest.raises(ConfigError, match="expected condition=0"):
        build(rows(), condition=2)
    with pytest.raises(ConfigError, match="at least 1 layer"):
        build(features=2, layers=0)
    same = rows()
    same[:, 1] = 0.5
    with pytest.raises(DataError, match="stuck"):
        build(Table.of(same, ["a", "stuck", "count"]))


def test_an_unknown_kind_is_refused():
    with pytest.raises(
        ConfigError, match="expected kind 'coupling' or 'autoregressive' or 'circular', got 'triangular'"
    ):
        pf.flows.neural_spline(features=2, kind="triangular")
