"""A4, A5: modes, supports, bounds, their gradients, and the diagnosis of importance weights.

Oracles: closed forms of conjugate models, scipy's optimiser, scipy's generalised Pareto draws, quadrature of gradients and of
mass, torch.distributions' densities.
"""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, stats
from torch import Tensor
from torch import distributions as td

import pushforward as pf
from pushforward.core.errors import UserError
from pushforward.core.random import RowGenerator
from pushforward.models.inference import (
    Target,
    bound_objective,
    fit_posterior,
    full_rank,
    map_estimate,
    mean_field,
    pareto_smoothed,
    posterior_report,
)
from pushforward.models.inference.variational.objective import estimator_named
from pushforward.parts.distributions import FullGaussian, Gaussian

BUDGET = 1e-5
F64 = torch.float64


def regression(rows: int = 12, features: int = 3) -> tuple[Target, np.ndarray, np.ndarray, float]:
    """y = X w + noise, w ~ N(0, 2^2): the posterior and the evidence are known."""
    rng = np.random.default_rng(5)
    x, sigma, tau = rng.normal(size=(rows, features)), 0.7, 2.0
    y = x @ np.array([1.0, -2.0, 0.5])[:features] + sigma * rng.normal(size=rows)
    covariance = np.linalg.inv(x.T @ x / sigma**2 + np.eye(features) / tau**2)
    mean = covariance @ x.T @ y / sigma**2
    evidence = stats.multivariate_normal(np.zeros(rows), sigma**2 * np.eye(rows) + tau**2 * x @ x.T).logpdf(y)
    xs, ys = torch.tensor(x), torch.tensor(y)

    def log_joint(theta: dict[str, Tensor]) -> Tensor:
        w = theta["w"]
        at = w @ xs.to(w.dtype).T
        return td.Normal(0.0, tau).log_prob(w).sum(1) + td.Normal(at, sigma).log_prob(ys.to(w.dtype)).sum(1)

    return Target(log_joint, {"w": ("real", features)}), mean, covariance, float(evidence)


def test_the_mode_of_ridge_regression_is_its_closed_form():
    target, mean, covariance, evidence = regression()
    mode = map_estimate(target, torch.zeros(3, dtype=F64))
    np.testing.assert_allclose(mode.values["w"].numpy(), mean, rtol=1e-8)
    np.testing.assert_allclose(mode.standard_errors["w"].numpy(), np.sqrt(np.diag(covariance)), rtol=1e-8)
    # The posterior is normal, so Laplace's approximation is no approximation here.
    assert mode.laplace is not None
    assert mode.log_evidence == pytest.approx(evidence, abs=1e-8)
    np.testing.assert_allclose(mode.laplace.covariance.numpy(), covariance, rtol=1e-8)


def test_a_curved_mode_is_the_one_scipy_finds():
    def log_p(z: Tensor) -> Tensor:
        return -((z[:, 0] - 1) ** 2) / 2 - 5 * (z[:, 1] - z[:, 0] ** 2) ** 2 - 0.3 * z[:, 1]

    found = optimize.minimize(lambda z: -float(log_p(torch.tensor(z)[None])), [-1.5, 2.0], method="BFGS", tol=1e-10)
    mode = map_estimate(log_p, torch.tensor([-1.5, 2.0], dtype=F64))
    np.testing.assert_allclose(mode.z.numpy(), found.x, atol=1e-5)
    assert mode.log_density == pytest.approx(-found.fun, abs=1e-9)


def test_a_mode_depends_on_the_units_as_it_should():
    # Gamma(a, b) has its mode at (a - 1) / b; that of its logarithm is a / b.
    target = Target(lambda t: td.Gamma(3.0, 2.0).log_prob(t["rate"]), {"rate": "positive"})
    start = torch.zeros(1, dtype=F64)
    assert float(map_estimate(target, start).values["rate"]) == pytest.approx(1.5, rel=1e-6)
    assert float(map_estimate(target, start, jacobian=False).values["rate"]) == pytest.approx(1.0, rel=1e-6)
    assert map_estimate(target, start, jacobian=False).laplace is None


