"""B1: NICE preserves volume but for its scaling, moves every feature, and its logistic base is scipy's.

Oracles: the Jacobian by automatic differentiation, its determinant by LAPACK; scipy.stats.logistic.
"""

import numpy as np
import pytest
import torch
from scipy import stats

import pushforward as pf
from pushforward.core.random import RowGenerator
from pushforward.parts.bijections import AdditiveTransformer, Chain, Coupling, Diagonal
from pushforward.parts.distributions import Flow, Logistic

BUDGET = 1e-5


def stirred(features: int, **settings) -> Flow:
    flow = pf.flows.nice(features=features, hidden=[8], **settings).double().eval()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.7 * torch.randn_like(parameter))
    assert isinstance(flow, Flow)
    return flow


@pytest.mark.parametrize("features", [1, 2, 5])
def test_log_det_is_the_sum_of_the_log_scales_everywhere(features):
    flow = stirred(features)
    (scaling,) = [part for part in flow.modules() if isinstance(part, Diagonal)]
    expected = scaling.log_scale.sum().item()
    assert abs(expected) > 0.1
    for z in (100 * torch.randn(10, features, dtype=torch.float64)).unbind():
        log_det = flow.bijection.forward(z)[1]
        jacobian = torch.autograd.functional.jacobian(lambda z: flow.bijection.forward(z)[0], z)
        assert log_det.item() == pytest.approx(expected, abs=1e-12)
        assert np.linalg.slogdet(jacobian.numpy()).logabsdet == pytest.approx(expected, abs=1e-9)


def test_without_the_scaling_it_preserves_volume():
    flow = stirred(4)
    assert isinstance(flow.bijection, Chain)
    couplings = [part for part in flow.bijection.parts if isinstance(part, Coupling)]
    assert len(couplings) == 4
    z = torch.randn(4, dtype=torch.float64)
    first = [True, False] * 2
    for layer, coupling in enumerate(couplings):
        assert isinstance(coupling.transformer, AdditiveTransformer)
        jacobian = torch.autograd.functional.jacobian(lambda z, c=coupling: c.forward(z)[0], z)
        assert torch.equal(jacobian.diagonal(), torch.ones(4, dtype=torch.float64))
        assert np.linalg.det(jacobian.numpy()) == pytest.approx(1, abs=1e-12)
        # Parts alternate: what changed in one layer decides in the next.
        moved = (jacobian - torch.eye(4)).ne(0).any(1)
        assert moved.tolist() == [passes == (layer % 2 == 1) for passes in first]


@pytest.mark.parametrize("reach", [1.0, 1e4])
def test_far_round_trips(reach):
    flow = stirred(3)
    z = reach * torch.randn(50, 3, dtype=torch.float64)
    x, _ = flow.bijection.forward(z)
    # Four networks, each with a slope of some units, round in turn.
    assert (flow.bijection.inverse(x)[0] - z).abs().max() < 1e4 * torch.finfo(torch.float64).eps * reach


class TestLogistic:
    def test_the_density_is_scipys(self):
        base = Logistic(torch.tensor([0.5, -2.0], dtype=torch.float64), torch.tensor([1.5, 0.1], dtype=torch.float64))
        x = torch.cat([torch.linspace(-3, 3, 31), torch.tensor([-700.0, 700.0])])[:, None].double() * torch.tensor(
            [1.0, 0.2]
        )
        expected = stats.logistic.logpdf(x.numpy(), [0.5, -2.0], [1.5, 0.1]).sum(1)
        np.testing.assert_allclose(base.log_prob(x).numpy(), expected, rtol=1e-12)

    def test_draws_are_scipys(self):
        base = Logistic.standardised(2)
        x = base.sample(20_000, generator=torch.Generator().manual_seed(0)).double().numpy()
        for column in x.T:
            assert stats.kstest(column, stats.logistic(0, 3**0.5 / np.pi).cdf).pvalue > BUDGET / 2
        assert stats.logistic(0, 3**0.5 / np.pi).var() == pytest.approx(1)

    def test_no_draw_is_infinite(self):
        class Ends(RowGenerator):
            def uniform(self, *event, dtype=None):
                return torch.tensor([[0.0], [1 - 2.0**-53]], dtype=dtype)

        x = Logistic(torch.zeros(1), torch.ones(1))._sample(None, Ends(0, 2))
        assert torch.isfinite(x).all()
        assert x[0] < -30
        assert x[1] > 30
