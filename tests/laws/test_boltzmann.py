"""A7: Boltzmann machines against the list of all their states.

Oracles: enumeration in numpy, written from p(y) = exp(y'Wy / 2 + b'y) / Z and p(v, h) = exp(b'v + c'h + v'Wh) / Z alone; autodiff of the
enumerated likelihood; chi-squared tests of counts; z-tests. A false alarm in 100,000 runs.
"""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp

from pushforward.core.data import Batch
from pushforward.core.random import RowGenerator
from pushforward.models.energy import Bits, BoltzmannMachine, BoltzmannTraining, RestrictedBoltzmannMachine
from pushforward.models.energy import boltzmann_machine as new_machine

BUDGET = 1e-5
SIGMAS = float(stats.norm.isf(BUDGET / 2))


def machine(d: int, scale: float = 0.7, low: float = -1.0) -> BoltzmannMachine:
    torch.manual_seed(3)
    made = BoltzmannMachine(Bits(d, low=low), "cd", steps=20).double()
    with torch.no_grad():
        made.coupling.normal_(std=scale)
        made.field.normal_(std=scale)
    return made


def restricted(d: int, hidden: int, scale: float = 1.0) -> RestrictedBoltzmannMachine:
    torch.manual_seed(4)
    made = RestrictedBoltzmannMachine(Bits(d), hidden, "cd", steps=20).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(std=scale)
    return made


def states_and_log_f(m: BoltzmannMachine) -> tuple[np.ndarray, np.ndarray]:
    """All states of spins, and y'Wy / 2 + b'y of each, with W written out entry by entry."""
    states = np.array(list(itertools.product([-1.0, 1.0], repeat=m.d)))
    w = np.zeros((m.d, m.d))
    for (i, j), value in zip(itertools.combinations(range(m.d), 2), m.coupling.tolist()):
        w[i, j] = w[j, i] = value
    return states, np.einsum("ni,ij,nj->n", states, w, states) / 2 + states @ np.array(m.field.tolist())


def joint_log_f(m: RestrictedBoltzmannMachine) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All v, all h, and the table b'v + c'h + v'Wh."""
    v, h = (np.array(list(itertools.product([0.0, 1.0], repeat=n))) for n in (m.d, m.hidden))
    w, b, c = (p.detach().numpy() for p in (m.weights, m.visible_bias, m.hidden_bias))
    return v, h, (v @ b)[:, None] + (h @ c)[None] + v @ w @ h.T


def counts_fit(x: np.ndarray, states: np.ndarray, p: np.ndarray) -> float:
    """p value of a chi-squared test that rows of x are draws of p."""
    place = {tuple(row): i for i, row in enumerate(states)}
    counts = np.bincount([place[tuple(row)] for row in x], minlength=len(states))
    few = p * len(x) < 5  # a chi-squared test wants five in each cell
    counts, p = (np.append(a[~few], a[few].sum()) for a in (counts, p))
    return stats.chisquare(counts[p > 0], p[p > 0] * len(x)).pvalue


def test_log_prob_and_draws_are_those_of_the_list_of_all_states():
    m = machine(6, low=-1.0)
    states, log_f = states_and_log_f(m)
    log_p = log_f - logsumexp(log_f)
    np.testing.assert_allclose(m.log_prob(torch.from_numpy(states)).detach().numpy(), log_p, rtol=0, atol=1e-10)
    x = m.sample(20_000, generator=torch.Generator().manual_seed(1)).numpy()
    assert counts_fit(x, states, np.exp(log_p)) > BUDGET
    # Zeros and ones, or anything else, in the place of -1 and +1: the same probabilities.
    other = machine(6, low=0.0)
    torch.testing.assert_close(
        other.log_prob(torch.from_numpy((states + 1) / 2)), torch.from_numpy(log_p), rtol=0, atol=1e-10
    )


def test_beyond_16_numbers_blocks_of_states_give_the_same_log_z():
    m = machine(17, 0.2)
    w, b = m.weights.detach().numpy(), m.field.detach().numpy()
    half = np.array(list(itertools.product([-1.0, 1.0], repeat=16)))
    inside = np.einsum("ni,ij,nj->n", half, w[:16, :16], half) / 2 + half @ b[:16]
    local = half @ w[:16, 16] + b[16]  # the last spin summed away by hand
    np.testing.assert_allclose(m.exact_log_z().item(), logsumexp(inside + np.log(2 * np.cosh(local))), rtol=1e-12)


def test_the_gradient_is_data_minus_model_moments():
    m = machine(5)
    m.rule = BoltzmannTraining("exact")
    data = 2.0 * torch.randint(0, 2, (40, 5), generator=torch.Generator().manual_seed(2)).double() - 1
    m.rule(m, Batch(data), RowGenerator(0, 40)).value.backward()
    states, log_f = states_and_log_f(m)
    p, y = np.exp(log_f - logsumexp(log_f)), data.numpy()
    second = y.T @ y / len(y) - (states.T * p) @ states
    i, j = np.triu_indices(5, 1)
    np.testing.assert_allclose(-m.coupling.grad.numpy(), second[i, j], atol=1e-12)  # of the loss, so with a minus
    np.testing.assert_allclose(-m.field.grad.numpy(), y.mean(0) - p @ states, atol=1e-12)


