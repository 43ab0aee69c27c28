"""E2: the posterior of a Gaussian process, its likelihood, and the fit of its kernel.

Oracles: scikit-learn's Gaussian process regression (mean, covariance, likelihood, gradient, optimum), gpytorch's sparse bound, scipy's
multivariate normal density, and one function at a time for what stands in a batch.
"""

import math
import warnings

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.gaussian_process import GaussianProcessRegressor, kernels

from pushforward.core.process import Context
from pushforward.models.processes import (
    GaussianProcess,
    JointNormal,
    fit_marginal_likelihood,
    gaussian_process,
    oracle_for,
)
from pushforward.parts.data import FunctionSet, gp_draws
from pushforward.parts.data.covariances import kernel_text

BUDGET, NOISE = 1e-5, 0.2
ORACLES = {
    "rbf(0.6)": kernels.RBF(0.6),
    "matern52(0.6)": kernels.Matern(0.6, nu=2.5),
    "matern32(0.6)": kernels.Matern(0.6, nu=1.5),
    "matern12(0.6)": kernels.Matern(0.6, nu=0.5),
    "periodic(0.6, 1.7)": kernels.ExpSineSquared(0.6, 1.7),
    "rbf(0.6) + 2*periodic(0.8, 1.7)": kernels.RBF(0.6) + 2.0 * kernels.ExpSineSquared(0.8, 1.7),
    "0.5*rbf(2)*periodic(0.8, 1.7)": 0.5 * kernels.RBF(2.0) * kernels.ExpSineSquared(0.8, 1.7),
}
every_kernel = pytest.mark.parametrize("name", ORACLES)


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)


def points(n: int = 12, targets: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    data = gp_draws("rbf", 1, points=n + targets, length_scale=0.7, noise=0.1, seed=seed)
    return data.x[:, :n], data.y[:, :n], data.x[:, n:]


def close(ours: torch.Tensor, theirs: np.ndarray | torch.Tensor, tolerance: float = 1e-6) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), np.asarray(theirs), rtol=tolerance, atol=tolerance)


@every_kernel
def test_posterior_and_likelihood_are_those_of_scikit_learn(name):
    x, y, at = points()
    ours = GaussianProcess(name, noise=NOISE)
    theirs = GaussianProcessRegressor(ORACLES[name] + kernels.WhiteKernel(NOISE**2), alpha=0.0, optimizer=None).fit(
        x[0], y[0, :, 0]
    )
    mean, covariance = theirs.predict(at[0], return_cov=True)
    observed, function = ours.predict(Context.of(x, y), at), ours.predict(Context.of(x, y), at, of="f")
    close(observed.mean[0, :, 0], mean)
    close(
        observed.covariance_matrix[0, 0], covariance
    )  # scikit-learn's white kernel is part of the prediction: this is y
    close(function.covariance_matrix[0, 0], covariance - NOISE**2 * np.eye(6))
    close(observed.stddev[0, :, 0], np.sqrt(covariance.diagonal()))
    close(ours.log_likelihood(Context.of(x, y)), [theirs.log_marginal_likelihood_value_])


@every_kernel
def test_the_slope_of_the_likelihood_is_that_of_scikit_learn(name):
    x, y, _ = points()
    ours = GaussianProcess(name, noise=NOISE)
    kernel = ORACLES[name] + kernels.WhiteKernel(NOISE**2)
    theirs = GaussianProcessRegressor(kernel, alpha=0.0, optimizer=None).fit(x[0], y[0, :, 0])
    slope = dict(
        zip(
            [own.name for own in kernel.hyperparameters],
            theirs.log_marginal_likelihood(kernel.theta, eval_gradient=True)[1],
        )
    )
    names, parameters = zip(*ours.named_parameters())
    value = ours.log_likelihood(Context.of(x, y)).sum()
    found = dict(zip(names, torch.autograd.grad(value, parameters, materialize_grads=True)))
    # Their parameter is the logarithm of the variance, ours that of the deviation.
    close(found["log_noise"][0], 2 * sum(value for own, value in slope.items() if own.endswith("noise_level")))
    close(found["log_length_scale"].sum(), sum(value for own, value in slope.items() if own.endswith("length_scale")))
    close(found["log_period"].sum(), sum(value for own, value in slope.items() if own.endswith("periodicity")))
    for value in (value for own, value in slope.items() if own.endswith("constant_value")):
        close(found["log_variance"][-1], value)


