"""D8: the latent SDE's divergence on paths is Girsanov's, and its ELBO is the bound that it claims to be.

Oracles: the closed form for two Ornstein-Uhlenbeck processes whose drifts differ by a constant; scipy's normal densities of the
increments, added up along simulated paths; and, where everything is linear, the Gaussians of whole paths in numpy, which give
log p(y) and KL(q(path), p(path | y)) exactly.
"""

import numpy as np
import pytest
import torch
from scipy import stats

from pushforward.core.process import Context
from pushforward.core.random import RowGenerator
from pushforward.models.dynamics import LatentSDE, latent_sde
from pushforward.parts.data import Series

BUDGET = 1e-5
TAIL = stats.norm.isf(BUDGET / 2)


def stirred(scale: float = 0.4, **settings) -> LatentSDE:
    torch.manual_seed(0)
    sde = LatentSDE(2, **{"latent": 2, "context_size": 4, "hidden": [6], "steps": 8, **settings}).double()
    with torch.no_grad():
        for parameter in sde.parameters():
            parameter.normal_(std=scale)
    return sde


def context(n: int = 1, points: int = 5, end: float = 1.0) -> Context:
    random = np.random.default_rng(2)
    t = np.sort(random.random(points)) * end
    t[-1] = end
    y, seen = random.normal(size=(points, 2)), random.random((points, 2)) < 0.7
    seen[-1] = True
    return Context(*(torch.tensor(v).expand(n, *v.shape) for v in (t[:, None], y, seen)))


def paths(sde: LatentSDE, given: Context, seed: int = 0):
    """z `(n, S + 1, latent)`, KL of the starts and of the paths."""
    series = sde.units.read(given)
    with torch.no_grad():
        return sde._posterior_paths(series, float(series.t.max()), RowGenerator(seed, len(given.x)))


def test_divergence_of_two_ornstein_uhlenbeck_processes_with_other_means():
    # dz = theta (mu - z) dt + sigma dW for two mu: u = theta (mu_q - mu_p) / sigma, and the KL over [0, T] is u^2 T / 2.
    theta, sigma, means = np.array([0.8, 1.5]), np.array([0.5, 0.3]), np.array([0.7, -0.2])
    sde = stirred(hidden=())
    with torch.no_grad():
        for layer in (sde.prior, sde.control):
            for parameter in layer.parameters():
                parameter.zero_()
        sde.pull.copy_(torch.tensor(np.log(np.expm1(theta))))
        sde.spread_leave.zero_()
        sde.spread_level.copy_(torch.tensor(np.log(np.expm1(sigma - 0.01))))
        u = theta * means / sigma
        list(sde.control.parameters())[-1].copy_(torch.tensor(u))
    _, _, kl = paths(sde, context(3, end=2.0))
    np.testing.assert_allclose(kl, 0.5 * (u**2).sum() * 2.0, rtol=1e-6)
    z = torch.randn(4, 2, dtype=torch.float64)
    torch.testing.assert_close(sde.prior_drift(z).detach(), -torch.tensor(theta) * z)
    torch.testing.assert_close(sde.diffusion(z).detach(), torch.tensor(sigma).expand(4, 2))


def test_divergence_is_the_mean_log_ratio_of_the_densities_of_paths():
    sde, n = stirred(), 4000
    given = context(n)
    z, _, kl = paths(sde, given)
    series = sde.units.read(given)
    h = float(sde.step)
    grid = h * torch.arange(z.shape[1] - 1, dtype=torch.float64)
    with torch.no_grad():
        guide, _ = sde._read_context(series, grid)
    ratio, variance = np.zeros(n), np.zeros(n)
    for k in range(len(grid)):
        now, after = z[:, k], z[:, k + 1].numpy()
        with torch.no_grad():
            prior, g = sde.prior_drift(now), sde.diffusion(now)
            u = sde.control(torch.cat([now, guide.context[:, k], guide.near[:, k]], 1))
        # The increments, by scipy: what moved is what the model drew, by the drift f = h + g u of its posterior.
        scale = (g * h**0.5).numpy()
        posterior = stats.norm.logpdf(after, (now + (prior + g * u) * h).numpy(), scale).sum(1)
        ratio += posterior - stats.norm.logpdf(after, (now + prior * h).numpy(), scale).sum(1)
        variance += (u.square().sum(1) * h).numpy()
    # log dq/dp - KL is a sum of u dW: mean 0, variance int |u|^2.
    z_score = (ratio - kl.numpy()).mean() / np.sqrt(variance.mean() / n)
    assert abs(z_score) < TAIL
    assert (ratio - kl.numpy()).var() == pytest.approx(variance.mean(), rel=0.2)
    assert float(kl.mean()) > 0.1