@pytest.mark.parametrize("made", [machine(4, 0.4), restricted(4, 3, 0.7)], ids=["spins", "layers"])
@pytest.mark.parametrize("kind", ["cd", "pcd"])
def test_contrastive_divergence_of_many_steps_has_the_gradient_of_the_likelihood(made, kind):
    # Chains of 20 steps have forgotten their start; the gradient is then a mean over 4,000 draws, whose spread is known.
    n = 4000
    if kind == "pcd":
        made.chains = torch.nn.Buffer(made.chains[torch.arange(n) % len(made.chains)])
    x = made.bits.to_user(torch.randint(0, 2, (n, 4), generator=torch.Generator().manual_seed(3)).double())
    parameters = list(made.parameters())
    exact = torch.autograd.grad(-made.log_prob(x).mean(), parameters)
    loss = BoltzmannTraining(kind, 20)(made, Batch(x), RowGenerator(5, n))
    found = torch.autograd.grad(loss.value, parameters)
    draws = made.to_model(made.sample(2000, generator=torch.Generator().manual_seed(4)))
    each = torch.func.vmap(
        torch.func.grad(lambda p, y: torch.func.functional_call(_LogF(made), p, y[None])[0]), (None, 0)
    )({f"machine.{name}": p.detach() for name, p in made.named_parameters()}, draws)
    looks = 2 * 2 * sum(p.numel() for p in parameters)
    for (name, _), a, b in zip(made.named_parameters(), exact, found):
        error = each[f"machine.{name}"].std(0) / n**0.5
        assert ((a - b).abs() < stats.norm.isf(BUDGET / 2 / looks) * error).all(), name


class _LogF(torch.nn.Module):
    def __init__(self, machine):
        super().__init__()
        self.machine = machine

    def forward(self, y):
        return self.machine.log_f(y)


def test_conditionals_and_free_energy_of_layers_are_those_of_the_joint_table():
    m = restricted(4, 3)
    v, h, table = joint_log_f(m)
    log_z = logsumexp(table)
    np.testing.assert_allclose(
        m.log_prob(torch.from_numpy(v)).detach().numpy(), logsumexp(table, 1) - log_z, atol=1e-10
    )
    of_h = np.exp(table - logsumexp(table, 1, keepdims=True)) @ h
    of_v = np.exp(table - logsumexp(table, 0, keepdims=True)).T @ v
    np.testing.assert_allclose(m.hidden_given(torch.from_numpy(v)).detach().numpy(), of_h, atol=1e-10)
    np.testing.assert_allclose(m.visible_given(torch.from_numpy(h)).detach().numpy(), of_v, atol=1e-10)
    for d, hidden in ((3, 5), (5, 3)):  # either layer is the one that is visited
        small = restricted(d, hidden)
        np.testing.assert_allclose(small.exact_log_z().item(), logsumexp(joint_log_f(small)[2]), rtol=1e-12)
        p = np.exp(logsumexp(joint_log_f(small)[2], 1) - logsumexp(joint_log_f(small)[2]))
        x = small.sample(20_000, generator=torch.Generator().manual_seed(6)).numpy()
        assert counts_fit(x, joint_log_f(small)[0], p) > BUDGET / 2


@pytest.mark.parametrize("made", [machine(4, 0.4), restricted(4, 3, 0.7)], ids=["spins", "layers"])
def test_gibbs_sampling_reaches_the_model(made):
    start = made.to_model(made.bits.to_user(torch.zeros(20_000, 4, dtype=torch.float64)))
    x = made.kernel.run(start, 30, RowGenerator(7, 20_000)).x
    states = made.bits.to_user(torch.from_numpy(np.array(list(itertools.product([0.0, 1.0], repeat=4)))))
    p = made.log_prob(states).exp().detach().numpy()
    assert counts_fit(x.numpy(), made.to_model(states).numpy(), p) > BUDGET / 2


@pytest.mark.parametrize("made", [machine(5), restricted(5, 4)], ids=["spins", "layers"])
def test_pseudo_likelihood_is_that_of_the_conditionals(made):
    bits = np.array(list(itertools.product([0.0, 1.0], repeat=5)))
    log_p = made.log_prob(made.bits.to_user(torch.from_numpy(bits))).detach().numpy()
    table = log_p.reshape((2,) * 5)
    expected = sum((table - logsumexp(table, axis, keepdims=True)) for axis in range(5)).reshape(-1)
    v = made.to_model(made.bits.to_user(torch.from_numpy(bits)))
    np.testing.assert_allclose(made.log_pseudo(v, RowGenerator(0, len(v))).detach().numpy(), expected, atol=1e-10)


@pytest.mark.parametrize("made", [machine(8, 0.4), restricted(9, 8, 0.8)], ids=["spins", "layers"])
def test_annealed_log_z_is_within_its_error_bar_and_between_its_bounds(made):
    found = made.estimate_log_z(chains=400, temperatures=30, generator=torch.Generator().manual_seed(8))
    exact = made.exact_log_z().item()
    assert abs(found.value - exact) < SIGMAS * found.std_error
    assert found.std_error < 0.1
    assert found.lower - SIGMAS * found.lower_error < exact < found.upper + SIGMAS * found.upper_error
    assert 0.3 < found.effective <= 1
    assert 0.03 < found.upper - found.lower < 1  # with few temperatures the two do differ


def test_fitting_makes_the_moments_those_of_the_data():
    teacher = machine(4, 0.6).float()
    x = teacher.sample(2000, generator=torch.Generator().manual_seed(9))
    m = new_machine(x)
    optimiser = torch.optim.LBFGS(m.parameters(), max_iter=50, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        loss = m.objective(m, Batch(x), RowGenerator(0, len(x))).value
        loss.backward()
        return loss

    optimiser.step(closure)
    states, log_f = states_and_log_f(m)
    p = np.exp(log_f - logsumexp(log_f))
    np.testing.assert_allclose((states.T * p) @ states, (x.T @ x / len(x)).numpy(), atol=1e-3)
