"""B15: one network gives a density and a classifier, and each part of its loss is what it says.

Oracles: labels of held-out digits, probabilities of a factorised Gaussian by scipy, Bayes' rule for two Gaussians, integrals
over a grid, cross entropy of torch, autodiff of the density alone.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.nn import functional

import pushforward as pf
from pushforward.core.data import Batch
from pushforward.core.random import RowGenerator
from pushforward.parts.bijections import Affine
from pushforward.parts.distributions import Dequantised, Flow, Gaussian, Mixture
from pushforward.parts.nn import MLP

HybridModel = pf.flows.HybridModel


def stirred(model: HybridModel, scale: float = 0.2) -> HybridModel:
    """Parameters at random: at the start all classes are alike and the flow is the identity."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator).to(parameter.dtype))
    return model.eval()


def small(weight: float = 1.0, whole: bool = False) -> HybridModel:
    """Three columns, four classes; with `whole`, columns of whole numbers."""
    flow = pf.flows.realnvp(features=3, layers=2, hidden=(8,))
    flow = Dequantised(flow, torch.ones(3)) if whole else flow
    torch.manual_seed(0)
    return stirred(HybridModel(flow, MLP(3, 4, hidden=()), weight).double())


def rows(n: int, whole: bool = False) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x, y = (
        2 * torch.randn(n, 3, dtype=torch.float64, generator=generator),
        torch.randint(0, 4, (n,), generator=generator),
    )
    return x.round() if whole else x, y


def loss_of(model: HybridModel, x: Tensor, y: Tensor | None, seed: int = 3) -> Tensor:
    return model.objective(model, Batch(x, y), RowGenerator(seed, len(x))).value


def gradients(model: HybridModel, value: Tensor) -> list[Tensor]:
    found = torch.autograd.grad(value, list(model.parameters()), allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(model.parameters(), found)]


