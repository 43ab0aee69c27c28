"""Optimal pairs are optimal and keep every marginal; flows trained on any pairs move the same distribution; reflow straightens."""

import itertools
import math

import pytest
import torch
from scipy import optimize, stats
from torch import Tensor, nn

import pushforward as pf
from pushforward.core.data import Batch
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.models.diffusion import Diffusion, FlowMatching, reflow, straightness
from pushforward.models.diffusion.coupling import couple, squared_distances
from pushforward.parts.numerics import assignment, entropic_plan
from pushforward.parts.paths import Linear
from tests.exact_mixture import ExactNetwork, standard_mixture

BUDGET = 1e-5


@pytest.mark.parametrize("n", [1, 2, 5, 7])
def test_the_assignment_is_the_best_of_all_permutations(n):
    cost = torch.rand(n, n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    rows = torch.arange(n)
    best = min(float(cost[rows, list(p)].sum()) for p in itertools.permutations(range(n)))
    found = assignment(cost)
    assert sorted(found.tolist()) == list(range(n))
    assert float(cost[rows, found].sum()) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("kind", ["points", "outliers", "ties"])
def test_prices_do_not_change_the_optimum(kind):
    # Linear programming (HiGHS, through the plain solver on raw costs) is the oracle where permutations are too many.
    g = torch.Generator().manual_seed(3)
    x, y = torch.randn(150, 2, generator=g), torch.randn(150, 2, generator=g)
    if kind == "outliers":
        x[0], y[1] = 1e3, -1e3
    if kind == "ties":
        x, y = x.round(), y.round()
    cost = squared_distances(x, y).double()
    rows, columns = optimize.linear_sum_assignment(cost.numpy())
    found = assignment(cost)
    assert sorted(found.tolist()) == list(range(150))
    assert float(cost[range(150), found].sum()) == pytest.approx(float(cost[rows, columns].sum()), rel=1e-9)


def test_the_entropic_plan_is_the_minimum_by_another_solver():
    # The dual is concave and smooth: its maximum by BFGS gives the plan's cost.
    g = torch.Generator().manual_seed(4)
    cost, eps = torch.rand(4, 6, generator=g, dtype=torch.float64), 0.2
    c = cost.numpy()

    def negative_dual(v):
        f, h = v[:4], v[4:]
        plan = torch.as_tensor((f[:, None] + h[None] - c) / eps).exp().numpy()
        gradient = [*(f * 0 + 1 / 4 - plan.sum(1)), *(h * 0 + 1 / 6 - plan.sum(0))]
        return -(f.mean() + h.mean() - eps * plan.sum()), [-value for value in gradient]

    best = optimize.minimize(negative_dual, [0.0] * 10, jac=True, method="BFGS", options={"gtol": 1e-9}).x
    expected = torch.as_tensor((best[:4, None] + best[None, 4:] - c) / eps).exp()
    torch.testing.assert_close(entropic_plan(cost, eps, tolerance=1e-9), expected, rtol=1e-5, atol=1e-8)


def test_optimal_pairs_cost_less_and_are_a_permutation_of_the_same_noise():
    g = torch.Generator().manual_seed(5)
    x, noise = pf.data.toy("two_moons", 200, seed=1), torch.randn(200, 2, generator=g)
    dealt = couple(x, noise, "optimal")
    assert (x - dealt).square().sum() < 0.8 * (x - noise).square().sum()
    assert torch.equal(dealt.sort(0).values, noise.sort(0).values)
    assert couple(x, noise, "independent") is noise


def _noise_of(coupling: str, condition: str, batches: int) -> tuple[Tensor, Tensor]:
    """The noise that meets data of the right half, where data of label (or number) c lie at c."""
    met, everything = [], []
    for k in range(batches):
        g = torch.Generator().manual_seed(k)
        c = torch.randint(2, (128,), generator=g) * 2 - 1
        x = c[:, None] * 3.0 + 0.3 * torch.randn(128, 1, generator=g)
        given = c + 1 if condition == "labels" else c[:, None].float()
        dealt = couple(x, torch.randn(128, 1, generator=g), coupling, given)
        met.append(dealt[c > 0, 0])
        everything.append(dealt[:, 0])
    return torch.cat(met), torch.cat(everything)


@pytest.mark.parametrize("condition", ["labels", "numbers"])
def test_the_noise_given_the_condition_is_all_the_noise(condition):
    met, everything = _noise_of("conditional_optimal", condition, 20)
    assert stats.kstest(everything.numpy(), "norm").pvalue > BUDGET
    if condition == "labels":
        assert stats.kstest(met.numpy(), "norm").pvalue > BUDGET
    else:  # what spills over where the numbers of noise and data do not match one to one
        assert abs(float(met.mean())) < 0.15


def test_plain_optimal_transport_biases_the_noise_given_the_condition():
    # The trap: the right half of the data takes the right half of the noise, of mean sqrt(2 / pi).
    met, everything = _noise_of("optimal", "labels", 20)
    assert stats.kstest(everything.numpy(), "norm").pvalue > BUDGET
    assert float(met.mean()) == pytest.approx(math.sqrt(2 / math.pi), abs=0.1)


def test_the_minimum_is_the_probability_flow_of_the_path():
    # The loss of the exact mixture's probability-flow field (tests/exact_mixture.py) is least: it rises by |bend|^2 beside it, to within
    # standard errors, and the rise is even in the sign of the bend.
    n = 12_000
    x = standard_mixture().sample(n, 1)

    def losses(sign: float) -> Tensor:
        model = Diffusion(BentField(sign), Linear(), 2, "velocity").double()
        generator = RowGenerator(2, n)
        return torch.stack(
            [FlowMatching()(model, Batch(x[a : a + 100]), generator.slice(a, a + 100)).value for a in range(0, n, 100)]
        )

    plus, minus, exact = losses(0.3), losses(-0.3), losses(0.0)
    slope, rise = (plus - minus) / 2, (plus + minus) / 2 - exact
    assert abs(float(slope.mean())) < stats.norm.isf(BUDGET / 2) * float(slope.std()) / math.sqrt(len(slope))
    assert float(rise.mean()) > 0.01


@register
class BentField(nn.Module):
    """The exact velocity, and a smooth function beside it."""

    def __init__(self, sign: float):
        super().__init__()
        self.exact, self.sign = ExactNetwork(Linear(), "velocity"), sign

    def forward(self, y: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        return self.exact(y, t, condition) + self.sign * torch.sin(y + t[:, None])


def _trained(model: Diffusion, batches, objective, steps: int) -> Diffusion:
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    for k in range(steps):
        batch = batches(k)
        optimiser.zero_grad()
        objective(model, batch, RowGenerator(k, len(batch))).value.backward()
        optimiser.step()
    return model.eval()


def test_reflow_keeps_the_marginals_and_straightens():
    torch.manual_seed(0)
    x = pf.data.toy("two_moons", 4000, seed=2)
    first = pf.diffusion.flow_matching(x, width=48)

    def rows(k: int) -> Tensor:
        return torch.randint(4000, (256,), generator=torch.Generator().manual_seed(k))

    _trained(first, lambda k: Batch(x[rows(k)]), first.objective, 400)
    student, pairs = reflow(first, pairs=2500, tolerance=1e-3, generator=torch.Generator().manual_seed(1))
    assert stats.kstest(pairs.noise[:, 0].numpy(), "norm").pvalue > BUDGET
    again = first.to_model_units(first.decode(pairs.noise[:300]), None)
    assert (pairs.data[:300] - again).abs().mean() < 0.01  # the same flow, by a solver of a hundredth of the tolerance
    _trained(student.train(), lambda k: pairs.take(rows(k) % 2500), student.objective, 300)
    assert straightness(student, rows=500) < 0.6 * straightness(first, rows=500)
    # The same distribution, by sliced quantiles: closer to the first model's draws than two steps of the first model come.
    g = [torch.Generator().manual_seed(9) for _ in range(2)]
    full = first.sample(2000, generator=g[0])
    moved = student.sample(2000, generator=g[1], sampler=pf.diffusion.samplers.DDIM(3))
    short = first.sample(2000, generator=torch.Generator().manual_seed(9), sampler=pf.diffusion.samplers.DDIM(3))
    gaps = [(full.sort(0).values - other.sort(0).values).abs().mean() for other in (moved, short)]
    assert gaps[0] < 0.6 * gaps[1]
    assert gaps[0] < 0.1


def test_straight_lines_are_straight():
    # Data at one point: every flow line ends there, straight, at the speed that it began with.
    class Still(nn.Module):
        def __init__(self):
            super().__init__()
            self.marker = nn.Buffer(torch.zeros(()))

        def forward(self, y, t, condition):  # x_t = t noise: the velocity is x_t / t
            return y * (torch.hypot(1 - t, t) / t)[:, None]

    assert straightness(Diffusion(Still(), Linear(), 2, "velocity"), rows=50) < 1e-9


def test_pairs_are_data_for_fit():
    model = pf.diffusion.flow_matching(event_shape=2, classes=3, width=16)
    student, pairs = reflow(model, torch.tensor([0, 1, 2]), pairs=30)
    first, second = pairs.split((0.8, 0.2), seed=1)
    assert (len(first), len(second), len(pairs.take(torch.tensor([4, 2])))) == (24, 6, 2)
    assert torch.equal(pairs.condition[:4], torch.tensor([0, 1, 2, 0]))
    history = pf.fit(student, pairs, steps=2, settings=pf.training.Settings(bar=False))
    assert history.records[-1]["step"] == 2
    with pytest.raises(ValueError, match="velocity"):
        reflow(pf.diffusion.ddpm(event_shape=2))
