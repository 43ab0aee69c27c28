"""E6: a neural ODE process moves by its differential equation, at times of each function's own, and predicts jointly.

Oracles: scipy's matrix exponential for linear laws, finite differences for the second order, scipy's adaptive solver, the KL by
sampling, quadrature over the latent, and reordering, padding and one-by-one by hand.
"""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from torch import Tensor

from pushforward.core.process import Context
from pushforward.core.random import RowGenerator
from pushforward.models.processes import NeuralODEProcess, joint_log_prob, neural_ode_process
from pushforward.parts.data import FunctionSet, sines
from pushforward.parts.data.function_sets import FunctionBatch
from pushforward.parts.nn import MLP

SIGMAS = 5.0  # a false alarm in 1.7 million
T0, SPAN = -2.0, 4.0


def small(order: int = 1, **options) -> NeuralODEProcess:
    torch.manual_seed(0)
    process = NeuralODEProcess(2, order, 3, 2, 8, 6, **{"steps": 20, "draws": 8, **options}).double()
    process.t_loc.fill_(T0)
    process.t_scale.fill_(SPAN)
    process.y_loc.copy_(torch.tensor([1.0, -2.0]))
    process.y_scale.copy_(torch.tensor([2.0, 0.5]))
    return process


def randn(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def times(*shape: int) -> Tensor:
    return T0 + SPAN * torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("order", [1, 2])
def test_a_linear_law_gives_the_matrix_exponential_at_times_of_each_own(order):
    process = small(order)
    process.field = MLP(3 * order, 3, (), condition=3).double()
    linear = process.field.head.linear
    assert linear is not None
    with torch.no_grad():
        linear.weight[:, -1] = 0.0  # the time
        linear.bias.copy_(randn(3))
    weight, bias = linear.weight.detach().numpy(), linear.bias.detach().numpy()
    t = torch.cat([times(4, 6), torch.full((4, 1), T0).double(), torch.full((4, 1), T0 - 1.3).double()], 1)
    t[:, 3] = t[:, 1]  # repeated
    t[2, 0] = T0 + 1.5 * SPAN  # beyond the data
    z = randn(4, 3 * order + 2)
    found = process.path(z, t).detach()
    size = 3 * order
    for i in range(4):
        start, d = z[i, :size].numpy(), z[i, size:].numpy()
        generator = np.zeros((size + 1, size + 1))  # of (state, 1)
        if order == 2:
            generator[:3, 3:6] = np.eye(3)
        generator[size - 3 : size, :size] = weight[:, :size]
        generator[size - 3 : size, size] = weight[:, size : size + 2] @ d + bias
        for j in range(8):
            exact = expm(generator * float(t[i, j] - T0) / SPAN) @ np.append(start, 1.0)
            np.testing.assert_allclose(found[i, j], exact[:size], atol=2e-5, rtol=2e-5)
        np.testing.assert_array_equal(found[i, 6], start)  # l_0 at t_0
        np.testing.assert_array_equal(found[i, 3], found[i, 1])


def test_a_curved_law_that_sees_the_time_agrees_with_an_adaptive_solver():
    process, t = small(), times(2, 5).sort(1).values
    z = randn(2, 5)
    with torch.no_grad():
        for weight in process.field.parameters():
            weight.mul_(2.0)
        found = process.path(z, t)
    for i in range(2):

        def rate(s, state, i=i):
            given = torch.cat([z[i, 3:], torch.tensor([12**0.5 * (s - 0.5)], dtype=torch.float64)])
            return process.field(torch.from_numpy(state)[None], given[None])[0].detach().numpy()

        at = ((t[i] - T0) / SPAN).numpy()
        exact = solve_ivp(rate, (0, 1), z[i, :3].numpy(), t_eval=at, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(found[i], exact.y.T, atol=1e-5)


def test_of_second_order_the_velocity_is_the_slope_of_the_position_and_only_the_position_is_decoded():
    process, t, h = small(2), times(3, 7), 1e-4
    z = randn(3, 8)
    with torch.no_grad():
        ends = [process.path(z, t + sign * h)[..., :3] for sign in (1, -1)]
        path = process.path(z, t)
        slope = (ends[0] - ends[1]) / (2 * h) * SPAN  # velocities are per range of times
        torch.testing.assert_close(slope, path[..., 3:], atol=2e-5, rtol=1e-5)
        other = torch.cat([path[..., :3], randn(3, 7, 3)], -1)
        torch.testing.assert_close(process.decode(path, t).mean, process.decode(other, t).mean)


@pytest.mark.parametrize("order", [1, 2])
def test_a_ragged_batch_is_one_by_one(order):
    process, t, y = small(order), times(3, 6)[..., None], randn(3, 6, 2)
    mask = torch.arange(6) < torch.tensor([6, 3, 4])[:, None]
    targets = (
        times(3, 6).flip(1)[..., None] + 3.0 * torch.tensor([0, -2, 1])[:, None, None]
    )  # far apart, before and after
    junk = torch.where(mask[..., None], t, torch.nan), torch.where(mask[..., None], y, torch.nan)
    with torch.no_grad():
        whole = process.predict(Context(*junk, mask), targets)
        for i, size in enumerate((6, 3, 4)):
            alone = process.predict(Context.of(t[i : i + 1, :size], y[i : i + 1, :size]), targets[i : i + 1])
            torch.testing.assert_close(whole.mean[i], alone.mean[0])
            torch.testing.assert_close(whole.stddev[i], alone.stddev[0])
            order_of = torch.randperm(6, generator=torch.Generator().manual_seed(i))
            turned = process.predict(Context.of(t[i : i + 1, :size], y[i : i + 1, :size]), targets[i : i + 1, order_of])
            torch.testing.assert_close(turned.mean[0], whole.mean[i, order_of])
            # What is said of one time does not depend on what else is asked.
            single = process.predict(Context.of(t[i : i + 1, :size], y[i : i + 1, :size]), targets[i : i + 1, 2:3])
            torch.testing.assert_close(single.mean[0, 0], whole.mean[i, 2])


def test_the_padding_of_a_batch_reaches_neither_the_bound_nor_its_gradient():
    process, t, y = small(), times(2, 5)[..., None], randn(2, 5, 2)
    mask = torch.arange(5) < torch.tensor([5, 3])[:, None]
    found = []
    for filling in (0.0, 1e9, torch.nan):
        x_filled, y_filled = (torch.where(mask[..., None], v, filling) for v in (t, y))
        batch = FunctionBatch(x_filled, y_filled, mask)
        loss = process.objective(process, batch, RowGenerator(3, 2)).value
        found.append(torch.cat([g.flatten() for g in (loss, *torch.autograd.grad(loss, list(process.parameters())))]))
    assert found[0].isfinite().all()
    torch.testing.assert_close(found[1], found[0])
    torch.testing.assert_close(found[2], found[0])


def test_the_bound_is_below_the_likelihood_which_a_sum_over_the_prior_of_the_context_gives():
    """log p(targets | context) by quadrature of one-dimensional l_0 and d on a grid, with the decoder as it is."""
    torch.manual_seed(4)
    process = NeuralODEProcess(1, 1, 1, 1, 4, 4, layers=1, steps=10).double()
    with torch.no_grad():  # an encoder to which a point more makes a difference
        for weight in process.encoder.parameters():
            weight.mul_(3.0)
        *_, last, bias = process.inference.parameters()
        last[2:] *= 2.0  # and to its scales, or the two directions of the divergence were nearly the same
        bias[2:] = 0.0
    context = Context.of(torch.rand(1, 2, 1).double(), randn(1, 2, 1))
    target = FunctionBatch(torch.rand(1, 3, 1).double(), 2 * randn(1, 3, 1, seed=5), torch.ones(1, 3, dtype=torch.bool))
    with torch.no_grad():
        q = process.posterior(context)
        axis = torch.linspace(-6, 6, 81).double()
        grid = q.mean + q.stddev * torch.cartesian_prod(axis, axis)
        t = target.x[..., 0].expand(len(grid), -1)
        each = process.decode(process.path(grid, t), t).log_prob(target.y.expand(len(grid), -1, -1)).sum((1, 2))
        exact = float((each + q.log_prob(grid).sum(1)).logsumexp(0)) + math.log((12 / 80) ** 2 * float(q.stddev.prod()))
        n = 4000
        many = FunctionBatch(*(v.expand(n, *v.shape[1:]) for v in (target.x, target.y, target.mask)))
        wide = Context(*(v.expand(n, *v.shape[1:]) for v in (context.x, context.y, context.mask)))
        likelihood, divergence = process.bound(wide, many, RowGenerator(0, n))
        both = process.posterior(Context.of(torch.cat([context.x, target.x], 1), torch.cat([context.y, target.y], 1)))
        z = both.mean + both.stddev * randn(n, 2, seed=9)
        ratio = (both.log_prob(z) - q.log_prob(z)).sum(1)  # whose mean is KL(q(. | all), q(. | context))
        assert abs(float(ratio.mean() - divergence[0])) < SIGMAS * float(ratio.std()) / n**0.5
        gap = exact - (likelihood - divergence)
        t_all = target.x[..., 0].expand(n, -1)
        weights = process.decode(process.path(z, t_all), t_all).log_prob(many.y).sum((1, 2)) - ratio
        # E_q p(y | z) p(z | C) / q(z) = p(y | C): the importance weights of the bound have the likelihood as their mean.
        shares = (weights - exact).exp()
        assert abs(float(shares.mean() - 1)) < SIGMAS * float(shares.std()) / n**0.5
    assert float(gap.mean()) > -SIGMAS * float(gap.std()) / n**0.5
    assert float(ratio.mean()) > 0.05  # or nothing was seen


@pytest.mark.parametrize("order", [1, 2])
def test_draws_are_coherent_functions_and_the_joint_is_the_mean_over_them(order):
    process, t = small(order), torch.linspace(T0, T0 + SPAN, 200).double()[None, :, None]
    context = Context.of(times(1, 3)[..., None], randn(1, 3, 2))
    with torch.no_grad():
        prediction = process.predict(context, t)
        y = prediction.sample()
        draws = prediction.component_distribution.mean[0] / process.y_scale
        # What tells draws apart changes slowly: from one time to the next, 1/200 of the range away, by a small part of itself.
        apart = draws - draws.mean(0)
        assert 0 < float(apart.diff(dim=1).abs().max()) < 0.1 * float(apart.abs().max())
        mask = torch.arange(200)[None] % 3 > 0
        part = process.predict(context, t[:, mask[0]])
        torch.testing.assert_close(joint_log_prob(prediction, y, mask), part.log_prob(y[:, mask[0]]))
        torch.testing.assert_close(joint_log_prob(prediction, y, torch.ones_like(mask)), prediction.log_prob(y))


def test_a_short_fit_beats_the_prior_and_knows_more_with_more_points():
    data = sines(256, points=20)
    process = neural_ode_process(data, latent=4, control=2, hidden=32, representation=32, layers=1, steps=6, draws=16)
    adam = torch.optim.Adam(process.parameters(), lr=8e-3)
    for step in range(200):
        generator = RowGenerator(step, 24)
        loss = process.objective(process, data.take(generator.fork(0).integers(len(data))), generator.fork(1)).value
        adam.zero_grad()
        loss.backward()
        adam.step()
    test = sines(64, points=20, seed=1).take(torch.arange(64))
    errors = []
    with torch.no_grad():
        for given in (0, 10):
            context = Context(test.x, test.y, test.mask & (torch.arange(20) < given))
            errors.append((process.predict(context, test.x).mean - test.y).square()[:, 10:].mean((1, 2)))
    better = errors[0] - errors[1]
    assert float(better.mean()) > SIGMAS * float(better.std()) / 8
    assert float(errors[1].mean()) < 0.5 * float(test.y.var())


def test_units_are_taken_from_real_points_alone():
    x, y = torch.tensor([[[1.0], [3.0], [99.0]]]), torch.tensor([[[2.0], [6.0], [99.0]]])
    process = neural_ode_process(FunctionSet(x, y, torch.tensor([[True, True, False]])))
    assert [float(v) for v in (process.t_loc, process.t_scale, process.y_loc, process.y_scale)] == [1.0, 2.0, 4.0, 2.0]