def test_the_fit_finds_the_optimum_of_scikit_learn():
    x, y, _ = points(30)
    kernel = kernels.ConstantKernel(1.0) * kernels.Matern(0.6, nu=2.5) + kernels.WhiteKernel(NOISE**2)
    theirs = GaussianProcessRegressor(kernel, alpha=0.0, n_restarts_optimizer=3, random_state=0).fit(x[0], y[0, :, 0])
    ours = GaussianProcess("matern52(0.6)", noise=NOISE)
    value = fit_marginal_likelihood(ours, Context.of(x, y), restarts=2)
    assert value == pytest.approx(theirs.log_marginal_likelihood_value_, abs=1e-4)
    assert value == pytest.approx(float(ours.log_likelihood(Context.of(x, y)).detach()), abs=1e-9)
    found = [ours.log_variance[0].exp(), ours.log_length_scale[0].exp(), ours.noise**2]
    close(torch.stack(found), np.exp(theirs.kernel_.theta), 5e-3)


def test_brownian_motion_between_two_points_is_a_bridge():
    # Given W(1) = a and W(2) = b: mean a + (b - a)(t - 1) and covariance (s - 1)(2 - t) for s <= t, in closed form.
    process = GaussianProcess("brownian", noise=0.0)
    context = Context.of(torch.tensor([[[1.0], [2.0]]]), torch.tensor([[[0.3], [-0.4]]]))
    bridge = process.predict(context, torch.tensor([[[1.25], [1.5]]]))
    close(bridge.mean[0, :, 0], [0.3 - 0.7 * 0.25, 0.3 - 0.7 * 0.5])
    close(bridge.covariance_matrix[0, 0], [[0.1875, 0.125], [0.125, 0.25]])


def test_ragged_contexts_in_one_batch_equal_scikit_learn_one_by_one():
    data = gp_draws("rbf", 4, points=9, length_scale=0.7, seed=3)
    lengths = [0, 1, 5, 9]
    mask = torch.arange(9) < torch.tensor(lengths)[:, None]
    x, y = (torch.where(mask[..., None], v, math.nan) for v in (data.x, data.y))
    at = torch.linspace(-2, 2, 5)[:, None].expand(4, 5, 1)
    ours = GaussianProcess("rbf(0.7)", noise=NOISE)
    together = ours.predict(Context.of(x, y, mask), at)
    likelihood = ours.log_likelihood(Context.of(x, y, mask))
    assert likelihood[0] == 0
    for i, m in enumerate(lengths):
        theirs = GaussianProcessRegressor(kernels.RBF(0.7) + kernels.WhiteKernel(NOISE**2), alpha=0.0, optimizer=None)
        if m:
            theirs.fit(data.x[i, :m], data.y[i, :m, 0])
            close(likelihood[i], theirs.log_marginal_likelihood_value_)
        mean, covariance = theirs.predict(at[i], return_cov=True)
        close(together.mean[i, :, 0], mean)
        close(together.covariance_matrix[i, 0], covariance)


def test_the_joint_density_is_scipys_also_where_targets_are_left_out():
    torch.manual_seed(0)
    root = torch.randn(2, 4, 4)
    covariance, mean, scale = root @ root.mT, torch.randn(2, 4, 3), torch.tensor([1.0, 2.0, 0.5])
    joint, y = JointNormal(mean, covariance, scale), torch.randn(2, 4, 3)
    mask = torch.tensor([[True, True, True, True], [True, False, True, False]])
    for found, kept in ((joint.log_prob(y), torch.ones_like(mask)), (joint.log_prob_where(y, mask), mask)):
        expected = [
            sum(stats.multivariate_normal(mean[i, kept[i], d], scale[d] ** 2 * covariance[i][kept[i]][:, kept[i]]).logpdf(y[i, kept[i], d])
                for d in range(3)) for i in range(2)
        ]  # fmt: skip
        close(found, expected)


def test_draws_have_the_covariance_of_the_posterior():
    x, y, at = points(4, 3)
    prediction = GaussianProcess("rbf(0.6)", noise=NOISE).predict(Context.of(x, y), at)
    torch.manual_seed(1)
    n = 20_000
    draws = prediction.sample((n,))[:, 0, :, 0].numpy()
    expected = prediction.covariance_matrix[0, 0].detach().numpy()
    error = ((np.outer(expected.diagonal(), expected.diagonal()) + expected**2) / n) ** 0.5
    assert (np.abs((np.cov(draws.T) - expected) / error) < stats.norm.isf(BUDGET / 18)).all()


