"""A5: log Z by annealing, from both sides, and by sequential Monte Carlo.

Oracles: the known constant of a Gaussian, quadrature for a mixture, the binomial counts of resampling.
"""

import math
from collections.abc import Callable

import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from pushforward.core.errors import ConfigError, UserError
from pushforward.core.kernel import Info, Kernel, State
from pushforward.core.random import RowGenerator
from pushforward.models.inference import annealed_log_z, sequential_monte_carlo
from pushforward.models.inference.annealed import log_mean_weight
from pushforward.models.inference.smc import _systematic
from pushforward.parts.distributions import FullGaussian, Gaussian, Mixture

BUDGET = 1e-5
Z = float(stats.norm.isf(BUDGET))


class RandomWalk(Kernel):
    """Metropolis' rule: exact, whatever the step."""

    def __init__(self, log_density: Callable[[Tensor], Tensor], step: float):
        self.log_density, self.scale = log_density, step

    def init(self, x: Tensor) -> State:
        return State(x)

    def step(self, state: State, generator: RowGenerator) -> tuple[State, Info]:
        with torch.no_grad():
            proposed = state.x + self.scale * generator.normal(state.x.shape[1], dtype=state.x.dtype)
            accept = generator.uniform().log() < self.log_density(proposed) - self.log_density(state.x)
            return State(torch.where(accept[:, None], proposed, state.x), state.step + 1), Info()


COVARIANCE = torch.tensor([[1.0, 0.7], [0.7, 0.8]])
POSTERIOR = FullGaussian.of_covariance(torch.tensor([1.0, -1.0]), COVARIANCE)


def unnormalised(x: Tensor) -> Tensor:
    """exp(3) times a Gaussian density: log Z = 3."""
    return POSTERIOR.log_prob(x) + 3.0


def test_the_two_sides_enclose_a_known_constant():
    exact = POSTERIOR.sample(300, generator=torch.Generator().manual_seed(1))
    base = Gaussian(torch.zeros(2), torch.full((2,), 1.3))
    found = annealed_log_z(unnormalised, base, kernel=lambda f: RandomWalk(f, 0.8), temperatures=40, chains=300, steps=4,
                           exact=exact)  # fmt: skip
    assert found.upper is not None
    assert found.upper_std_error is not None
    assert abs(found.lower - 3) < Z * found.lower_std_error
    assert abs(found.upper - 3) < Z * found.upper_std_error
    assert max(found.lower_std_error, found.upper_std_error) < 0.1
    assert found.effective > 100


def test_few_temperatures_are_low_from_below_and_high_from_above():
    # In expectation the forward side is never above log Z, the reverse side never below (Jensen): by one chain each.
    exact = POSTERIOR.sample(600, generator=torch.Generator().manual_seed(2))
    wide = Gaussian(torch.zeros(2), torch.full((2,), 2.0))
    lows = [annealed_log_z(unnormalised, wide, kernel=lambda f: RandomWalk(f, 0.8), temperatures=2, chains=2,
                           exact=exact[2 * i : 2 * i + 2], seed=i) for i in range(300)]  # fmt: skip
    lower = torch.tensor([each.lower for each in lows], dtype=torch.float64)
    upper = torch.tensor([each.upper for each in lows], dtype=torch.float64)
    assert float(lower.mean()) + Z * float(lower.std()) / math.sqrt(300) < 3
    assert float(upper.mean()) - Z * float(upper.std()) / math.sqrt(300) > 3
    # And exp of the forward side is unbiased for Z itself.
    z = (lower - 3).exp()
    assert abs(float(z.mean()) - 1) < Z * float(z.std()) / math.sqrt(300)


def test_sequential_monte_carlo_finds_a_mixture_and_its_constant():
    bumps = [Gaussian(torch.tensor([m]), torch.tensor([s])) for m, s in ((-2.0, 0.3), (1.5, 0.6))]
    mixture = Mixture(torch.tensor([0.3, 0.7]), bumps)

    def log_p(x: Tensor) -> Tensor:
        return mixture.log_prob(x) - 0.5 * x[:, 0]  # tilted, so that the constant is not in the mixture

    def density(x: float) -> float:
        return float(0.3 * stats.norm.pdf(x, -2, 0.3) + 0.7 * stats.norm.pdf(x, 1.5, 0.6)) * math.exp(-0.5 * x)

    constant = integrate.quad(density, -6, 6, points=[-2, 1.5])[0]
    left = integrate.quad(density, -6, -0.5, points=[-2])[0] / constant
    found = sequential_monte_carlo(log_p, Gaussian(torch.zeros(1), torch.tensor([4.0])), kernel=lambda f: RandomWalk(f, 0.7),
                                   particles=250, islands=16, steps=4, effective=0.7)  # fmt: skip
    # Student's distribution: the error is that of 16 islands.
    t = float(stats.t(15).isf(BUDGET / 2))
    assert abs(found.log_z - math.log(constant)) < t * found.log_z_std_error
    assert found.log_z_std_error < 0.05
    shares = (found.x.reshape(16, 250) < -0.5).double().mean(1)
    assert abs(float(shares.mean()) - left) < t * float(shares.std()) / 4
    assert found.temperatures[0] == 0
    assert found.temperatures[-1] == 1
    assert len(found.temperatures) > 3


def test_resampling_makes_as_many_copies_as_the_weight_says():
    weights = torch.rand(3, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).softmax(1)
    uniform = torch.rand(4000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    counts = torch.stack([
        torch.bincount(_systematic(weights, u), minlength=150).reshape(3, 50).double() for u in uniform
    ])  # fmt: skip
    # Always one of the two whole numbers next to n w, and n w on average.
    assert ((counts >= (50 * weights).floor()) & (counts <= (50 * weights).ceil())).all()
    fraction = 50 * weights - (50 * weights).floor()
    error = (fraction * (1 - fraction) / 4000).sqrt()
    assert ((counts.mean(0) - 50 * weights).abs() < float(stats.norm.isf(BUDGET / 300)) * error + 1e-9).all()


def test_the_error_of_a_log_mean_is_that_of_many_repeats():
    draws = torch.randn(500, 400, dtype=torch.float64, generator=torch.Generator().manual_seed(5)) * 0.5
    each = [log_mean_weight(row + 900) for row in draws]  # exp(900) is no number
    values = torch.tensor([value for value, _, _ in each])
    assert float(values.mean()) == pytest.approx(900.125, abs=Z * float(values.std()) / math.sqrt(500) + 1e-3)
    assert sum(error for _, error, _ in each) / 500 == pytest.approx(float(values.std()), rel=0.2)


def test_mistakes_are_said():
    base = Gaussian.standard(2)
    with pytest.raises(ConfigError, match="temperatures that rise from 0 to 1"):
        annealed_log_z(unnormalised, base, kernel=lambda f: RandomWalk(f, 0.5), temperatures=[0.0, 0.5])
    with pytest.raises(UserError, match="finite log density at the start, got -inf"):
        annealed_log_z(lambda x: torch.where(x[:, 0] > 0, 0.0, -math.inf), base, kernel=lambda f: RandomWalk(f, 0.5))
    with pytest.raises(UserError, match="to reach b = 1 in 2 temperatures"):
        sequential_monte_carlo(lambda x: -1e4 * (x - 3).square().sum(1), base, kernel=lambda f: RandomWalk(f, 0.1),
                               most_temperatures=2)  # fmt: skip
