"""A10: penalties of an adversarial network, who learns from which loss, and where the game ends.

Oracles: closed forms of a linear critic, finite differences, moments of a one-dimensional problem with their standard errors, and
scipy's energy distance.
"""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import pushforward as pf
from pushforward.core.data import Batch
from pushforward.core.random import RowGenerator
from pushforward.models.latent.critic import Critic, gradient_at_real, gradient_between, input_gradient
from pushforward.models.latent.generative_adversarial import adversarial, energy_distance


def small(loss: str = "non_saturating", penalty: float = 1.0) -> pf.latent.GenerativeAdversarial:
    data = torch.randn(30, 2, generator=torch.Generator().manual_seed(0)) * 3 + 1
    return pf.latent.gan(data, latents=3, hidden=[5], loss=loss, penalty=penalty, seed=1).double()


def parts(model: pf.latent.GenerativeAdversarial) -> tuple[Tensor, Tensor]:
    source = RowGenerator(3, 40)
    return source.normal(2, dtype=torch.float64), model.generate(source.normal(3, dtype=torch.float64), None)


def test_penalties_of_a_linear_critic_are_in_closed_form():
    class Flat(nn.Module):
        def forward(self, y: Tensor) -> Tensor:
            return y.flatten(1)

    head = pf.nn.MLP(6, 1, hidden=()).double()
    critic = Critic(Flat(), head)
    y = torch.randn(7, 2, 3, dtype=torch.float64)
    with torch.no_grad():
        score, slope = input_gradient(critic, y, None)
    weight = head.head.linear.weight[0]
    torch.testing.assert_close(slope.flatten(1), weight.expand(7, 6))
    torch.testing.assert_close(score, critic(y))
    assert math.isclose(gradient_at_real(slope).item(), 0.5 * weight.square().sum().item(), rel_tol=1e-12)
    assert math.isclose(gradient_between(slope).item(), (weight.norm().item() - 1) ** 2, rel_tol=1e-9)
    # The derivatives of these closed forms by the weights: w, and 2 (|w| - 1) w / |w|.
    (first,) = torch.autograd.grad(gradient_at_real(slope), head.head.linear.weight, retain_graph=True)
    torch.testing.assert_close(first[0], weight)
    (second,) = torch.autograd.grad(gradient_between(slope), head.head.linear.weight)
    torch.testing.assert_close(second[0], 2 * (1 - 1 / weight.norm()) * weight)


@pytest.mark.parametrize("loss", ["non_saturating", "wasserstein"])
def test_each_network_learns_from_its_own_loss_alone(loss):
    model = small(loss, penalty=0.7)
    model.train()
    batch = Batch(torch.randn(40, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64))

    def by_differences(network: nn.Module, value) -> Tensor:
        slopes = []
        for parameter in network.parameters():
            flat = parameter.data.view(-1)
            for i in range(0, len(flat), 3):
                start = flat[i].item()
                flat[i] = start + 1e-6
                up = value()
                flat[i] = start - 1e-6
                slopes.append((up - value()) / 2e-6)
                flat[i] = start
        return torch.stack(slopes).detach()

    def both(name: str) -> Tensor:
        return adversarial(model, batch, RowGenerator(4, 40)).metrics[name]

    total = adversarial(model, batch, RowGenerator(4, 40)).value
    gradients = dict(
        zip([n for n, _ in model.named_parameters()], torch.autograd.grad(total, list(model.parameters())))
    )
    ours = {part: torch.cat([g.flatten()[::3] for n, g in gradients.items() if n.startswith(part)])
            for part in ("generator", "critic")}  # fmt: skip
    generator = by_differences(model.generator, lambda: both("generator"))
    critic = by_differences(model.critic, lambda: both("critic") + 0.7 * both("penalty"))
    torch.testing.assert_close(ours["generator"], generator, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(ours["critic"], critic, rtol=1e-5, atol=1e-7)


def test_the_losses_do_not_reach_the_other_network():
    for loss in ("non_saturating", "wasserstein"):
        model = small(loss)
        real, fake = parts(model)
        reached = torch.autograd.grad(model.generator_loss(fake, None), list(model.critic.parameters()), allow_unused=True, retain_graph=True)  # fmt: skip
        assert all(g is None for g in reached)
        value, penalty = model.critic_loss(real, fake, None, torch.linspace(0, 1, 40).double())
        reached = torch.autograd.grad(value + penalty, list(model.generator.parameters()), allow_unused=True)
        assert all(g is None for g in reached)


@pytest.mark.parametrize("loss", ["non_saturating", "wasserstein"])
def test_the_moments_of_a_normal_number_are_found(loss):
    x = 5 + 2 * torch.randn(4000, 1, generator=torch.Generator().manual_seed(0))
    model = pf.latent.gan(x, latents=1, hidden=[16], loss=loss, penalty=1.0 if loss == "non_saturating" else 0.1)
    settings = pf.training.Settings(bar=False, batch_size=128, learning_rate=3e-3, ema_decay=0.99, warmup=0)
    pf.fit(model, x, steps=400, settings=settings)
    drawn = model.sample(4000, generator=torch.Generator().manual_seed(1))
    # What is approached, not met: a sixteenth of a standard deviation would be 4 standard errors.
    assert abs(drawn.mean().item() - 5) < 0.6
    assert abs(drawn.std().item() - 2) < 0.6


def test_the_energy_distance_is_scipys_and_zero_on_average_for_equals():
    source = torch.Generator().manual_seed(3)
    x, y = torch.randn(300, 1, generator=source), torch.randn(200, 1, generator=source) + 1
    n, m = 300, 200
    # scipy gives the root of half the biased square: pairs of a row with itself count, as zeros.
    biased = 2 * stats.energy_distance(x[:, 0].numpy(), y[:, 0].numpy()) ** 2 / 2
    correction = torch.cdist(x, x).sum() * (1 / (n * (n - 1)) - 1 / n**2) + torch.cdist(y, y).sum() * (1 / (m * (m - 1)) - 1 / m**2)  # fmt: skip
    assert math.isclose(energy_distance(x, y).item(), biased - correction.item(), abs_tol=1e-5)
    equals = torch.stack([energy_distance(torch.randn(20, 2, generator=source), torch.randn(30, 2, generator=source)) for _ in range(300)])  # fmt: skip
    assert abs(equals.mean() / (equals.std() / 300**0.5)) < stats.norm.isf(0.5e-5)


def test_in_evaluation_the_objective_is_a_distance_of_draws():
    model = small().eval()
    with torch.no_grad():
        batch = Batch(torch.randn(50, 2, dtype=torch.float64))
        loss = adversarial(model, batch, RowGenerator(5, 50))
        same = adversarial(model, batch, RowGenerator(5, 50))
    assert loss.value == same.value
    assert loss.value > 0
