"""D8: a neural SDE whose drift is linear is an Ornstein-Uhlenbeck process, and everything about that is known.

Oracles: the covariance of the process in closed form (scipy's expm and Lyapunov solver) with scipy's multivariate normal
and plain Gaussian conditioning; autodiff for the Jacobian; fine Euler steps with random numbers of numpy for nonlinear drifts; standard
errors from the curvature of the likelihood for what is learned.
"""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.linalg import expm, solve_continuous_lyapunov
from scipy.linalg import inv as inverse

from pushforward.core.process import Context
from pushforward.core.random import RowGenerator
from pushforward.models.dynamics import NeuralSDE, neural_sde
from pushforward.models.dynamics.linear_gaussian import transition
from pushforward.parts.data import Series

BUDGET = 1e-5
F1, C1, L1, R1 = np.array([[-0.8]]), np.array([0.4]), np.array([[0.6]]), np.array([0.05])
F2 = np.array([[-0.5, 1.2], [-0.9, -0.3]])
C2, L2, R2 = np.array([0.2, -0.4]), np.array([[0.7, 0.0], [-0.3, 0.4]]), np.array([0.02, 0.1])
SYSTEMS = {"1-d": (F1, C1, L1, R1), "2-d coupled": (F2, C2, L2, R2)}


def linear(f, c, level, noise, mean, scale) -> NeuralSDE:
    """The model with these numbers; `level` is L."""
    sde = NeuralSDE(len(c)).double()
    factor = np.tril(level, -1) + np.diag(np.log(np.diag(level)))
    with torch.no_grad():
        for name, value in (("matrix", f), ("constant", c), ("factor", factor), ("initial_mean", mean),
                            ("initial_scale", np.log(scale)), ("noise_scale", np.log(noise - 1e-6) / 2)):  # fmt: skip
            getattr(sde, name).copy_(torch.tensor(value))
    return sde


def moments(f, c, level, mean, scale, times) -> tuple[np.ndarray, np.ndarray]:
    """Mean `(T d)` and covariance `(T d, T d)` of X at the times, from X(0) ~ N(mean, scale^2), in closed form."""
    d, rest = len(c), -inverse(f) @ c
    far = solve_continuous_lyapunov(f, -level @ level.T)
    flow = [expm(f * t) for t in times]
    means = np.concatenate([rest + a @ (mean - rest) for a in flow])
    spread = [far + a @ (np.diag(scale**2) - far) @ a.T for a in flow]
    covariance = np.zeros((d * len(times), d * len(times)))
    for i, s in enumerate(times):
        for j, t in enumerate(times):
            block = expm(f * (s - t)) @ spread[j] if s >= t else (expm(f * (t - s)) @ spread[i]).T
            covariance[d * i : d * i + d, d * j : d * j + d] = block
    return means, covariance


def problem(name: str, points: int = 9):
    """A model, its context of points in disorder with half of the channels masked, and its numbers."""
    f, c, level, noise = SYSTEMS[name]
    d, random = len(c), np.random.default_rng(3)
    mean, scale = random.normal(size=d), 0.5 + random.random(d)
    times, y = random.random(points) * 7, random.normal(size=(points, d))
    seen = random.random((points, d)) < 0.6
    seen[0] = False  # a point of which nothing is seen
    context = Context(torch.tensor(times)[None, :, None], torch.tensor(y)[None], torch.tensor(seen)[None])
    return linear(f, c, level, noise, mean, scale), context, (f, c, level, mean, scale), times, y, seen


@pytest.mark.parametrize("name", SYSTEMS)
def test_log_likelihood_is_that_of_the_gaussian_process(name):
    sde, context, numbers, times, y, seen = problem(name)
    means, covariance = moments(*numbers, times)
    covariance += np.diag(np.tile(SYSTEMS[name][3], len(times)))
    pick = seen.reshape(-1)
    expected = stats.multivariate_normal(means[pick], covariance[np.ix_(pick, pick)]).logpdf(y.reshape(-1)[pick])
    assert sde.log_likelihood(context)[0].item() == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("name", SYSTEMS)
def test_prediction_is_gaussian_conditioning(name):
    sde, context, numbers, times, y, seen = problem(name)
    targets = np.array([0.0, 0.01, 1.3, times[3], 4.4, times.max(), 8.5, 30.0])
    means, covariance = moments(*numbers, np.concatenate([times, targets]))
    d = len(SYSTEMS[name][3])
    noise = np.tile(SYSTEMS[name][3], len(times))
    pick, rest = np.flatnonzero(seen.reshape(-1)), np.arange(d * len(times), d * (len(times) + len(targets)))
    gain = covariance[np.ix_(rest, pick)] @ inverse(covariance[np.ix_(pick, pick)] + np.diag(noise[pick]))
    mean = means[rest] + gain @ (y.reshape(-1)[pick] - means[pick])
    variance = np.diag(covariance[np.ix_(rest, rest)] - gain @ covariance[np.ix_(pick, rest)])
    found = sde.predict(context, torch.tensor(targets)[None, :, None])
    np.testing.assert_allclose(found.mean[0].detach().reshape(-1), mean, atol=1e-8)
    expected = np.sqrt(variance + np.tile(SYSTEMS[name][3], len(targets)))
    np.testing.assert_allclose(found.stddev[0].detach().reshape(-1), expected, atol=1e-8)