SUPPORTS = {
    "positive": ("positive", lambda t: td.Gamma(2.0, 1.5).log_prob(t), 1),
    "unit": ("unit", lambda t: td.Beta(2.0, 3.5).log_prob(t), 1),
    "interval": (("interval", -1.0, 2.0), lambda t: td.Beta(2.0, 2.0).log_prob((t + 1) / 3) - math.log(3), 1),
    "simplex": (("simplex", 3), lambda t: td.Dirichlet(torch.tensor([2.0, 1.5, 3.0], dtype=F64)).log_prob(t), 2),
    "ordered": (("ordered", 2), lambda t: math.log(2) + td.Normal(0.0, 1.0).log_prob(t).sum(-1), 2),
    "correlation": (
        ("correlation_cholesky", 2),
        lambda t: td.LKJCholesky(2, torch.tensor(2.0, dtype=F64), validate_args=False).log_prob(t),
        1,
    ),
}


@pytest.mark.parametrize("name", SUPPORTS)
def test_a_density_keeps_its_mass_when_its_numbers_are_freed(name):
    spec, log_p, d = SUPPORTS[name]
    target = Target(lambda t: log_p(t["theta"]), {"theta": spec})
    assert target.features == d
    side = torch.linspace(-18, 18, 2001 if d == 1 else 701, dtype=F64)
    grid = torch.cartesian_prod(*[side] * d).reshape(-1, d)
    # Without the Jacobian the integral is another number altogether. Sides are long: exponential tails of a half.
    mass = target(grid).exp().sum() * float(side[1] - side[0]) ** d
    assert float(mass) == pytest.approx(1, abs=2e-4)
    z = torch.randn(7, d, dtype=F64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(target.unconstrain(target.constrain(z)), z, rtol=1e-7, atol=1e-7)


def test_parts_of_a_target_lie_side_by_side():
    target = Target(
        lambda t: t["a"].sum((1, 2)) + t["b"] + t["c"].sum(1),
        {"a": ("real", (2, 3)), "b": "positive", "c": ("unit", 2)},
    )
    z = torch.randn(4, 9, dtype=F64, generator=torch.Generator().manual_seed(2))
    for row in z:  # log abs det by autodiff of the whole map
        jacobian = torch.autograd.functional.jacobian(
            lambda at: torch.cat([v[0].flatten() for v in target.constrain(at[None]).values()]), row
        )
        assert float(target(row) - target.log_posterior(row)) == pytest.approx(
            float(torch.linalg.slogdet(jacobian)[1]), abs=1e-10
        )
    assert target.names[:2] == ["a[0,0]", "a[0,1]"]
    assert target.names[6:] == ["b", "c[0]", "c[1]"]


def test_minibatches_average_to_the_whole():
    data = torch.randn(20, generator=torch.Generator().manual_seed(3)).double()

    def log_joint(theta: dict[str, Tensor], batch: Tensor, scale: float) -> Tensor:
        return -(theta["m"] ** 2) + scale * td.Normal(theta["m"][:, None], 1.0).log_prob(batch).sum(1)

    target = Target(log_joint, {"m": "real"}, data=data, batch_size=5)
    z = torch.tensor([[0.3], [-1.0]], dtype=F64)
    parts = torch.stack([target.minibatch(seed)(z) for seed in range(1000)]).numpy()
    error = parts.std(0) / math.sqrt(len(parts))
    assert (abs(parts.mean(0) - target(z).numpy()) < stats.norm.isf(BUDGET / 4) * error).all()
    assert (error > 0).all()


@pytest.mark.parametrize("gradient", ["path", "stl", "score"])
def test_at_the_posterior_the_bound_is_the_evidence_and_never_above(gradient):
    target, mean, covariance, evidence = regression()
    q = full_rank(target)
    fit_posterior(q, target, steps=400, draws=64 if gradient != "score" else 256, gradient=gradient, learning_rate=0.05)
    report = posterior_report(q, target, draws=2000)
    # E_q log w = evidence - KL, with KL of two Gaussians in closed form by torch: this is the bound, and it is below.
    true = td.MultivariateNormal(torch.tensor(mean), torch.tensor(covariance))
    kl = float(td.kl_divergence(td.MultivariateNormal(q.loc.detach().double(), q.covariance.detach().double()), true))
    gap = {"path": 0.02, "stl": 1e-4, "score": 0.05}[gradient]
    assert 0 <= kl < gap
    z = stats.norm.isf(BUDGET)
    assert abs(report.elbo - (evidence - kl)) < z * report.elbo_std_error + 1e-4
    assert report.elbo < evidence + z * report.elbo_std_error + 1e-4
    assert report.importance_bound < evidence + z * report.importance_bound_std_error + 1e-4
    np.testing.assert_allclose(report.means["w"].numpy(), mean, atol=0.15 * np.sqrt(np.diag(covariance)).min())


def test_mean_field_has_the_means_and_the_known_too_small_variances():
    target, mean, covariance, evidence = regression()
    q = mean_field(target)
    fit_posterior(q, target, steps=500, gradient="stl", learning_rate=0.1, draws=64)
    scale = 1 / np.sqrt(np.diag(np.linalg.inv(covariance)))  # Bishop 2006, 10.1.2
    np.testing.assert_allclose(q.loc.detach().numpy(), mean, atol=0.05 * scale.min())
    np.testing.assert_allclose(q.scale.detach().numpy(), scale, rtol=0.03)
    # KL of the best diagonal q in closed form.
    kl = 0.5 * (np.log(np.diag(np.linalg.inv(covariance))).sum() + np.linalg.slogdet(covariance)[1])
    report = posterior_report(q, target, draws=4000)
    assert abs(report.elbo - (evidence - kl)) < stats.norm.isf(BUDGET) * report.elbo_std_error + 0.01
    assert report.elbo < report.importance_bound < evidence + stats.norm.isf(BUDGET) * report.importance_bound_std_error


def bump(z: Tensor) -> Tensor:
    """A density that is not normal, so that no gradient vanishes."""
    return -(z[:, 0] ** 4) / 4 + z[:, 0]


@pytest.mark.parametrize(
    "estimate", [("path", "elbo"), ("stl", "elbo"), ("score", "elbo"), ("path", "iwae"), ("stl", "iwae")]
)
def test_every_gradient_has_the_mean_that_quadrature_says(estimate):
    loc, log_scale = 0.4, -0.3

    def expectation(m: float, s: float) -> float:
        def weight(e: float) -> float:  # log w at z = m + exp(s) e
            z = m + math.exp(s) * e
            return -(z**4) / 4 + z + e * e / 2 + s + 0.5 * math.log(2 * math.pi)

        if estimate[1] == "elbo":
            return integrate.quad(lambda e: stats.norm.pdf(e) * weight(e), -9, 9, epsabs=1e-12)[0]
        e, share = np.polynomial.hermite_e.hermegauss(80)
        w, share = np.array([weight(x) for x in e]), share / share.sum()
        return float(share @ (np.logaddexp(w[:, None], w[None]) - math.log(2)) @ share)  # k = 2

    h = 1e-4
    known = np.array([
        (expectation(loc + h, log_scale) - expectation(loc - h, log_scale)) / (2 * h),
        (expectation(loc, log_scale + h) - expectation(loc, log_scale - h)) / (2 * h),
    ])  # fmt: skip
    q = Gaussian(torch.tensor([loc], dtype=F64), torch.tensor([math.exp(log_scale)], dtype=F64), learn=True)
    function, rows, rounds = estimator_named(estimate[0], estimate[1], 2), 128, 400
    if estimate[0] == "score":  # few rows, where a baseline that has the draw itself in it shows
        rows, rounds = 3, 4000
    grads, values = [], []
    for seed in range(rounds):
        bound = function(q, bump, RowGenerator(seed, rows))
        grads.append(torch.cat(torch.autograd.grad(bound.ascent, [q.loc, q.log_scale])))
        values.append(bound.rows.mean())
    grads, values = torch.stack(grads).numpy(), torch.stack(values).numpy()
    z = stats.norm.isf(BUDGET / 20)
    assert (abs(grads.mean(0) - known) < z * grads.std(0) / math.sqrt(rounds)).all()
    assert abs(values.mean() - expectation(loc, log_scale)) < z * values.std() / math.sqrt(rounds)


def test_sticking_the_landing_is_quiet_at_the_posterior():
    q = FullGaussian(torch.ones(2, dtype=F64), torch.tensor([[1.0, 0.0], [0.5, 2.0]], dtype=F64), learn=True)
    truth = FullGaussian(torch.ones(2, dtype=F64), torch.tensor([[1.0, 0.0], [0.5, 2.0]], dtype=F64))
    sizes = {}
    for gradient in ("path", "stl"):
        bound = estimator_named(gradient, "elbo", 1)(q, truth.log_prob, RowGenerator(0, 16))
        found = torch.autograd.grad(bound.ascent, list(q.parameters()))
        sizes[gradient] = max(float(g.abs().max()) for g in found)
    assert sizes["stl"] < 1e-12 < 0.01 < sizes["path"]


def test_a_flow_finds_what_a_gaussian_cannot():
    def banana(z: Tensor) -> Tensor:  # z1 ~ N(0, 1), z2 | z1 ~ N(z1^2, 0.5^2): log Z = 0
        return td.Normal(0.0, 1.0).log_prob(z[:, 0]) + td.Normal(z[:, 0] ** 2, 0.5).log_prob(z[:, 1])

    gaussian, flow = full_rank(2), pf.flows.iaf(features=2, layers=2, hidden=[16])
    fit_posterior(gaussian, banana, steps=200, gradient="stl")
    fit_posterior(flow, banana, steps=300, learning_rate=0.04)
    poor, good = posterior_report(gaussian, banana), posterior_report(flow, banana)
    z = stats.norm.isf(BUDGET)
    assert good.elbo < z * good.elbo_std_error
    assert poor.elbo + 0.1 < good.elbo
    # E z2 = 1 and E z1 = 0, by the weights.
    assert good.smoothed.effective > 500
    error = 2.5 / math.sqrt(good.smoothed.effective)
    assert abs(float(good.means["z"][1]) - 1) < z * error
    assert abs(float(good.means["z"][0])) < z * error


def test_fit_takes_a_density_for_data():
    target, _, _, evidence = regression()
    q, settings = (
        full_rank(target),
        pf.training.Settings(bar=False, learning_rate=0.05, ema_decay=0.9, warmup=0, clip=0),
    )
    history = pf.fit(q, target, objective=bound_objective(target, gradient="stl"), steps=200, settings=settings)
    assert history.best_held_out_loss == pytest.approx(-evidence, abs=0.01)
    again = pf.fit(full_rank(target), target, steps=3, settings=settings)  # and without an objective
    assert again.records == [] or math.isfinite(again.records[-1]["loss"])


@pytest.mark.parametrize("k", [0.2, 0.6, 0.9])
def test_the_shape_of_pareto_tails_is_found(k):
    # Draws of scipy: each tail of M = 3 sqrt(n) has an estimate with variance (1 + k)^2 / M, drawn towards 1/2 by the prior.
    n, rounds = 10_000, 40
    m = 3 * math.sqrt(n)
    found = [
        pareto_smoothed(torch.tensor(np.log(stats.genpareto(k).rvs(n, random_state=seed) + 1e-300))).k_hat
        for seed in range(rounds)
    ]
    expected = (m * k + 5) / (m + 10)
    error = (1 + k) / math.sqrt(m * rounds)
    assert abs(np.mean(found) - expected) < stats.norm.isf(BUDGET / 6) * error + 0.01
    assert np.std(found) == pytest.approx((1 + k) / math.sqrt(m), rel=0.6)


def test_smoothing_lowers_the_error_and_says_when_it_cannot():
    # p = N(0, 1), q = N(0, s^2): the ratios have all moments below 1 / (1 - s^2), so k -> 1 - s^2 from below; none for s > 1.
    generator = torch.Generator().manual_seed(4)
    wide, narrow = (torch.randn(20_000, dtype=F64, generator=generator) * s for s in (1.2, 0.35))
    fine = pareto_smoothed(td.Normal(0.0, 1.0).log_prob(wide) - td.Normal(0.0, 1.2).log_prob(wide))
    bad = pareto_smoothed(td.Normal(0.0, 1.0).log_prob(narrow) - td.Normal(0.0, 0.35).log_prob(narrow))
    assert fine.reliable
    assert fine.k_hat < 0.3
    assert "good" in fine.verdict
    assert not bad.reliable
    assert bad.k_hat > 0.7
    assert "un" in bad.verdict
    second = float((fine.log_weights.exp() * wide.square()).sum())
    assert abs(second - 1) < stats.norm.isf(BUDGET) * 2.0 / math.sqrt(fine.effective)


def test_infinite_starts_are_named():
    target = Target(lambda t: torch.where(t["tau"] > 0.5, -torch.inf, 0.0), {"tau": "positive"})
    with pytest.raises(
        UserError, match=r"expected a finite log density at the start, got -inf in 1 of 1 rows, the first at tau = 1"
    ):
        map_estimate(target)
    with pytest.raises(UserError, match="finite log density at the start, got nan"):
        fit_posterior(mean_field(1), lambda z: z[:, 0].log(), steps=1)
