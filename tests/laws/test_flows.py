"""A1, B2, B10: a flow is a density, draws what it scores, and fits.

Oracles: integrals of exp(log_prob) over a grid, which must be 1; densities known in closed form; Kolmogorov-Smirnov
between draws and the integrated density, with a false-alarm budget of 1e-5; an entropy known by quadrature.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import pushforward as pf
from pushforward.core.distribution import Distribution
from pushforward.parts.bijections import Affine, AffineTransformer, Chain, Coupling, Inverse, Permutation, Sigmoid
from pushforward.parts.distributions import Flow, Gaussian, Uniform

BUDGET = 1e-5


def stirred(model: Distribution, scale: float) -> Distribution:
    """Parameters at random: an untrained flow is the identity, which proves nothing."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return model.eval()


FLOWS = {
    "realnvp": lambda scale=0.15, **of: stirred(pf.flows.realnvp(layers=4, hidden=[16], **of), scale),
    # Steps of given size are as good forwards as backwards.
    "ffjord": lambda scale=0.15, **of: stirred(
        pf.flows.ffjord(hidden=[8], solver=pf.diffeq.Dopri8(), step_size=0.5, **of), scale
    ),
    "planar_continuous": lambda scale=0.15, **of: stirred(
        pf.flows.planar_continuous(width=4, hidden=[8], solver=pf.diffeq.Dopri8(), step_size=0.5, **of), scale
    ),
    "iaf": lambda scale=0.15, **of: stirred(pf.flows.iaf(layers=3, hidden=[16], **of), scale),
    "maf": lambda scale=0.15, **of: stirred(pf.flows.maf(layers=4, hidden=[16], **of), scale),
    "neural_spline": lambda scale=0.15, **of: stirred(
        pf.flows.neural_spline(layers=4, hidden=[16], bins=5, **of), scale
    ),
    "neural_spline autoregressive": lambda scale=0.15, **of: stirred(
        pf.flows.neural_spline(layers=3, hidden=[16], bins=5, kind="autoregressive", **of), scale
    ),
    "neural_autoregressive": lambda scale=0.15, **of: stirred(
        pf.flows.neural_autoregressive(layers=2, hidden=[16], units=4, **of), scale
    ),
    "bernstein": lambda scale=0.15, **of: stirred(pf.flows.bernstein(layers=2, hidden=[16], degree=6, **of), scale),
    # A flat polynomial at an edge of its box leaves a flat tangent, and much of the density beyond all that a test can cover.
    "sum_of_squares": lambda scale=0.15, **of: stirred(
        pf.flows.sum_of_squares(layers=2, hidden=[16], polynomials=2, **of), scale / 3
    ),
    "umnn": lambda scale=0.15, **of: stirred(
        pf.flows.umnn(layers=2, hidden=[16], embedding=3, units=4, bound=2.0, **of), scale
    ),
    "nice": lambda scale=0.15, **of: stirred(pf.flows.nice(hidden=[16], **of), scale),
    "planar": lambda scale=0.15, **of: stirred(pf.flows.planar(layers=4, hidden=[16], **of), scale),
    "radial": lambda scale=0.15, **of: stirred(pf.flows.radial(layers=4, hidden=[16], **of), scale),
    "residual": lambda scale=0.15, **of: stirred(pf.flows.residual(layers=4, hidden=[16], **of), scale),
    "sylvester": lambda scale=0.15, **of: stirred(pf.flows.sylvester(layers=4, hidden=[16], **of), scale),
    "transformer_flow": lambda scale=0.15, **of: stirred(
        pf.flows.transformer_flow(layers=3, width=8, heads=2, blocks=1, **of), scale
    ),
}


def line() -> Tensor:
    """Points of a line, dense in its middle, where densities have detail."""
    return 50 * torch.linspace(-1, 1, 200_001, dtype=torch.float64) ** 3


class Sum(nn.Module):
    """t(z_a) = z_a and no scaling: the conditioner of the shear (z1, z1 + z2)."""

    inputs, outputs, condition = 1, 2, 0

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return torch.cat([x, torch.zeros_like(x)], 1)


