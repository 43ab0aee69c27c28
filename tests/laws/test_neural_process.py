"""E3: a neural process sees a set, and learns to predict nearly as well as the exact posterior.

Oracles: reordering, padding and batching by hand for the set; scipy's normal density; scikit-learn's Gaussian process
regression, with the true kernel, for what can be learned.
"""

from typing import cast

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.gaussian_process import GaussianProcessRegressor, kernels
from torch import Tensor

from pushforward.core.process import Context, Process
from pushforward.core.random import RowGenerator
from pushforward.models.processes import ConditionalNeuralProcess, conditional_neural_process
from pushforward.parts.data import FunctionSet, gp_draws
from tests.cases import CASES

BUDGET = 1e-5
every_process = pytest.mark.parametrize("name", CASES["processes"])


def process_and_points(name: str, points: int = 7) -> tuple[Process, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    process = cast(Process, CASES["processes"][name]())
    x, y = torch.randn(4, points, process.x_dim), torch.randn(4, points, process.y_dim)
    return process, x, y, torch.randn(4, 5, process.x_dim)


def moments(process: Process, context: Context, x_target: Tensor) -> Tensor:
    with torch.no_grad():
        prediction = process.predict(context, x_target)
    return torch.cat([prediction.mean.reshape(len(x_target), -1), prediction.stddev.reshape(len(x_target), -1)], 1)


def same(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@every_process
def test_the_order_of_the_context_does_not_matter(name):
    process, x, y, target = process_and_points(name)
    order = torch.randperm(7)
    ordered = moments(process, Context.of(x, y), target)
    same(moments(process, Context.of(x[:, order], y[:, order]), target), ordered)
    assert not torch.allclose(
        moments(process, Context.of(x[:, order], y), target), ordered, atol=1e-4
    )  # x and y are pairs


@every_process
@pytest.mark.parametrize("filling", [0.0, 1e6, torch.nan])
def test_padding_never_changes_a_prediction(name, filling):
    process, x, y, target = process_and_points(name)
    bare = moments(process, Context.of(x, y), target)
    padded_x, padded_y = (torch.cat([v, torch.full((4, 3, v.shape[-1]), filling)], 1) for v in (x, y))
    mask = torch.arange(10).expand(4, 10) < 7
    same(moments(process, Context.of(padded_x, padded_y, mask), target), bare)
    back = (padded_x.flip(1), padded_y.flip(1), mask.flip(1))
    same(moments(process, Context.of(*back), target), bare)


@every_process
def test_an_empty_context_gives_one_prior(name):
    process, x, y, target = process_and_points(name)
    nothing = moments(process, Context.of(x[:, :0], y[:, :0]), target)
    assert nothing.isfinite().all()
    same(moments(process, Context.of(x, y, torch.zeros(4, 7, dtype=torch.bool)), target), nothing)
    assert not torch.allclose(moments(process, Context.of(x, y), target), nothing, atol=1e-3)


@every_process
def test_ragged_contexts_in_one_batch_equal_one_by_one(name):
    process, x, y, target = process_and_points(name)
    lengths = [0, 1, 4, 7]
    mask = torch.arange(7) < torch.tensor(lengths)[:, None]
    together = moments(process, Context.of(x, y, mask), target)
    alone = [
        moments(process, Context.of(x[i : i + 1, :m], y[i : i + 1, :m]), target[i : i + 1])
        for i, m in enumerate(lengths)
    ]
    same(together, torch.cat(alone))


@every_process
def test_a_target_does_not_depend_on_the_other_targets(name):
    process, x, y, target = process_and_points(name)
    with torch.no_grad():
        whole, part = process.predict(Context.of(x, y), target), process.predict(Context.of(x, y), target[:, 1:3])
    same(part.mean, whole.mean[:, 1:3])
    same(part.stddev, whole.stddev[:, 1:3])


def test_a_context_seen_twice_is_a_context_seen_once():
    # A mean forgets how many points there were. A Gaussian process would believe each more: a known limit of the model.
    process, x, y, target = process_and_points("ConditionalNeuralProcess")
    twice = Context.of(torch.cat([x, x], 1), torch.cat([y, y], 1))
    same(moments(process, twice, target), moments(process, Context.of(x, y), target))


def test_the_log_density_is_scipys_in_the_units_of_the_data():
    data = gp_draws("rbf", 200, points=8)
    torch.manual_seed(1)
    plain = conditional_neural_process(data, hidden=16, representation=16)
    torch.manual_seed(1)
    scaled = conditional_neural_process(FunctionSet.of(60 * data.x, 1000 * data.y + 5), hidden=16, representation=16)
    context, target, y = Context.of(data.x[:, :4], data.y[:, :4]), data.x[:, 4:], data.y[:, 4:]
    prediction = plain.predict(context, target)
    expected = stats.norm(prediction.mean.detach(), prediction.stddev.detach()).logpdf(y).sum((1, 2))
    np.testing.assert_allclose(prediction.log_prob(y).detach(), expected, rtol=1e-4, atol=1e-3)
    other = scaled.predict(Context.of(60 * context.x, 1000 * context.y + 5), 60 * target).log_prob(1000 * y + 5)
    np.testing.assert_allclose(other.detach(), expected - 4 * np.log(1000), rtol=1e-3, atol=1e-2)


LENGTH, NOISE, CONTEXT, TARGETS = 1.0, 0.2, 10, 20


def trained() -> ConditionalNeuralProcess:
    functions = gp_draws("rbf", 4000, points=16, length_scale=LENGTH, noise=NOISE, seed=0)
    process = conditional_neural_process(functions, hidden=64, representation=64, layers=2)
    adam, steps = torch.optim.Adam(process.parameters(), lr=5e-3), 300
    rate = torch.optim.lr_scheduler.OneCycleLR(adam, 5e-3, steps)
    for step in range(steps):
        generator = RowGenerator(step, 32)
        batch = functions.take(generator.fork(0).integers(len(functions)))
        adam.zero_grad()
        process.objective(process, batch, generator.fork(1)).value.backward()
        adam.step()
        rate.step()
    return process


def exact_log_likelihood(data: FunctionSet, points: int) -> np.ndarray:
    """Per target point, one by one as the process predicts, under the posterior of the process that drew the data."""
    kernel = kernels.RBF(LENGTH) + kernels.WhiteKernel(NOISE**2)
    found = []
    for x, y in zip(data.x.double().numpy(), data.y.double().numpy()):
        posterior = GaussianProcessRegressor(kernel, optimizer=None)
        if points:
            posterior.fit(x[:points], y[:points, 0])
        mean, deviation = posterior.predict(x[CONTEXT:], return_std=True)
        found.append(stats.norm(mean, deviation).logpdf(y[CONTEXT:, 0]).mean())
    return np.array(found)


def test_training_approaches_the_exact_posterior(record_property):
    process = trained()
    data = gp_draws("rbf", 200, points=CONTEXT + TARGETS, length_scale=LENGTH, noise=NOISE, seed=1)

    def log_likelihood(points: int) -> np.ndarray:
        context = Context.of(data.x[:, :points], data.y[:, :points])
        with torch.no_grad():
            return (process.predict(context, data.x[:, CONTEXT:]).log_prob(data.y[:, CONTEXT:]) / TARGETS).numpy()

    ours, exact = (
        {m: f(m) for m in (0, 3, CONTEXT)} for f in (log_likelihood, lambda m: exact_log_likelihood(data, m))
    )
    gaps = {m: (exact[m] - ours[m]).mean() for m in ours}
    record_property("gap to the exact posterior, nats per point, by context size", str(gaps))
    tail = stats.norm.isf(BUDGET) / len(data) ** 0.5
    gain = ours[CONTEXT] - ours[0]
    assert gain.mean() - tail * gain.std() > 0.3  # nats per point better than without a context
    assert ours[3].mean() > ours[0].mean() + 0.2
    assert abs(gaps[0]) < 0.15  # without a context there is little to learn: the prior
    # Nothing beats the posterior of the process that drew the data; and we come to within one nat per point of it.
    gap = exact[CONTEXT] - ours[CONTEXT]
    assert gap.mean() - tail * gap.std() > 0
    assert gap.mean() + tail * gap.std() < 1.0