def test_sparse_with_every_point_as_inducing_is_exact():
    x, y, at = points(15)
    exact, sparse = (
        GaussianProcess("matern32(0.6)", noise=NOISE),
        GaussianProcess("matern32(0.6)", noise=NOISE, inducing=15),
    )
    sparse.inducing.data.copy_(x[0])
    a, b = (own.predict(Context.of(x, y), at) for own in (exact, sparse))
    close(b.mean, a.mean.detach())
    close(b.covariance_matrix, a.covariance_matrix.detach())
    close(sparse.log_likelihood(Context.of(x, y)), exact.log_likelihood(Context.of(x, y)).detach())


def test_the_sparse_bound_and_mean_are_those_of_gpytorch():
    gpytorch = pytest.importorskip("gpytorch")
    x, y, at = points(15)
    inducing = torch.linspace(-1.8, 1.8, 5)[:, None]

    class Peer(gpytorch.models.ExactGP):
        def __init__(self, likelihood):
            super().__init__(x[0], y[0, :, 0], likelihood)
            base = gpytorch.kernels.RBFKernel()
            base.lengthscale = 0.6
            self.mean_module = gpytorch.means.ZeroMean()
            self.covar_module = gpytorch.kernels.InducingPointKernel(
                base, inducing_points=inducing.clone(), likelihood=likelihood
            )

        def forward(self, at):
            return gpytorch.distributions.MultivariateNormal(self.mean_module(at), self.covar_module(at))

    likelihood = gpytorch.likelihoods.GaussianLikelihood()
    likelihood.noise = NOISE**2
    peer = Peer(likelihood)
    ours = GaussianProcess("rbf(0.6)", noise=NOISE, inducing=5)
    ours.inducing.data.copy_(inducing)
    bound = ours.log_likelihood(Context.of(x, y))
    assert ours.log_prob_kind == "lower_bound"
    assert bound < GaussianProcess("rbf(0.6)", noise=NOISE).log_likelihood(Context.of(x, y))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the peer
        objective = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, peer)
        theirs = 15 * objective(peer(x[0]), y[0, :, 0])  # a point, the lost variance included
        with gpytorch.settings.sgpr_diagonal_correction(False):  # with it, predictions are those of FITC
            mean = peer.eval()(at[0]).mean.detach()
    close(bound, [float(theirs.detach())], 1e-4)
    close(ours.predict(Context.of(x, y), at).mean[0, :, 0], mean, 1e-3)


@pytest.mark.parametrize("name", ["gp_rbf", "gp_weakly_periodic", "gp_matern52_noisy"])
def test_the_oracle_of_a_named_set_whitens_its_functions(name):
    from pushforward.parts.data import GP_SETS

    data = gp_draws(n=200, points=8, **GP_SETS[name])
    oracle = oracle_for(data)
    assert oracle is not None
    assert kernel_text(oracle.kernel) == kernel_text(oracle_for(name).kernel)
    prior = oracle.predict(Context.of(data.x[:, :0], data.y[:, :0]), data.x)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(prior.covariance_matrix[:, 0]), data.y, upper=False)
    assert stats.kstest(white.detach().numpy().ravel(), "norm").pvalue > BUDGET


def test_units_of_the_data_change_nothing_but_the_units():
    data = gp_draws("rbf", 5, points=10, length_scale=0.7)
    other = FunctionSet.of(data.x, 1000 * data.y + 5)
    one, two = GaussianProcess("rbf(0.7)", noise=NOISE), GaussianProcess("rbf(0.7)", noise=NOISE)
    one.standardise(data)
    two.standardise(other)
    close(two.log_likelihood(other), one.log_likelihood(data).detach() - 10 * math.log(1000))
    a, b = one.predict(data.context(), data.x), two.predict(other.context(), data.x)
    close(b.mean, 1000 * a.mean.detach() + 5, 1e-5)
    close(b.log_prob(other.y), a.log_prob(data.y).detach() - 10 * math.log(1000))
    fitted = gaussian_process(other, restarts=1)
    assert fitted.predict(other.context(), data.x).mean.isfinite().all()