class TestChangeOfVariables:
    def test_a_stretched_uniform_has_density_a_half(self):
        for slope, low, high in ((2.0, 1.0, 3.0), (-2.0, -1.0, 1.0)):  # the second one needs the absolute value
            flow = Flow(Uniform(torch.zeros(1), torch.ones(1)), Affine(torch.ones(1), torch.tensor([slope])))
            inside = torch.linspace(low + 0.01, high - 0.01, 50)[:, None]
            torch.testing.assert_close(flow.log_prob(inside).exp(), torch.full((50,), 0.5))
            outside = torch.tensor([[low - 0.01], [high + 0.01]])
            assert (flow.log_prob(outside) == -math.inf).all()
            draws = flow.sample(10_000, generator=torch.Generator().manual_seed(0))[:, 0].numpy()
            assert stats.kstest(draws, stats.uniform(low, high - low).cdf).pvalue > BUDGET / 2

    def test_a_linear_map_multiplies_areas_by_its_determinant(self):
        # (z1 + z2, 2 z1): shear, swap, stretch, with determinants 1, -1 and 2.
        shear = Coupling([True, False], AffineTransformer(), Sum())
        linear = Chain([shear, Permutation([1, 0]), Affine(torch.zeros(2), torch.tensor([1.0, 2.0]))])
        z = torch.randn(20, 2)
        x, log_det = linear.forward(z)
        torch.testing.assert_close(x, torch.stack([z[:, 0] + z[:, 1], 2 * z[:, 0]], 1))
        torch.testing.assert_close(log_det.exp(), torch.full((20,), 2.0))
        density = stats.multivariate_normal(np.zeros(2), np.array([[2.0, 2.0], [2.0, 4.0]]))
        expected = torch.from_numpy(density.logpdf(x.numpy())).float()
        torch.testing.assert_close(Flow(Gaussian.standard(2), linear).log_prob(x), expected, rtol=1e-5, atol=1e-5)

    def test_known_transformed_densities(self):
        x = torch.linspace(0.05, 0.95, 19)[:, None]
        logistic = Flow(Uniform(torch.zeros(1), torch.ones(1)), Inverse(Sigmoid(1)))
        torch.testing.assert_close(
            logistic.log_prob(4 * x - 2), torch.from_numpy(stats.logistic.logpdf(4 * x - 2)[:, 0]).float()
        )
        logit_normal = Flow(Gaussian.standard(1), Sigmoid(1, low=2.0, high=6.0))
        u = x.double().numpy()[:, 0]
        expected = stats.norm.logpdf(np.log(u / (1 - u))) - np.log(u * (1 - u)) - np.log(4)
        torch.testing.assert_close(
            logit_normal.log_prob(2 + 4 * x).numpy(), expected.astype(np.float32), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("name", FLOWS)
class TestDensity:
    def test_it_integrates_to_one_in_one_dimension(self, name):
        flow = FLOWS[name](features=1, condition=2).double()
        for condition in torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)):
            grid = line()[:, None]
            density = flow.log_prob(grid, condition).exp()
            assert abs(torch.trapezoid(density, grid[:, 0]).item() - 1) < 1e-4

    def test_it_integrates_to_one_in_two_dimensions(self, name):
        flow, side = FLOWS[name](features=2, scale=0.1), torch.linspace(-10, 10, 601)
        density = flow.log_prob(torch.cartesian_prod(side, side)).detach().exp().double().reshape(601, 601)
        total = torch.trapezoid(torch.trapezoid(density, side.double()), side.double()).item()
        assert abs(total - 1) < 1e-4

    def test_draws_follow_the_density(self, name):
        flow = FLOWS[name](features=1, condition=1)
        for condition in (torch.tensor([-1.0]), torch.tensor([2.0])):
            draws = flow.sample(20_000, condition, generator=torch.Generator().manual_seed(1))[:, 0].double().numpy()
            grid = line().float()[:, None]
            density = flow.log_prob(grid, condition).exp().detach().double().numpy()
            below = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(grid[:, 0].numpy()))])
            pvalue = stats.kstest(
                draws, lambda x, below=below, grid=grid: np.interp(x, grid[:, 0].numpy(), below)
            ).pvalue
            assert pvalue > BUDGET / 2

    def test_draws_come_with_their_own_log_prob(self, name):
        flow = FLOWS[name](features=5, condition=2).double()
        condition = torch.randn(7, 2, dtype=torch.float64)
        x, log_prob = flow.rsample_and_log_prob(3, condition, generator=torch.Generator().manual_seed(2))
        assert x.shape == (3, 7, 5)
        torch.testing.assert_close(log_prob, flow.log_prob(x, condition), rtol=1e-8, atol=1e-8)

    def test_a_row_is_the_same_in_every_batch(self, name):
        flow = FLOWS[name](features=4)
        few, many = (flow.sample(n, generator=torch.Generator().manual_seed(3)) for n in (5, 300))
        torch.testing.assert_close(few, many[:5], rtol=1e-4, atol=1e-5)

    def test_zero_rows(self, name):
        flow = FLOWS[name](features=3, condition=1)
        assert flow.sample(0, torch.zeros(1)).shape == (0, 3)
        assert flow.log_prob(torch.empty(0, 3), torch.empty(0, 1)).shape == (0,)

    def test_it_fits_two_bumps(self, name):
        # The entropy of the mixture is the least that a mean negative log likelihood can be.
        weights, means, widths = (np.array(v) for v in ((0.3, 0.7), (-2.0, 1.5), (0.4, 0.8)))
        grid = np.linspace(-8, 8, 4001)
        density = (weights * stats.norm.pdf(grid[:, None], means, widths)).sum(1)
        entropy = -np.trapezoid(density * np.log(density), grid)
        rng = np.random.default_rng(0)
        which = rng.choice(2, size=(4000, 2), p=weights)
        x = torch.from_numpy(rng.normal(means[which], widths[which])).float()
        train, test = x[:3000], x[3000:]
        layers = {"planar": 10, "radial": 10, "bernstein": 2, "neural_autoregressive": 2, "sum_of_squares": 2, "umnn": 2}.get(name, 4)  # fmt: skip
        function, *kind = name.split()
        size = {"width": 16, "blocks": 1} if function == "transformer_flow" else {"hidden": [32, 32]}
        depth = {"ffjord": {"tolerance": 1e-3}, "planar_continuous": {"width": 8, "tolerance": 1e-3}}.get(
            name, {"layers": layers}
        )
        flow = getattr(pf.flows, function)(train, **depth, **size, **({"kind": kind[0]} if kind else {}))
        optimiser = torch.optim.Adam(flow.parameters(), 5e-3)
        for step in range(150):
            loss = -flow.log_prob(train[(step * 300) % 3000 :][:300]).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        flow.eval()
        gap = -flow.log_prob(test).mean().item() - 2 * entropy
        gaussian = (
            -stats.multivariate_normal(train.mean(0).numpy(), np.cov(train.T.numpy())).logpdf(test.numpy()).mean()
            - 2 * entropy
        )
        noise = flow.log_prob(test).std().item() / 1000**0.5
        # One volume for all of space, balls that are pushed one at a time, or scales that see the noise alone separate two
        # bumps slowly.
        share = {"iaf": 0.7, "nice": 0.65, "radial": 0.85}.get(name, 0.5)
        assert -5 * noise < gap < share * gaussian
