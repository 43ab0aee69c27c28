"""The training objective: which context is drawn, what is scored, and what padding must not touch."""

import pytest
import torch
from scipy import stats
from torch.distributions import Independent, MultivariateNormal, Normal

from pushforward.core.random import RowGenerator
from pushforward.models.processes import ConditionalNeuralProcess, log_likelihood_per_point, random_context
from pushforward.parts.data import gp_draws

BUDGET = 1e-5


def test_every_size_of_context_is_equally_likely_and_every_point_too():
    n = 20_000
    mask = (torch.arange(6) < torch.tensor([[6], [3]])).repeat_interleave(n, 0)[:, torch.randperm(6)]
    kept = random_context(torch.zeros(2 * n, 6, 1), torch.zeros(2 * n, 6, 1), mask, RowGenerator(3, 2 * n)).mask
    assert not (kept & ~mask).any()
    for half, most in ((kept[:n], 6), (kept[n:], 3)):
        sizes = torch.bincount(half.sum(1), minlength=most + 1)
        assert len(sizes) == most + 1
        assert stats.chisquare(sizes.numpy()).pvalue > BUDGET
    # Each point is kept half of the time: the mean size is half of the number of points.
    for column in range(6):
        assert stats.binomtest(int(kept[:n, column].sum()), n).pvalue > BUDGET / 6


def test_the_context_of_a_function_does_not_depend_on_the_batch():
    data = gp_draws(n=50, points=6)
    whole = random_context(data.x, data.y, data.mask, RowGenerator(3, 50)).mask
    batch = data.take(torch.arange(10, 20))
    part = random_context(batch.x, batch.y, batch.mask, RowGenerator(3, 50).slice(10, 20)).mask
    assert torch.equal(part, whole[10:20])


def test_the_likelihood_is_scipys_mean_over_real_points():
    mean, scale, y = torch.randn(3, 4, 2).double(), torch.rand(3, 4, 2).double() + 0.1, torch.randn(3, 4, 2).double()
    mask = torch.arange(4) < torch.tensor([[4], [1], [0]])
    found = log_likelihood_per_point(
        Independent(Normal(mean, scale), 2), y.masked_fill(~mask[..., None], torch.nan), mask
    )
    each = torch.as_tensor(stats.norm(mean, scale).logpdf(y)).sum(-1)
    expected = torch.stack([each[0].mean(), each[1, 0], torch.tensor(0.0).double()])
    torch.testing.assert_close(found, expected)


def test_a_joint_prediction_is_not_taken_for_an_independent_one():
    with pytest.raises(TypeError, match="expected a prediction independent over the targets, got MultivariateNormal"):
        log_likelihood_per_point(MultivariateNormal(torch.zeros(2), torch.eye(2)), torch.zeros(2), torch.ones(2).bool())


def test_nothing_in_the_padding_reaches_the_loss_or_its_gradient():
    data = gp_draws(n=20, points=(2, 6))
    process = ConditionalNeuralProcess(hidden=8, representation=8, layers=1)
    found = []
    for filling in (0.0, torch.nan):
        batch = data.take(torch.arange(20))
        x, y = (torch.where(batch.mask[..., None], v, filling) for v in (batch.x, batch.y))
        loss = process.objective(process, type(batch)(x, y, batch.mask), RowGenerator(0, 20))
        assert loss.metrics["log_likelihood_per_point"] == -loss.value
        found.append((loss.value, *torch.autograd.grad(loss.value, list(process.parameters()))))
    assert all(torch.equal(a, b) and a.isfinite().all() for a, b in zip(*found))