def test_before_training_the_posterior_is_the_prior():
    sde = LatentSDE(2, latent=3, hidden=[8], steps=10)
    given = context(4)
    _, start, path = sde._posterior_paths(
        sde.units.read(Context(given.x.float(), given.y.float(), given.mask)), 1.0, RowGenerator(0, 4)
    )
    assert start.abs().max().item() < 1e-6
    assert path.abs().max().item() == 0.0


def test_beyond_the_last_point_the_prior_goes_on():
    sde, given = stirred(steps=10), context(500, points=3, end=0.3)
    series = sde.units.read(given)
    long, _, kl_long = sde._posterior_paths(series, 1.0, RowGenerator(0, 500))
    short, _, kl_short = sde._posterior_paths(series, 0.3, RowGenerator(0, 500))
    torch.testing.assert_close(kl_long, kl_short)
    torch.testing.assert_close(long[:, : short.shape[1]], short)
    now, after = long[:, 5].detach(), long[:, 6].detach()
    with torch.no_grad():
        z = (after - now - sde.prior_drift(now) * 0.1) / (sde.diffusion(now) * 0.1**0.5)
    assert stats.kstest(z.flatten().numpy(), "norm").pvalue > BUDGET


class Chain:
    """The law of z at all nodes, end to end, of a linear model: prior and posterior as (mean, covariance)."""

    def __init__(self, sde: LatentSDE, given: Context):
        series, h, d = sde.units.read(given), float(sde.step), sde.latent
        nodes = round(float(series.t.max()) / h)
        guide, begin = sde._read_context(series, h * torch.arange(nodes, dtype=torch.float64))
        g, eye = sde.diffusion(torch.zeros(1, d, dtype=torch.float64))[0].numpy(), np.eye(d)

        def affine(f) -> tuple[np.ndarray, np.ndarray]:
            zero = f(torch.zeros(1, d, dtype=torch.float64))[0].numpy()
            return f(torch.eye(d, dtype=torch.float64)).numpy().T - zero[:, None], zero

        prior = affine(sde.prior_drift)
        steps = {"p": [prior] * nodes, "q": []}
        for k in range(nodes):
            beside = torch.cat([guide.context[:, k], guide.near[:, k]], 1)
            a, b = affine(lambda z, beside=beside: sde.control(torch.cat([z, beside.expand(len(z), -1)], 1)))
            steps["q"].append((prior[0] + g[:, None] * a, prior[1] + g * b))
        p0 = sde.prior_start(1)
        shift, raw = sde.start(begin)[0].chunk(2)
        starts = {"p": (p0.mean[0], p0.stddev[0]), "q": (p0.mean[0] + shift, p0.stddev[0] * raw.exp())}
        self.law, size = {}, d * (nodes + 1)
        for name, (mean, scale) in starts.items():
            # z = m + J e, with e standard normal: the start and each step in turn.
            m, j = np.zeros(size), np.zeros((size, size))
            m[:d], j[:d, :d] = mean.numpy(), np.diag(scale.numpy())
            for k, (a, b) in enumerate(steps[name]):
                now, after = slice(d * k, d * k + d), slice(d * k + d, d * k + 2 * d)
                m[after] = (eye + a * h) @ m[now] + b * h
                j[after] = (eye + a * h) @ j[now]
                j[after, after] += np.diag(g * np.sqrt(h))
            self.law[name] = m, j @ j.T
        decoder = affine_matrix(sde.decoder, d)
        rows, values = [], []
        for t, y, seen in zip(series.t[0], series.y[0], series.observed[0]):
            place = min(int(t / h), nodes - 1)
            weight = float(t) / h - place
            pick = np.zeros((d, size))
            pick[:, d * place : d * place + d] = (1 - weight) * eye
            pick[:, d * place + d : d * place + 2 * d] = weight * eye
            for c in np.flatnonzero(seen.numpy()):
                rows.append((decoder[0][c] @ pick, decoder[1][c], sde.noise[c].item() ** 2))
                values.append(float(y[c]))
        self.matrix, self.offset, self.noise = (np.array(part) for part in zip(*rows))
        self.y = np.array(values)

    def log_likelihood(self) -> float:
        m, v = self.law["p"]
        law = stats.multivariate_normal(
            self.matrix @ m + self.offset, self.matrix @ v @ self.matrix.T + np.diag(self.noise)
        )
        return float(law.logpdf(self.y))

    def divergence(self) -> float:
        """KL(q(path), p(path | y))."""
        m, v = self.law["p"]
        gain = v @ self.matrix.T @ np.linalg.inv(self.matrix @ v @ self.matrix.T + np.diag(self.noise))
        mean, cov = m + gain @ (self.y - self.offset - self.matrix @ m), v - gain @ self.matrix @ v
        ours, own = self.law["q"]
        inverse = np.linalg.inv(cov)
        log_ratio = np.linalg.slogdet(cov)[1] - np.linalg.slogdet(own)[1]
        return 0.5 * (np.trace(inverse @ own) + (mean - ours) @ inverse @ (mean - ours) - len(m) + log_ratio)