def test_the_linear_head_is_bayes_rule_for_two_gaussians():
    # x ~ N(±m, s^2) in each column, with equal odds: log p(+ | x) / p(- | x) = sum 2 m x / s^2, and z = (x - 1) / 3.
    m, s = np.array([1.0, -0.5]), 1.5
    flow = Flow(Gaussian.standard(2), Affine(torch.tensor([1.0, 1.0]), torch.tensor([3.0, 3.0]))).double()
    model = HybridModel(flow, MLP(2, 2, hidden=())).double()
    slope = torch.from_numpy(2 * m / s**2)
    with torch.no_grad():
        weight, bias = model.head.head.linear.weight, model.head.head.linear.bias
        weight.copy_(torch.stack([torch.zeros(2).double(), 3 * slope]))
        bias.copy_(torch.stack([torch.zeros(()).double(), slope.sum()]))
    x = 3 * torch.randn(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    joint = np.stack([stats.norm(sign * m, s).logpdf(x.numpy()).sum(1) for sign in (-1, 1)], 1)
    expected = joint - np.logaddexp(*joint.T)[:, None]
    np.testing.assert_allclose(model.class_log_probs(x).detach().numpy(), expected, rtol=1e-9, atol=1e-9)
    assert (model.predict(x).numpy() == joint.argmax(1)).all()


def test_the_joint_density_of_row_and_class_has_mass_1():
    flow = pf.flows.realnvp(features=1, layers=2, hidden=(8,))
    model = stirred(HybridModel(flow, MLP(1, 3, hidden=(8,))).double())
    grid = (50 * torch.linspace(-1, 1, 40_001, dtype=torch.float64) ** 3)[:, None]
    with torch.no_grad():
        joint = (model.class_log_probs(grid) + model.log_prob(grid)[:, None]).exp().sum(1)
    assert abs(np.trapezoid(joint.numpy(), grid[:, 0].numpy()) - 1) < 1e-6


@pytest.mark.parametrize("whole", [False, True], ids=["numbers", "whole numbers"])
def test_rows_without_label_move_the_network_as_their_density_alone_does(whole):
    model = small(0.7, whole)
    x, _ = rows(20, whole)
    alone = gradients(model, 0.7 / 3 * model.flow.objective(model.flow, Batch(x), RowGenerator(3, 20)).value)
    for unknown in (None, torch.full((20,), -1)):
        for ours, theirs in zip(gradients(model, loss_of(model, x, unknown)), alone):
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    assert max(g.abs().max() for g in alone) > 1e-3


def test_a_mixed_batch_is_the_sum_of_its_parts():
    x, y = rows(20)
    some = torch.where(torch.arange(20) % 3 == 0, y, -1)
    model, density, head = small(0.7), small(0.7), small(0.0)
    known = some >= 0
    # 20 rows carry the density, 7 of them the class: both are sums over rows, divided by the 20.
    expected = loss_of(density, x, None) + 7 / 20 * functional.cross_entropy(
        head.scores(head.features(x[known])), some[known]
    )
    torch.testing.assert_close(loss_of(model, x, some), expected, rtol=1e-10, atol=0)
    torch.testing.assert_close(loss_of(model, x, some[:, None].double()), expected, rtol=1e-10, atol=0)


def test_without_weight_it_is_a_classifier():
    x, y = rows(20)
    model = small(0.0)
    expected = functional.cross_entropy(model.head(model.flow.bijection.inverse(x)[0]), y)
    found = loss_of(model, x, y)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    for ours, theirs in zip(gradients(model, found), gradients(model, expected)):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    # Not even an infinite density reaches the loss then.
    box = Flow(pf.distributions.Uniform(torch.zeros(3), torch.ones(3)), Affine(torch.zeros(3), torch.ones(3)))
    assert torch.isfinite(loss_of(HybridModel(box, MLP(3, 4), 0.0), x.float(), y))


def test_the_density_is_that_of_the_flow_and_needs_no_label():
    for whole in (False, True):
        model, (x, _) = small(whole=whole), rows(10, whole)
        assert torch.equal(model.log_prob(x), model.flow.log_prob(x))
        assert model.condition_shape is None
        draws = [m.sample(5, generator=torch.Generator().manual_seed(0)) for m in (model, model.flow)]
        assert torch.equal(*draws)
        z = model.features(x)
        there = model.flow.model if whole else model.flow
        torch.testing.assert_close(there.bijection.forward(z)[0], x + 0.5 * whole)
        torch.testing.assert_close(model.class_log_probs(x).exp().sum(1), torch.ones(10).double())


def factorised_gaussian_bits(train: Tensor, test: Tensor) -> float:
    """Bits a pixel of independent normal numbers, rounded down, with the moments of the training pixels."""
    mean, width = train.mean(0).numpy() + 0.5, (train.var(0).numpy() + 1 / 12) ** 0.5
    cells = stats.norm(mean, width).cdf(test.numpy() + 1) - stats.norm(mean, width).cdf(test.numpy())
    return float(-np.log2(np.maximum(cells, 1e-12)).mean())


def test_one_network_reads_digits_and_scores_them():
    train, test = pf.data.load("digits").split((0.8, 0.2), seed=0)
    model = pf.flows.hybrid(train, layers=4, hidden=(128,))
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    generator = torch.Generator().manual_seed(0)
    for step in range(150):
        batch = train.take(torch.randint(len(train), (128,), generator=generator))
        loss = model.objective(model, batch, RowGenerator(step, 128)).value
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    model.eval()
    held = test.take(torch.arange(len(test)))
    right = int((model.predict(held.x) == held.condition).sum())
    # Above 90 % beyond doubt: fewer than one lucky table of 360 in 100,000 from a model at 90 %.
    assert right > stats.binom(len(test), 0.9).isf(1e-5)
    with torch.no_grad():
        bits = -model.log_prob(held.x).mean().item() / (64 * math.log(2))
    everything = train.take(torch.arange(len(train))).x
    assert bits < factorised_gaussian_bits(everything, held.x) - 0.1
    assert bits < math.log2(17)


def moons(n: int, seed: int) -> tuple[Tensor, Tensor]:
    from sklearn.datasets import make_moons

    x, y = make_moons(n, noise=0.1, random_state=seed)
    return torch.from_numpy(x).float(), torch.from_numpy(y)


def accuracy_on_moons(x: Tensor, y: Tensor, weight: float, seed: int) -> float:
    """Fit to these rows, labels -1 unknown, and count the right answers on others."""
    standard = pf.flows.realnvp(moons(1000, seed)[0], layers=6, hidden=(32, 32), seed=seed)
    apart = [Gaussian(torch.tensor([0.0, side]), torch.ones(2)) for side in (-2.5, 2.5)]
    flow = Flow(Mixture(torch.tensor([0.5, 0.5]), apart), standard.bijection)
    model = pf.flows.hybrid(flow=flow, classes=2, weight=weight, seed=seed)
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 250)
    generator, known = torch.Generator().manual_seed(seed), (y >= 0).nonzero()[:, 0]
    for step in range(250):
        others = torch.randint(len(x), (200,), generator=generator) if len(x) > len(known) else known[:0]
        index = torch.cat([known, others])
        loss = model.objective(model, Batch(x[index], y[index]), RowGenerator(step, len(index))).value
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    test_x, test_y = moons(2000, 999)
    return float((model.eval().predict(test_x) == test_y).double().mean())


@pytest.mark.slow
def test_rows_without_label_help_when_labels_are_few():
    # Ten labels of two moons, and a base of two clusters, which rows without label sort the moons into.
    gains = {"a classifier": [], "the density of the ten": []}
    for seed in range(5):
        x, y = moons(1000, seed)
        keep = torch.cat([(y == c).nonzero()[:5, 0] for c in (0, 1)])
        hidden = torch.full_like(y, -1)
        hidden[keep] = y[keep]
        both = accuracy_on_moons(x, hidden, 2.0, seed)
        gains["a classifier"].append(both - accuracy_on_moons(x[keep], y[keep], 0.0, seed))
        gains["the density of the ten"].append(both - accuracy_on_moons(x[keep], y[keep], 2.0, seed))
    for over, found in gains.items():
        assert stats.ttest_1samp(found, 0.0, alternative="greater").pvalue < 0.01, f"over {over}: {found}"