def test_float32_gives_the_same_as_float64():
    sde, context, *_ = problem("2-d coupled", points=60)
    small = Context(context.x.float(), context.y.float(), context.mask)
    target = torch.linspace(0, 12, 50, dtype=torch.float64)[None, :, None]
    wide, wide_likelihood = sde.predict(context, target), sde.log_likelihood(context)
    sde = sde.float()
    narrow = sde.predict(small, target.float())
    torch.testing.assert_close(narrow.mean.double(), wide.mean, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(narrow.stddev.double(), wide.stddev, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(sde.log_likelihood(small).double(), wide_likelihood, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("h", [0.0, 1e-3, 0.7, 25.0])
def test_transition_is_the_matrix_exponential(h):
    far = solve_continuous_lyapunov(F2, -L2 @ L2.T)
    a = expm(F2 * h)
    found = transition(*(torch.tensor(v) for v in (F2, C2, L2 @ L2.T, h)), doublings=10)
    np.testing.assert_allclose(found.a, a, atol=1e-10)
    np.testing.assert_allclose(found.b, inverse(F2) @ (a - np.eye(2)) @ C2, atol=1e-10)
    np.testing.assert_allclose(found.q, far - a @ far @ a.T, atol=1e-10)


def test_jacobian_of_the_drift_is_that_of_autodiff():
    torch.manual_seed(0)
    sde = NeuralSDE(3, hidden=[8, 5]).double()
    torch.nn.init.normal_(sde.head.weight)
    x = torch.randn(4, 3, dtype=torch.float64)
    expected = torch.func.vmap(torch.func.jacrev(lambda row: sde.drift(row[None])[0][0]))(x)
    torch.testing.assert_close(sde.drift(x)[1], expected)


def double_well(sde: NeuralSDE, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return sde.drift(torch.tensor(x))[0].numpy()


def test_paths_and_bands_of_a_nonlinear_drift_are_those_of_fine_euler_steps():
    torch.manual_seed(1)
    sde = NeuralSDE(1, hidden=[16], substeps=20).double()
    torch.nn.init.normal_(sde.head.weight, std=0.3)
    with torch.no_grad():
        sde.factor.fill_(np.log(0.15))
        sde.initial_scale.fill_(np.log(0.1))
        sde.noise_scale.fill_(np.log(0.02))
    n, h, random = 20_000, 0.01, np.random.default_rng(5)
    x = 0.1 * random.normal(size=(n, 1))
    for _ in range(200):
        x = x + double_well(sde, x) * h + 0.15 * np.sqrt(h) * random.normal(size=(n, 1))
    empty = Context.of(torch.zeros(1, 0, 1, dtype=torch.float64), torch.zeros(1, 0, 1, dtype=torch.float64))
    with torch.no_grad():
        prediction = sde.predict(empty, torch.tensor([[[2.0]]], dtype=torch.float64))
        paths = sde.sample_paths(empty, torch.tensor([2.0], dtype=torch.float64), n=n,
                                 generator=torch.Generator().manual_seed(0))  # fmt: skip
    assert stats.ks_2samp(paths[:, 0, 0, 0].numpy(), x[:, 0]).pvalue > BUDGET
    # The tangent at the mean is an approximation: small noise, so that it is a good one.
    assert float(prediction.mean) == pytest.approx(x.mean(), abs=0.01)
    assert float(prediction.stddev) == pytest.approx(np.sqrt(x.var() + 0.02**2), rel=0.03)


def test_data_of_an_ornstein_uhlenbeck_process_recover_its_parameters(record_property):
    theta, mu, sigma, noise = 0.7, 1.5, 0.5, 0.1
    random = np.random.default_rng(0)
    times = np.sort(random.random((12, 50)) * 40, axis=1)
    x = np.empty((12, 50))
    x[:, 0] = mu + sigma / np.sqrt(2 * theta) * random.normal(size=12)
    for i in range(1, 50):
        decay = np.exp(-theta * (times[:, i] - times[:, i - 1]))
        x[:, i] = (
            mu + decay * (x[:, i - 1] - mu) + sigma * np.sqrt((1 - decay**2) / (2 * theta)) * random.normal(size=12)
        )
    y = x + noise * random.normal(size=x.shape)
    series = Series.of(torch.tensor(times), torch.tensor(y))
    sde = neural_sde(series, drift="linear").double()
    batch = series.take(torch.arange(12))
    context = Context(batch.t.double()[..., None], batch.x.double(), batch.observed)
    optimiser = torch.optim.LBFGS(sde.parameters(), max_iter=25, line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        value = -sde.log_likelihood(context).sum()
        value.backward()
        return value

    optimiser.step(loss)
    names = ["matrix", "constant", "factor", "noise_scale"]
    tensors = [getattr(sde, name) for name in names]
    value = -sde.log_likelihood(context).sum()
    slopes = torch.autograd.grad(value, tensors, create_graph=True)
    rows = [torch.cat([g.flatten() for g in torch.autograd.grad(s.sum(), tensors, retain_graph=True)]) for s in slopes]
    errors = torch.linalg.inv(torch.stack(rows)).diagonal().sqrt()
    unit, loc, scale = float(sde.units.unit), float(sde.units.loc), float(sde.units.scale)
    truth = [-theta * unit, theta * unit * (mu - loc) / scale, np.log(sigma * unit**0.5 / scale),
             np.log((noise / scale) ** 2 - 1e-6) / 2]  # fmt: skip
    found = torch.cat([tensor.flatten() for tensor in tensors]).detach()
    z = (found - torch.tensor(truth)) / errors
    record_property("errors in standard errors", str(z.tolist()))
    assert float(z.abs().max()) < stats.norm.isf(BUDGET / 8)
    assert float(errors[0] / found[0].abs()) < 0.15  # and they say something
    assert float(errors[2]) < 0.1


def test_padding_and_other_rows_change_nothing():
    torch.manual_seed(0)
    sde = NeuralSDE(2, hidden=[8], diffusion="network").double()
    torch.nn.init.normal_(sde.head.weight, std=0.5)
    t = torch.rand(3, 6, dtype=torch.float64).sort(1).values * 5
    y, mask = torch.randn(3, 6, 2, dtype=torch.float64), torch.rand(3, 6, 2) < 0.7
    lengths = torch.tensor([6, 3, 0])
    mask &= (torch.arange(6) < lengths[:, None])[..., None]
    padded_t = torch.where(mask.any(-1), t, torch.nan)
    together = sde.log_likelihood(Context(padded_t[..., None], torch.where(mask, y, torch.nan), mask))
    alone = [sde.log_likelihood(Context(t[i : i + 1, :m, None], y[i : i + 1, :m], mask[i : i + 1, :m]))
             for i, m in enumerate(lengths.tolist())]  # fmt: skip
    torch.testing.assert_close(together, torch.cat(alone))
    assert float(together[2].detach()) == 0.0


def test_density_is_in_the_units_of_the_data():
    t, x = torch.rand(4, 12).sort(1).values, torch.randn(4, 12, 1).cumsum(1)
    small, large = Series.of(t, x), Series.of(3600 * t + 100, 1000 * x - 50)
    found = [neural_sde(d, hidden=[8]).log_likelihood(d.take(torch.arange(4)).context()) for d in (small, large)]
    torch.testing.assert_close(found[1], found[0] - 12 * np.log(1000), rtol=1e-3, atol=2e-2)


def test_log_scale_is_the_density_of_the_logarithm():
    t, x = torch.rand(4, 12).sort(1).values, torch.exp(torch.randn(4, 12, 1).cumsum(1))
    positive, logarithm = Series.of(t, x), Series.of(t, x.log())
    rows = torch.arange(4)
    direct = neural_sde(positive, hidden=[8], log_scale=True)
    other = neural_sde(logarithm, hidden=[8])
    expected = other.log_likelihood(logarithm.take(rows).context()) - x.log().sum((1, 2))
    torch.testing.assert_close(direct.log_likelihood(positive.take(rows).context()), expected, rtol=1e-4, atol=1e-3)
    target = torch.rand(4, 5, 1)
    draws = direct.predict(positive.take(rows).context(), target)
    normal = other.predict(logarithm.take(rows).context(), target)
    y = torch.rand(4, 5, 1) + 0.5
    torch.testing.assert_close(draws.log_prob(y), normal.log_prob(y.log()) - y.log().sum((1, 2)), rtol=1e-4, atol=1e-3)


def test_the_objective_is_the_likelihood_per_number():
    data = Series.of(torch.rand(4, 12).sort(1).values, torch.randn(4, 12, 2))
    sde, batch = neural_sde(data, hidden=[8]), data.take(torch.arange(4))
    loss = sde.objective(sde, batch, RowGenerator(0, 4)).value
    assert loss.item() == pytest.approx(-sde.log_likelihood(batch.context()).sum().item() / (4 * 12 * 2), rel=1e-5)
