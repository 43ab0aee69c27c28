"""A8: energies that are networks. Chains reach exp(-E), log Z lies between its two sides, training finds energy differences of a known density.

Oracles: quadrature on a grid in numpy, distribution functions by quadrature and Kolmogorov-Smirnov tests, log densities of a mixture by
scipy, class probabilities and marginals from a joint table. A false alarm in 100,000 runs.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import cumulative_trapezoid
from scipy.special import logsumexp
from torch import Tensor, nn

import pushforward as pf
from pushforward.core.random import RowGenerator
from pushforward.models.energy import EnergyModel, joint_energy
from pushforward.models.energy.chains import hamiltonian_move, langevin_walk
from pushforward.models.latent import Units

BUDGET = 1e-5
SIGMAS = float(stats.norm.isf(BUDGET / 2))
MEANS, WIDTH, WEIGHTS = np.array([[-1.0, 0.3], [1.0, -0.3]]), 0.5, np.array([0.35, 0.65])


class TwoWells(nn.Module):
    """A network whose energy is known: two wells, of which the base makes a density."""

    def __init__(self):
        super().__init__()
        self.depth = nn.Parameter(torch.tensor(2.0))

    def forward(self, y: Tensor) -> Tensor:
        return self.depth * (y[:, 0].square() - 1).square() + (y[:, 1:].sum(1) - y[:, 0]).square() * (y.shape[1] > 1)


def grid(d: int = 201, edge: float = 6.0) -> tuple[np.ndarray, float]:
    line = np.linspace(-edge, edge, d)
    return np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2), (line[1] - line[0]) ** 2


def log_mixture(x: np.ndarray, width: float) -> np.ndarray:
    return np.log(sum(w * stats.multivariate_normal(m, width**2).pdf(x) for w, m in zip(WEIGHTS, MEANS)))


def draws(n: int, seed: int) -> Tensor:
    source = np.random.default_rng(seed)
    return torch.from_numpy(MEANS[source.choice(2, n, p=WEIGHTS)] + WIDTH * source.normal(size=(n, 2))).float()


@pytest.mark.parametrize("moves", ["mala", "hamiltonian"])
def test_corrected_chains_reach_the_density_whatever_the_step(moves):
    model = EnergyModel(Units((1,)), TwoWells().double(), base_scale=2.0).double()
    n, line = 4000, np.linspace(-4, 4, 4001)
    density = np.exp(-2 * (line**2 - 1) ** 2 - line**2 / 8)
    cdf = cumulative_trapezoid(density, line, initial=0)
    rows = RowGenerator(1, n)
    y = rows.normal(1, dtype=torch.float64)
    if moves == "mala":  # steps so coarse that the uncorrected chain is far off
        y, taken = langevin_walk(model.standard_energy, y, 300, 0.08, rows, adjusted=True)
        assert 0.2 < taken.mean() < 0.95
    else:
        for _ in range(60):
            y, _ = hamiltonian_move(model.standard_energy, y, 0.3, 5, rows)
    assert stats.kstest(y[:, 0].numpy(), lambda v: np.interp(v, line, cdf / cdf[-1])).pvalue > BUDGET / 2


def test_uncorrected_chains_reach_it_for_small_steps_and_miss_it_for_large_ones():
    # On N(0, 1 / (1 + 1 / s^2)) a Langevin chain has a known variance: see the law of Langevin.
    class Quadratic(nn.Module):
        def forward(self, y: Tensor) -> Tensor:
            return y.square().sum(1) / 2

    model = EnergyModel(Units((1,)), Quadratic(), base_scale=1.0)
    n, variance, eps = 20_000, 0.5, 0.2
    y, _ = langevin_walk(model.standard_energy, torch.zeros(n, 1), 60, eps, RowGenerator(2, n))
    known = math.sqrt(variance / (1 - eps / (2 * variance)))
    assert stats.kstest(y[:, 0].numpy(), stats.norm(0, known).cdf).pvalue > BUDGET / 2
    assert stats.kstest(y[:, 0].numpy(), stats.norm(0, math.sqrt(variance)).cdf).pvalue < BUDGET


def test_log_z_is_within_its_error_bar_and_between_its_two_sides():
    loc, scale = torch.tensor([3.0, -1.0], dtype=torch.float64), torch.tensor([2.0, 0.5], dtype=torch.float64)
    model = EnergyModel(Units((2,), loc=loc, scale=scale), TwoWells().double()).double()
    points, cell = grid()
    f = -(2 * (points[:, 0] ** 2 - 1) ** 2 + (points[:, 1] - points[:, 0]) ** 2 + (points**2).sum(1) / 8)
    log_z = logsumexp(f) + math.log(cell)
    found = model.estimate_log_z(chains=300, temperatures=60, generator=torch.Generator().manual_seed(3))
    assert abs(found.value - log_z) < SIGMAS * found.std_error
    assert found.lower - SIGMAS * found.lower_error < log_z < found.upper + SIGMAS * found.upper_error
    assert 0 < found.upper - found.lower < 1
    assert found.std_error < 0.1
    # In the user's units p integrates to Z_true / Z_found.
    x = torch.from_numpy(points) * scale + loc
    mass = float(model.log_prob(x).detach().exp().sum()) * cell * float(scale.prod())
    assert math.log(mass) == pytest.approx(log_z - found.value, abs=1e-5)
    assert model.log_prob_kind == "estimate"


def errors_of(model: EnergyModel, width: float) -> np.ndarray:
    """Energy differences less those of log p, at fresh draws."""
    x = draws(500, 99)
    with torch.no_grad():
        error = model.log_unnormalised(x).numpy() - log_mixture(x.numpy(), width)
    return error - error.mean()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "steps", "rate"), [("denoising", 600, 5e-3), ("pcd", 300, 1e-2)])
def test_training_finds_the_energy_differences_of_a_mixture(kind, steps, rate):
    x, blur = draws(8000, 4), 0.2 if kind != "sliced" else 0.0
    model = pf.energy.energy_model(x, training=kind, width=32, layers=2, blur=blur, steps=10, step_size=0.03)
    settings = pf.training.Settings(bar=False, learning_rate=rate, warmup=20, ema_decay=0.98, evaluate_every=50, patience=0)  # fmt: skip
    # The blur is in model units: standard deviations of the columns.
    width = math.hypot(WIDTH, blur * float(x.var(0).mean().sqrt()))
    before = errors_of(model, width).std()
    pf.fit(model, x, steps=steps, settings=settings)
    assert before > 0.55  # nats, by which log p itself varies
    assert errors_of(model, width).std() < 0.4
    drawn = model.sample(2000, generator=torch.Generator().manual_seed(5)).numpy()
    real = draws(20_000, 7).numpy()
    assert abs((drawn[:, 0] > 0).mean() - (real[:, 0] > 0).mean()) < 0.12


def test_training_recovers_from_a_divergence_and_says_so():
    x = draws(2000, 6)
    model = pf.energy.energy_model(x, width=16, layers=2, steps=3, step_size=0.02, sample_steps=20)
    settings = pf.training.Settings(bar=False, log_every=5, evaluate_every=25, batch_size=128, ema_decay=0.9)

    def wreck(record):
        if record["step"] == 60:  # energies of a thousand nats: what chains do to a network with too large a rate
            with torch.no_grad():
                model.network.head.linear.weight *= 1e5

    with pytest.warns(UserWarning, match="back to the weights"):
        history = pf.fit(model, x, steps=120, settings=settings, callbacks=[wreck])
    told = [record for record in history.records if "message" in record]
    assert [record["step"] for record in told] == [65]
    assert "learning rate halved; 6 Langevin steps from now on" in told[0]["message"]
    assert model.rescues == 1
    after = [record for record in history.records if record["step"] > 65]
    assert all(math.isfinite(record["loss"]) and abs(record["loss"]) < 5 for record in after)
    assert after[-1]["learning_rate"] <= settings.learning_rate / 2
    assert model.replay_buffer.isfinite().all()
    assert model.replay_buffer.abs().max() < 20  # the chains were put back too
    assert model.energy(x).isfinite().all()


def test_a_classifier_read_as_a_density_has_the_marginal_of_its_joint_table():
    model = joint_energy(features=2, classes=3, width=8)
    points, cell = grid(121, 8.0)
    y = torch.from_numpy(points).float()
    with torch.no_grad():
        f = model.scores(y).double().numpy()
        given = model.class_log_probs(y).double().numpy()
        marginal = model.log_unnormalised(y).double().numpy()
    joint = f - (points**2).sum(1, keepdims=True) / 8  # log p(x, k) + log Z
    np.testing.assert_allclose(marginal, logsumexp(joint, 1), atol=1e-4)
    np.testing.assert_allclose(given, joint - logsumexp(joint, 1, keepdims=True), atol=1e-4)
    found = model.estimate_log_z(chains=200, temperatures=30, generator=torch.Generator().manual_seed(7))
    assert abs(found.value - logsumexp(joint) - math.log(cell)) < SIGMAS * found.std_error + 1e-4


def test_a_joint_model_learns_labels_and_what_is_unlike_the_data():
    labels = torch.arange(1500) % 3
    centres = torch.tensor([[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]])
    x = centres[labels] + 0.3 * torch.randn(1500, 2, generator=torch.Generator().manual_seed(8))
    table = pf.data.Table.of(torch.cat([x, labels[:, None].float()], 1)).given("x2")
    model = joint_energy(table, width=16, steps=5, step_size=0.02)
    settings = pf.training.Settings(bar=False, learning_rate=1e-2, ema_decay=0.9, evaluate_every=50, warmup=10)
    pf.fit(model, table, steps=150, settings=settings)
    assert (model.predict(x) == labels).float().mean() > 0.97
    far = 2.4 * torch.randn(1500, 2, generator=torch.Generator().manual_seed(9))
    far = far[(far[:, None] - centres).norm(dim=2).amin(1) > 1.2]
    ours, theirs = model.energy_score(x), model.energy_score(far)
    # The share of pairs in the right order (the area under the curve); a classifier alone is not asked for it.
    assert (ours[:, None] > theirs).float().mean() > 0.8
