"""F1, F2, F4, F5: four losses with one minimum, and a ladder of noise that finds every mode.

Oracles: the precision matrix of a Gaussian, Jacobians by `torch.func`, Gauss-Hermite quadrature, enumeration of all signs, the
numbers of Song and Ermon 2020 for CIFAR-10, and the distribution functions of a mixture (scipy).
"""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.distance import pdist
from torch import Tensor, nn

import pushforward as pf
from pushforward.core.path import Path, Prediction
from pushforward.core.random import RowGenerator
from pushforward.models.diffusion.samplers.annealed_langevin import best_rate
from pushforward.parts.paths import VE, VP, NoiseLadder
from pushforward.parts.paths.noise_ladder import ladder_length
from tests.exact_mixture import ExactMixture, exact_model, standard_mixture

BUDGET = 1e-5
LOSSES = pf.diffusion


def field(seed: int, d: int) -> nn.Module:
    """A smooth field whose Jacobian is neither symmetric nor diagonal."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(d, 12), nn.Tanh(), nn.Linear(12, d)).double()


def energy(seed: int, d: int):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(d, 12), nn.Tanh(), nn.Linear(12, 1)).double()
    return net, pf.diffusion.score_of(lambda x: net(x)[:, 0])


def correlated(n: int = 500) -> tuple[Tensor, Tensor]:
    """Rows with exactly this mean and covariance, so that averages are the expectations of a Gaussian up to third moments."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, 3, generator=g, dtype=torch.float64)
    covariance = torch.tensor([[2.0, 0.6, -0.4], [0.6, 1.0, 0.3], [-0.4, 0.3, 0.5]], dtype=torch.float64)
    x = x - x.mean(0)
    white = x @ torch.linalg.inv(torch.linalg.cholesky(x.mT @ x / n)).mT
    return white @ torch.linalg.cholesky(covariance).mT + torch.tensor(
        [1.0, -2.0, 0.5], dtype=torch.float64
    ), covariance


def all_signs(d: int) -> Tensor:
    return torch.tensor(list(itertools.product((-1.0, 1.0), repeat=d)), dtype=torch.float64)


@pytest.mark.parametrize("loss", ["implicit", "sliced_vr"])
def test_of_linear_scores_the_precision_is_best(loss):
    # The loss is quadratic in the weights of s(x) = A x + b: its gradient vanishes at A = -P, b = P mu and nowhere else.
    x, covariance = correlated()
    precision = torch.linalg.inv(covariance)
    mean = x.mean(0)
    weight, bias = (-precision).clone().requires_grad_(), (precision @ mean).clone().requires_grad_()

    def mean_loss(weight: Tensor, bias: Tensor) -> Tensor:
        def score(y: Tensor) -> Tensor:
            return y @ weight.mT + bias

        if loss == "implicit":
            return LOSSES.implicit_score_matching(score, x).mean()
        v = all_signs(3)  # the mean over all signs of v v' is the identity
        return torch.stack([LOSSES.sliced_score_matching_vr(score, x, u.expand_as(x)).mean() for u in v]).mean()

    for slope in torch.autograd.grad(mean_loss(weight, bias), (weight, bias)):
        assert slope.abs().max() < 1e-10
    step = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    rise = mean_loss(weight + 0.1 * step, bias) - mean_loss(weight, bias)
    second = 0.01 * step @ (covariance + torch.outer(mean, mean)) @ step.mT / 2
    torch.testing.assert_close(rise, second.trace())


@pytest.mark.parametrize("event", [(3,), (2, 2)], ids=str)
@pytest.mark.parametrize("kind", ["field", "energy"])
def test_the_trace_is_that_of_the_jacobian(event, kind):
    d = math.prod(event)
    inner = field(2, d) if kind == "field" else energy(2, d)[1]

    def score(x: Tensor) -> Tensor:
        return inner(x.flatten(1)).reshape(x.shape)

    g = torch.Generator().manual_seed(3)
    x, v = (torch.randn(5, *event, dtype=torch.float64, generator=g) for _ in range(2))
    s, v_flat = score(x).detach().flatten(1), v.flatten(1)
    if kind == "field":
        jacobian = torch.func.vmap(torch.func.jacrev(inner))(x.flatten(1))
    else:
        net = energy(2, d)[0]
        jacobian = -torch.func.vmap(torch.func.hessian(lambda z: net(z)[0]))(x.flatten(1))
    jacobian = jacobian.detach()
    trace, curve = jacobian.diagonal(dim1=1, dim2=2).sum(1), torch.einsum("ni,nij,nj->n", v_flat, jacobian, v_flat)
    torch.testing.assert_close(LOSSES.implicit_score_matching(score, x).detach(), trace + s.square().sum(1) / 2)
    plain, reduced = LOSSES.sliced_score_matching(score, x, v), LOSSES.sliced_score_matching_vr(score, x, v)
    torch.testing.assert_close(plain.detach(), curve + (v_flat * s).sum(1).square() / 2)
    torch.testing.assert_close(reduced.detach(), curve + s.square().sum(1) / 2)


