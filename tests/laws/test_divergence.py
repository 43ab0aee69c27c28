"""D4's divergence: the trace of the Jacobian of a field, exact and estimated.

Oracles: the whole Jacobian by forward-mode autodiff, tr A of a matrix, and the variance of Hutchinson's estimator,
Var(v' S v) = 2 |S|^2 for Gaussian v and 2 |S|^2 - 2 |diag S|^2 for signs, with S = (A + A') / 2. The trap is the trace
of f itself.
"""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from pushforward.core.random import RowGenerator
from pushforward.parts.numerics import divergence_exact, divergence_hutchinson, draw_probes

BUDGET = 1e-5
KINDS = ["rademacher", "gaussian"]


class Net(nn.Module):
    """Layers of several kinds; rows do not mix."""

    def __init__(self, event: tuple[int, ...]):
        super().__init__()
        self.event, size = event, math.prod(event)
        self.net = nn.Sequential(
            nn.Linear(size, 16), nn.SiLU(), nn.LayerNorm(16), nn.Linear(16, 16), nn.Softplus(), nn.Linear(16, size)
        )

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(len(x), math.prod(self.event))
        return (self.net(flat) * torch.sigmoid(flat) + torch.cumsum(flat, 1) / (1 + flat**2)).reshape(x.shape)


def exact_trace(f, x: Tensor) -> Tensor:
    """Row by row from the whole Jacobian, by forward mode."""
    size = math.prod(x.shape[1:])
    return torch.stack([torch.func.jacfwd(lambda row: f(row[None])[0])(row).reshape(size, size).trace() for row in x])


@pytest.mark.parametrize("grad", [False, True], ids=["no_grad", "grad"])
@pytest.mark.parametrize("event", [(), (1,), (5,), (2, 3)])
def test_equals_the_trace_of_the_jacobian(event, grad):
    net, x = Net(event).double(), torch.randn(7, *event, dtype=torch.float64)
    with torch.set_grad_enabled(grad):
        fx, trace = divergence_exact(net, x)
    assert fx.requires_grad == trace.requires_grad == grad
    torch.testing.assert_close(fx, net(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(trace, exact_trace(net, x), rtol=1e-10, atol=1e-10)
    basis = torch.eye(math.prod(event), dtype=torch.float64).reshape(-1, 1, *event).expand(-1, 7, *event)
    with torch.set_grad_enabled(grad):
        _, mean, _ = divergence_hutchinson(net, x, basis)
    torch.testing.assert_close(mean * math.prod(event), trace, rtol=1e-10, atol=1e-10)


def test_it_is_not_the_trace_of_the_field():
    """A linear field A x has divergence tr A at every x, whatever the sum of its components."""
    matrix, x = torch.randn(6, 6, dtype=torch.float64), torch.randn(50, 6, dtype=torch.float64)
    fx, trace = divergence_exact(lambda x: x @ matrix.T, x)
    torch.testing.assert_close(trace, matrix.trace().expand(50), rtol=1e-12, atol=1e-12)
    assert (fx.sum(1) - trace).abs().min() > 1e-3
    torch.testing.assert_close(
        divergence_exact(lambda x: -(x.flip(-1) ** 3), x)[1], torch.zeros(50, dtype=torch.float64)
    )
    torch.testing.assert_close(divergence_exact(torch.zeros_like, x)[1], torch.zeros(50, dtype=torch.float64))


@pytest.mark.parametrize("kind", KINDS)
def test_hutchinson_is_unbiased_and_knows_its_error(kind):
    rows, size, k = 400, 5, 30
    matrix, x = torch.randn(size, size, dtype=torch.float64), torch.randn(rows, size, dtype=torch.float64)
    probes = draw_probes(RowGenerator(3, rows), k, (size,), kind=kind, dtype=torch.float64)
    with torch.no_grad():
        _, mean, error = divergence_hutchinson(lambda x: x @ matrix.T, x, probes)
    symmetric = (matrix + matrix.T) / 2
    variance = 2 * symmetric.square().sum() - (2 * symmetric.diagonal().square().sum() if kind == "rademacher" else 0)
    z = stats.norm.isf(BUDGET / 4)
    assert abs(float(mean.mean() - matrix.trace())) < z * math.sqrt(variance / (rows * k))
    # The mean of k error^2 estimates the variance; fourth moments make it at most a few times wider than chi-square.
    freedom = rows * (k - 1)
    assert float((error**2 * k).mean() / variance) == pytest.approx(1, abs=4 * z * math.sqrt(2 / freedom))
    pulls = (mean - matrix.trace()) / error
    assert float((pulls.abs() < 3).double().mean()) > 0.97
    assert float((pulls.abs() > 0.5).double().mean()) > 0.4


@pytest.mark.parametrize("kind", KINDS)
def test_hutchinson_of_a_network_is_unbiased(kind):
    net, x = Net((2, 3)).double(), torch.randn(1, 2, 3, dtype=torch.float64)
    rows = 4000
    probes = draw_probes(RowGenerator(5, rows), 2, (2, 3), kind=kind, dtype=torch.float64)
    with torch.no_grad():
        _, mean, _ = divergence_hutchinson(net, x.expand(rows, 2, 3), probes)
    standard_error = float(mean.std()) / math.sqrt(rows)
    assert abs(float(mean.mean() - exact_trace(net, x).detach())) < stats.norm.isf(BUDGET / 4) * standard_error
    assert standard_error < 0.1


@pytest.mark.parametrize("estimate", [False, True], ids=["exact", "hutchinson"])
def test_gradients_for_training(estimate):
    """Of f(x) and of its divergence, to x inside a larger graph and to the parameters, against finite differences."""
    net, start = Net((3,)).double(), torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    probes = draw_probes(RowGenerator(0, 4), 2, (3,), dtype=torch.float64)

    def values(start: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        named = dict(zip([name for name, _ in net.named_parameters()], parameters))
        f, x = lambda x: torch.func.functional_call(net, named, x), torch.sin(start) * 2
        return divergence_hutchinson(f, x, probes)[:2] if estimate else divergence_exact(f, x)

    assert torch.autograd.gradcheck(values, (start, *net.parameters()), eps=1e-6, atol=1e-6, rtol=1e-5, fast_mode=True)
