"""Laws of the public test bench: every closed form against scipy, autodiff, quadrature and the oracle of the other laws."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

import pushforward as pf
from pushforward.models.diffusion.exact import PRESETS, exact_model, guided_log_density, guided_score, posterior
from tests.exact_mixture import ExactMixture

exact = pf.diffusion.exact
PATHS = {"cosine": pf.paths.Cosine(), "linear": pf.paths.Linear(), "vp": pf.paths.VP(), "ve": pf.paths.VE()}
TARGETS = ["score", "noise", "data", "velocity", "v"]


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("name", PRESETS)
def test_noised_density_is_that_of_scipy(name, path):
    mixture, t = PRESETS[name](), path.t_min + 0.4 * (path.t_max - path.t_min)
    time = torch.tensor(t, dtype=torch.float64)
    alpha, sigma = path.alpha(time).item(), path.sigma(time).item()
    x = alpha * mixture.sample(4) + sigma
    covariances = mixture.covariances if mixture.full else torch.diag_embed(mixture.covariances)
    parts = [
        math.log(w) + stats.multivariate_normal(alpha * m.numpy(), alpha**2 * c.numpy() + sigma**2 * np.eye(len(m))).logpdf(x.numpy())
        for w, m, c in zip(mixture.weights, mixture.means, covariances, strict=True)
    ]  # fmt: skip
    expected = torch.from_numpy(np.logaddexp.reduce(np.stack(parts)))
    torch.testing.assert_close(mixture.log_prob_at(x, time, path), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("name", PRESETS)
def test_score_is_the_gradient(name, path):
    mixture = PRESETS[name]()
    t = path.t_min + torch.tensor([0.02, 0.5, 0.97], dtype=torch.float64) * (path.t_max - path.t_min)
    x = (path.alpha(t)[:, None] * mixture.sample(3) + path.sigma(t)[:, None]).requires_grad_()
    (gradient,) = torch.autograd.grad(mixture.log_prob_at(x, t, path).sum(), x)
    torch.testing.assert_close(mixture.predicted(x.detach(), t, path), gradient, rtol=1e-8, atol=1e-8)
    label = torch.tensor([0, 1, 0])
    (gradient,) = torch.autograd.grad(guided_log_density(mixture, x, t, path, label, 2.5).sum(), x)
    ours = guided_score(mixture, x.detach(), t, path, label, 2.5)
    torch.testing.assert_close(ours, gradient, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("target", TARGETS)
def test_predictions_are_posterior_means_by_quadrature(path, target):
    mixture = exact.GaussianMixture(torch.tensor([0.3, 0.7]).double(), torch.tensor([[-1.0], [0.8]]).double(),
                                    torch.tensor([[0.1], [0.3]]).double())  # fmt: skip
    t = torch.tensor(path.t_min + 0.5 * (path.t_max - path.t_min), dtype=torch.float64)
    h = 1e-5 * t
    alpha, sigma = path.alpha(t), path.sigma(t)
    d_alpha, d_sigma = ((f(t + h) - f(t - h)) / (2 * h) for f in (path.alpha, path.sigma))
    x = (alpha + 0.7 * sigma).reshape(1)
    data = torch.linspace(-8, 8, 200_001, dtype=torch.float64)
    noise = (x - alpha * data) / sigma
    density = 0.3 * stats.norm(-1, 0.1**0.5).pdf(data) + 0.7 * stats.norm(0.8, 0.3**0.5).pdf(data)
    weight = torch.from_numpy(density) * (-0.5 * noise.square()).exp()
    value = {"score": -noise / sigma, "noise": noise, "data": data, "velocity": d_alpha * data + d_sigma * noise,
             "v": alpha * noise - sigma * data}[target]  # fmt: skip
    expected = (weight * value).sum() / weight.sum()
    ours = mixture.predicted(x[:, None], t, path, target)[0, 0]
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-7)


def test_diagonal_and_full_agree_with_the_oracle_of_the_other_laws():
    generator = torch.Generator().manual_seed(1)
    weights, means, stds = (torch.rand(*s, generator=generator).double() + 0.1 for s in ((3,), (3, 5), (3, 5)))
    oracle = ExactMixture(weights / weights.sum(), means, stds)
    t, x = torch.tensor([0.3, 0.8]).double(), torch.randn(2, 5, generator=generator).double()
    path = pf.paths.Linear()
    data, noise = oracle.posterior(x, 1 - t, t)
    for covariances in (stds.square(), torch.diag_embed(stds.square())):
        mixture = exact.GaussianMixture(weights, means, covariances)
        torch.testing.assert_close(mixture.predicted(x, t, path, "data"), data)
        torch.testing.assert_close(mixture.predicted(x, t, path, "noise"), noise)


def test_posterior_is_bayes():
    mixture, matrix = exact.random64d(), torch.randn(10, 64, generator=torch.Generator().manual_seed(2)).double()
    truth = mixture.sample(6)
    y = matrix @ truth[0] + 0.5
    seen = posterior(mixture, matrix, y, 0.7)
    likelihood = stats.multivariate_normal(y.numpy(), 0.49 * np.eye(10)).logpdf((truth @ matrix.T).numpy())
    constant = mixture.log_prob(truth) + torch.from_numpy(likelihood) - seen.log_prob(truth)
    torch.testing.assert_close(constant, constant[:1].expand(6), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("label", [None, 1])
def test_samples_follow_the_density(label):
    mixture = exact.two_gaussians()
    given = None if label is None else torch.full((4000,), label)
    x = mixture.sample(4000 if given is None else (), given, generator=torch.Generator().manual_seed(3))
    chosen = [0, 1] if label is None else [label]
    share = mixture.weights[chosen] / mixture.weights[chosen].sum()
    direction = torch.tensor([1.0, 0.5]).double()
    loc = (mixture.means[chosen] @ direction).numpy()
    std = (direction @ mixture.covariances[chosen] @ direction).sqrt().numpy()
    cdf = lambda v: sum(w * stats.norm(m, s).cdf(v) for w, m, s in zip(share.numpy(), loc, std, strict=True))  # noqa: E731
    assert stats.kstest((x @ direction).numpy(), cdf).pvalue > 1e-5


@pytest.mark.parametrize("predict", TARGETS)
def test_exact_model_has_the_density_of_the_mixture_and_is_saved(predict, tmp_path):
    mixture = exact.ring()
    model = exact_model(mixture, pf.paths.Cosine(), predict)
    x = mixture.sample(5, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(model.log_prob(x), mixture.log_prob(x), rtol=0, atol=0.02)
    label = torch.tensor([0, 1, 2, 3, 8])
    torch.testing.assert_close(model.log_prob(mixture.means[label % 8], label),
                               mixture.log_prob(mixture.means[label % 8], label), rtol=0, atol=0.02)  # fmt: skip
    pf.save(model, tmp_path / "exact.pf")
    again = pf.load(tmp_path / "exact.pf")
    y, t = torch.ones(2, 2).double(), torch.tensor([0.2, 0.9]).double()
    assert torch.equal(again(y, t, None), model(y, t, None))


def test_a_labelled_draw_is_the_same_whatever_the_batch():
    mixture, label = exact.ring(), torch.arange(9)  # the last label stands for none
    few, many = (mixture.sample((), label[:n], generator=torch.Generator().manual_seed(5)) for n in (4, 9))
    assert torch.equal(few, many[:4])