def affine_matrix(f, d: int) -> tuple[np.ndarray, np.ndarray]:
    zero = f(torch.zeros(1, d, dtype=torch.float64))[0].numpy()
    return f(torch.eye(d, dtype=torch.float64)).numpy().T - zero[:, None], zero


@torch.no_grad()
def test_the_elbo_is_the_log_likelihood_less_the_divergence_from_the_true_posterior(record_property):
    sde = stirred(0.3, hidden=(), steps=8)
    sde.spread_leave.zero_()  # a constant g: everything is linear and Gaussian
    sde.raw_noise.fill_(0.0)
    n, given = 20_000, context(1)
    chain = Chain(sde, given)
    exact, divergence = chain.log_likelihood(), chain.divergence()
    bounds = sde.elbo(Context(*(v.expand(n, -1, -1) for v in (given.x, given.y, given.mask))), RowGenerator(1, n))
    error = float(bounds.std()) / n**0.5
    record_property("log-likelihood, divergence, standard error", str((exact, divergence, error)))
    assert divergence > 20 * error  # so that the bound is strict, and the next line says something
    assert abs(float(bounds.mean()) - (exact - divergence)) < TAIL * error


@torch.no_grad()
def test_an_empty_context_gives_the_prior_of_the_linear_case():
    sde = stirred(0.3, hidden=(), steps=8, paths=4000)
    sde.spread_leave.zero_()
    chain = Chain(sde, context(1))
    m, v = (part[-2:] for part in (chain.law["p"][0], chain.law["p"][1][:, -2:]))
    matrix, offset = affine_matrix(sde.decoder, 2)
    mean, deviation = matrix @ m + offset, np.sqrt(np.diag(matrix @ v @ matrix.T) + sde.noise.numpy() ** 2)
    nothing = Context.of(*(torch.zeros(1, 0, size, dtype=torch.float64) for size in (1, 2)))
    found = sde.predict(nothing, torch.ones(1, 1, 1, dtype=torch.float64))
    assert (np.abs(found.mean[0, 0].numpy() - mean) < TAIL * deviation / 4000**0.5).all()
    np.testing.assert_allclose(found.stddev[0, 0], deviation, rtol=TAIL / (2 * 4000) ** 0.5)


def test_padding_and_other_rows_do_not_change_the_bound():
    sde, given = stirred(), context(3, points=6)
    mask = given.mask & (torch.arange(6) < torch.tensor([6, 3, 0])[:, None])[..., None]
    whole = sde.elbo(Context(torch.where(mask.any(-1, keepdim=True), given.x, torch.nan),
                             torch.where(mask, given.y, torch.nan), mask), RowGenerator(0, 3))  # fmt: skip
    for i, m in enumerate([6, 3, 0]):
        own = Context(given.x[i : i + 1, :m], given.y[i : i + 1, :m], mask[i : i + 1, :m])
        torch.testing.assert_close(sde.elbo(own, RowGenerator(0, 1, start=i)), whole[i : i + 1])


def test_a_short_fit_lowers_the_loss_and_narrows_the_bands():
    random = torch.Generator().manual_seed(0)
    t = torch.linspace(0, 6, 25)
    x = torch.sin(t + 6.28 * torch.rand(64, 1, generator=random))[..., None]
    x = x + 0.05 * torch.randn(x.shape, generator=random)
    data = Series.of(t, x)
    sde = latent_sde(data, latent=2, context_size=16, hidden=(32,), steps=30)
    optimiser = torch.optim.Adam(sde.parameters(), lr=0.01)
    batch, losses = data.take(torch.arange(64)), []
    for step in range(60):
        loss = sde.objective(sde, batch, RowGenerator(step, 64)).value
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 0.3
    with torch.no_grad():
        prior = sde.predict(Context.of(t[None, :0, None], x[:1, :0]), t[None, 10:11, None])
        found = sde.predict(Context.of(t[None, :, None], x[:1]), t[None, 10:11, None])
    assert found.stddev.item() < 0.8 * prior.stddev.item()


def test_checkpointed_gradients_are_the_direct_ones():
    """The same noise is drawn again when the steps are taken again."""
    gradients = []
    for gradient in ("direct", "checkpointed"):
        sde = latent_sde(channels=2, latent=3, context_size=4, hidden=[6], steps=30, gradient=gradient, seed=3).double()
        given = Context.of(torch.rand(5, 4, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64),
                           torch.randn(5, 4, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64))  # fmt: skip
        bound = sde.elbo(given, RowGenerator(2, 5)).sum()
        gradients.append(torch.autograd.grad(bound, list(sde.parameters())))
    assert any((g != 0).any() for g in gradients[0])
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)
