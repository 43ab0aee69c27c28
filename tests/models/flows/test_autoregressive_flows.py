import math

import pytest
import torch

import pushforward as pf
from pushforward.core.errors import ConfigError, DataError
from pushforward.models.flows.orders import turned
from pushforward.parts.data import Table
from pushforward.parts.distributions import Dequantised

BUILD = {
    "maf": pf.flows.maf,
    "iaf": pf.flows.iaf,
    "autoregressive": lambda *data, **of: pf.flows.neural_spline(*data, kind="autoregressive", **of),
}
MODELS = pytest.mark.parametrize("build", BUILD.values(), ids=BUILD)


def rows(n: int = 200) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 3, generator=generator) * torch.tensor([100.0, 0.01, 2.0]) + torch.tensor([1e4, 0.0, 5.0])
    x[:, 2] = x[:, 2].round()
    return x


def angles(n: int = 200) -> torch.Tensor:
    return (
        torch.remainder(torch.randn(n, 2, generator=torch.Generator().manual_seed(1)) + math.pi, 2 * math.pi) - math.pi
    )


@MODELS
def test_it_begins_as_the_standardised_gaussian(build):
    x = rows()[:, :2]
    expected = torch.distributions.Normal(x.mean(0), x.std(0)).log_prob(x).sum(1)
    torch.testing.assert_close(build(x).eval().log_prob(x), expected, rtol=1e-4, atol=2e-4)


@MODELS
def test_tables_with_whole_numbers_and_conditions(build):
    table = Table.of(rows(), ["a", "b", "count"]).given("a")
    model = build(table).eval()
    assert isinstance(model, Dequantised)
    assert model.condition_shape == (1,)
    assert torch.isfinite(model.log_prob(table.values, table.condition)).all()


@MODELS
def test_one_column(build):
    assert build(rows()[:, :1]).eval().log_prob(rows()[:, :1]).shape == (200,)
    assert build(features=1, condition=2).eval().sample(3, torch.zeros(2)).shape == (3, 1)


@MODELS
def test_the_seed_decides_and_the_global_generator_is_left_alone(build):
    before = torch.random.get_rng_state()
    one, same, other = (build(features=4, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)


@MODELS
def test_misuse_is_refused(build):
    with pytest.raises(ConfigError, match="one of the two, got neither"):
        build()
    with pytest.raises(ConfigError, match="at least 1 layer"):
        build(features=2, layers=0)
    with pytest.raises(DataError, match="x1"):
        build(torch.stack([torch.arange(20.0), torch.ones(20)], 1))


def test_orders_turn():
    assert turned(3, 3) == [[0, 1, 2], [2, 1, 0], [0, 1, 2]]
    pairs = turned(6, 4, seed=0)
    assert pairs[0] == pairs[1][::-1]
    assert pairs[2] == pairs[3][::-1]
    assert pairs[0] != pairs[2]
    networks = [part.conditioner for part in pf.flows.maf(features=3, layers=2).bijection.parts]
    assert [network.order for network in networks] == [[2, 1, 0], [0, 1, 2]]


class TestCircular:
    def test_it_begins_uniform(self):
        flow = pf.flows.neural_spline(angles(), kind="circular").eval()
        torch.testing.assert_close(flow.log_prob(angles()), torch.full((200,), -2 * math.log(2 * math.pi)))

    def test_angles_written_from_0_to_2_pi_are_drawn_so(self):
        x = torch.remainder(angles(), 2 * math.pi)
        flow = pf.flows.neural_spline(x, kind="circular").eval()
        drawn = flow.sample(1000, generator=torch.Generator().manual_seed(0))
        assert drawn.min() >= -1e-6
        assert drawn.max() > math.pi
        torch.testing.assert_close(flow.log_prob(angles()), flow.log_prob(x), rtol=1e-4, atol=1e-4)

    def test_it_fits_what_lies_across_the_seam(self):
        generator = torch.Generator().manual_seed(2)
        x = torch.remainder(0.3 * torch.randn(500, 1, generator=generator), 2 * math.pi) - math.pi  # around pi
        flow = pf.flows.neural_spline(x, layers=2, hidden=[8], kind="circular")
        optimiser = torch.optim.Adam(flow.parameters(), 0.05)
        for _ in range(60):
            loss = -flow.log_prob(x).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        # The entropy of a Gaussian of that width, far narrower than the circle.
        assert abs(loss.item() - 0.5 * math.log(2 * math.pi * math.e * 0.3**2)) < 0.15
        ends = flow.eval().log_prob(torch.tensor([[-math.pi], [math.pi]]))
        torch.testing.assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-4)

    def test_a_condition_and_one_angle(self):
        flow = pf.flows.neural_spline(Table.of(rows(), ["a", "b", "count"]).given("a", "count"), kind="circular")
        assert flow.condition_shape == (2,)
        assert flow.eval().sample((), torch.tensor([1e4, 5.0])).shape == (1,)

    def test_misuse_is_refused(self):
        degrees = torch.rad2deg(angles())
        with pytest.raises(ConfigError, match=r"expected angles in radians, .* got x0 .* torch\.deg2rad"):
            pf.flows.neural_spline(degrees, kind="circular")
        with pytest.raises(ConfigError, match="got x1 in whole numbers"):
            pf.flows.neural_spline(torch.stack([angles()[:, 0], angles()[:, 1].round()], 1), kind="circular")
        with pytest.raises(ConfigError, match="expected no bound for angles"):
            pf.flows.neural_spline(features=2, kind="circular", bound=3.0)
        with pytest.raises(ConfigError, match="at least 2 layers, got 1"):
            pf.flows.neural_spline(features=2, layers=1, kind="circular")