@pytest.mark.parametrize("loss", ["sliced_score_matching", "sliced_score_matching_vr"])
def test_the_mean_over_directions_is_the_implicit_loss(loss):
    # Over all 2^4 signs, which have E v v' = I: exact, and so are its gradients.
    net, x = field(4, 4), torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    mean = torch.stack([getattr(LOSSES, loss)(net, x, v.expand_as(x)) for v in all_signs(4)]).mean(0)
    exact = LOSSES.implicit_score_matching(net, x)
    torch.testing.assert_close(mean, exact)
    for a, b in zip(torch.autograd.grad(mean.sum(), list(net.parameters()), allow_unused=True),
                    torch.autograd.grad(exact.sum(), list(net.parameters()), allow_unused=True)):  # fmt: skip
        if b is not None:  # nothing depends on nothing: the last bias moves |s|^2 only
            torch.testing.assert_close(a, b)


def test_the_reduced_variance_is_reduced():
    # Normal directions on s = c x: v's is the only difference, and its square has variance 2 |s|^4.
    x = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64).expand(20_000, 3)
    v = torch.randn(20_000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    # For s = A x with A antisymmetric v'Av = 0, so the reduced loss is constant and the plain one 1/2 (v's)^2.
    a = torch.tensor([[0.0, 1.0, -0.5], [-1.0, 0.0, 2.0], [0.5, -2.0, 0.0]], dtype=torch.float64)
    s = (x @ a.mT)[0]
    plain = LOSSES.sliced_score_matching(lambda y: y @ a.mT, x, v)
    reduced = LOSSES.sliced_score_matching_vr(lambda y: y @ a.mT, x, v)
    assert reduced.std() < 1e-12
    var = 0.25 * 2 * s.square().sum() ** 2
    # (v's)^2 is chi-squared: the variance of its sample variance is known, 60 of kurtosis 15.
    assert abs(plain.var() / var - 1) < stats.norm.isf(BUDGET / 2) * math.sqrt(14 / 20_000)


def test_from_the_fisher_divergence_the_implicit_loss_is_a_constant_away():
    # Both expectations by quadrature on a mixture of two bumps in one dimension, for three networks.
    mixture = ExactMixture(
        *(torch.tensor(v, dtype=torch.float64) for v in ([0.3, 0.7], [[-1.5], [1.0]], [[0.5], [0.8]]))
    )
    x = torch.linspace(-9, 9, 6001, dtype=torch.float64)[
        :, None
    ]  # trapezes: exact to rounding for what vanishes at both ends
    weight = mixture.log_prob(x).exp() * (x[1, 0] - x[0, 0])
    truth = mixture.score(x, 1.0, 0.0)
    gaps = []
    for seed in range(3):
        net = field(seed, 1)
        implicit = (weight * LOSSES.implicit_score_matching(net, x).detach()).sum()
        gaps.append(((weight * LOSSES.explicit_score_matching(net, x, truth).detach()).sum() - implicit).item())
    constant = (weight * truth.square().sum(1)).sum().item() / 2
    np.testing.assert_allclose(gaps, constant, rtol=1e-9)


def test_a_score_of_an_energy_is_that_of_the_density():
    mixture = standard_mixture()
    x = mixture.sample(20, 0)
    found = pf.diffusion.score_of(lambda y: 7.0 - mixture.log_prob(y))(x)
    torch.testing.assert_close(found, mixture.score(x, 1.0, 0.0))
    with torch.inference_mode():
        torch.testing.assert_close(pf.diffusion.score_of(lambda y: 7.0 - mixture.log_prob(y))(x), found.detach())


def test_a_noise_ladder_is_geometric_and_as_long_as_in_the_paper():
    sigmas = NoiseLadder(0.01, 50.0, 232).sigmas().numpy()
    np.testing.assert_allclose(sigmas, np.geomspace(50, 0.01, 232))
    d, length = 3072, ladder_length(3072, 0.01, 50.0)
    gamma = 5000 ** (1 / (length - 1))
    middle = math.sqrt(2 * d) * (gamma - 1)
    assert abs(stats.norm.cdf(middle + 3 * gamma) - stats.norm.cdf(middle - 3 * gamma) - 0.5) < 0.02
    assert abs(length - 232) < 0.1 * 232  # CIFAR-10, table 3 of Song and Ermon 2020
    assert (
        abs(best_rate(5000 ** (1 / 231), 5) - 6.2e-6 / 1e-4) < 0.01
    )  # eps / sigma_L^2 there, whose step is a score + sqrt(2 a) z


def test_sigma_one_is_the_largest_distance():
    x = torch.randn(60, 3, generator=torch.Generator().manual_seed(1)).exp()
    standard = (x / x.std(0)).double().numpy()
    model = pf.diffusion.ncsn(x, width=8)
    assert isinstance(model.path, NoiseLadder)
    assert model.path.sigma_max == pytest.approx(pdist(standard).max(), rel=1e-5)


def test_a_step_of_annealed_langevin_is_that_of_the_paper():
    # u <- u + a/2 score + sqrt(a) z with a = eps sigma_i^2 / sigma_L^2, written out with the mixture's own score.
    path, mixture, n, each, rate = NoiseLadder(0.05, 4.0, 6), standard_mixture(), 9, 3, 0.2
    sampler = pf.diffusion.samplers.AnnealedLangevin(each=each, rate=rate).on(exact_model(path))
    noise = RowGenerator(1, n).normal(2, dtype=torch.float64)
    found = sampler.run(noise, sampler.steps, RowGenerator(2, n)).x
    sigmas, draws = np.geomspace(4.0, 0.05, 6), RowGenerator(2, n)
    u, eps = noise * math.sqrt(1 + 4.0**2), 2 * rate * 0.05**2
    for sigma in sigmas:
        a = eps * sigma**2 / sigmas[-1] ** 2
        for _ in range(each):
            z = draws.normal(2, dtype=torch.float64)
            u = u + a / 2 * mixture.score(u, 1.0, float(sigma)) + math.sqrt(a) * z
    u = u + sigmas[-1] ** 2 * mixture.score(u, 1.0, float(sigmas[-1]))  # the last step takes the noise away
    torch.testing.assert_close(found, u, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("path", "predict"), [(NoiseLadder(0.01, 10.0, 90), "score"), (VE(), "noise"), (VP(), "v")], ids=str
)
def test_annealed_langevin_reaches_the_mixture(path, predict):
    n, mixture = 2000, standard_mixture()
    sampler = pf.diffusion.samplers.AnnealedLangevin(each=12, levels=90)
    x = exact_model(path, predict).sample(n, sampler=sampler, generator=torch.Generator().manual_seed(1)).numpy()
    budget = BUDGET / (3 * 4)
    weights, means, stds = (v.numpy() for v in (mixture.weights, mixture.means, mixture.stds))
    for u in np.array([[1, 0], [0, 1], [0.6, 0.8]]):
        centres, widths = means @ u, np.sqrt((stds * u) ** 2 @ [1, 1])

        def cdf(v, centres=centres, widths=widths):
            return stats.norm(centres, widths).cdf(v[:, None]) @ weights

        p = stats.kstest(x @ u, cdf)[1]
        assert p > budget, (u, p)
    count = [np.bincount(mixture._components(torch.as_tensor(v), 1.0, 0.0)[0].argmax(1).numpy(), minlength=3)
             for v in (x, mixture.sample(8000, 9))]  # fmt: skip
    assert stats.chi2_contingency(count).pvalue > budget


def test_plain_langevin_does_not_see_the_weights_and_annealing_does():
    # Two bumps far apart with weights 1/5 and 4/5: between them the score forgets the weights.
    mixture = ExactMixture(
        *(torch.tensor(v, dtype=torch.float64) for v in ([0.2, 0.8], [[-5.0], [5.0]], [[1.0], [1.0]]))
    )
    n = 1000
    start = RowGenerator(0, n).normal(1, dtype=torch.float64) * 8
    plain = pf.diffusion.ScoreLangevin(lambda x: mixture.score(x, 1.0, 0.0), step_size=0.05)
    x = plain.run(start, 400, RowGenerator(1, n)).x[:, 0].numpy()
    assert stats.binomtest(int((x > 0).sum()), n, 0.8).pvalue < 1e-20  # as many as began there, about half

    class Exact:
        path: Path = NoiseLadder(0.05, 30.0, 60)
        predict: Prediction = "score"
        event_shape = torch.Size((1,))

        def __call__(self, y: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
            sigma = self.path.sigma(t)
            return mixture.score(y * (1 + sigma.square()).sqrt()[:, None], 1.0, sigma)

    annealed = pf.diffusion.samplers.AnnealedLangevin(each=20).on(Exact())
    x = annealed.run(start / 8, annealed.steps, RowGenerator(1, n)).x[:, 0].numpy()
    assert stats.binomtest(int((x > 0).sum()), n, 0.8).pvalue > BUDGET
    inside = x[x > 0]
    assert stats.kstest(inside, stats.norm(5, 1).cdf).pvalue > BUDGET


def test_a_score_network_learns_a_gaussian_by_every_loss():
    # A linear score in model units: full-batch steps reach the sample's own precision, to which every loss but the blurred one points.
    x, covariance = correlated(400)
    x = x.float()
    for kind in ("implicit", "sliced_vr"):
        torch.manual_seed(0)
        network = nn.Linear(3, 3)
        model = pf.diffusion.ScoreNetwork(3, network, loss=kind, loc=x.mean(0), scale=x.std(0))
        optimiser = torch.optim.LBFGS(model.parameters(), max_iter=60, line_search_fn="strong_wolfe")

        def closure(model=model, optimiser=optimiser):
            optimiser.zero_grad()
            loss = model.objective(model, pf.Batch(x), RowGenerator(0, len(x))).value
            loss.backward()
            return loss

        optimiser.step(closure)
        precision = torch.linalg.inv(covariance).float()
        found = -network.weight.detach() / model.scale / model.scale[:, None]
        rel = (found - precision).norm() / precision.norm()
        assert rel < (0.01 if kind == "implicit" else 0.3), (kind, rel)
