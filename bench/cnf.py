"""Training step and log density of a continuous flow in the plane against torchdiffeq, direct and by its adjoint.

512 rows, a field of two hidden layers of 64 units with the same weights for everyone, exact trace, Dopri5 at rtol = atol =
1e-5. Checked first: our error of the log density is at most torchdiffeq's at the same tolerance, and everyone's gradient is
within half a percent of the true one, that of a solve in float64 at 1e-10.
"""

from collections.abc import Callable, Sequence

import torch
import torchdiffeq
from torch import Tensor, nn

import pushforward as pf

from .harness import OURS, Agreement, Report, compare

ROWS, HIDDEN, TOLERANCE = 512, (64, 64), 1e-5
SLIP = 5e-3  # relative error of a gradient that training has made small; far below the noise of a batch
NOTES = (
    "float32, the same weights, time as one more input of every layer, tanh. Loss: -E log p of rows of two moons under a standard Gaussian base; "
    "a training step is the loss, its gradient to all weights and a step of Adam.",
    "torchdiffeq: the field and the exact trace as in its own example of a continuous flow, one backward pass inside the field for each dimension. "
    "Its step size is one for the batch, chosen by the mean error; ours is one a sample, by its own error, so our error is smaller at equal tolerance.",
    "The weights are those of a flow that was trained for 150 steps, so that there is something to solve.",
)  # fmt: skip


def run(rounds: int = 20) -> Report:
    """Training step and log density."""
    report = Report("cnf", "Continuous flow", packages=("torchdiffeq",), notes=list(NOTES))
    x = _rows()
    field = _trained(x)
    truth, slopes = _truth(field, x)
    parties = {OURS: _ours(field), "torchdiffeq, direct": _peer(field, torchdiffeq.odeint),
               "torchdiffeq, adjoint": _peer(field, torchdiffeq.odeint_adjoint)}  # fmt: skip
    errors: dict[str, float] = {}
    slips: dict[str, float] = {}
    for name, log_prob in parties.items():
        own = log_prob(x)
        found = torch.autograd.grad(-own.mean(), list(field.parameters()))
        errors[name] = float((own.detach().double() - truth).square().mean().sqrt())
        off = torch.cat([(a.double() - b).flatten() for a, b in zip(found, slopes)]).norm() / _size(slopes)
        report.figures += [(f"root mean square error of log p, {name}", f"{errors[name]:.1e}"),
                           (f"relative error of the gradient, {name}", f"{off:.1e}")]  # fmt: skip
        slips[name] = float(off)
    checks = []
    for peer in list(parties)[1:]:
        # Ours may exceed theirs by rounding, where both are as good as float32.
        checks.append(
            Agreement(peer, "how much our error of log p exceeds theirs", max(0.0, errors[OURS] - errors[peer]), 1e-5)
        )
        checks += [Agreement(peer, f"relative error of the gradient, {who}", slips[who], SLIP) for who in (OURS, peer)]
    steps = {name: _step(field, log_prob, x) for name, log_prob in parties.items()}
    calls = {name: _density(log_prob, x) for name, log_prob in parties.items() if "adjoint" not in name}
    for title, chosen in ((f"training step, {ROWS} rows, 2-d", steps), (f"log density, {ROWS} rows, 2-d", calls)):
        report.comparisons.append(
            compare(title, chosen.pop(OURS), chosen, check=lambda: checks, repeats=rounds, warmup=2)
        )
    return report


LogProb = Callable[[Tensor], Tensor]


def _rows() -> Tensor:
    x = pf.data.toy("two_moons", ROWS, seed=0)
    return (x - x.mean(0)) / x.std(0)


def _base(z: Tensor) -> Tensor:
    return -0.5 * (z.square() + torch.log(torch.tensor(2 * torch.pi))).sum(1)


def _ours(field: pf.nn.VelocityMLP) -> LogProb:
    part = pf.bijections.Continuous(field, "exact", rtol=TOLERANCE, atol=TOLERANCE)

    def log_prob(x: Tensor) -> Tensor:
        z, log_det = part.inverse(x)
        return _base(z) + log_det

    return log_prob


class _PeerField(nn.Module):
    """The same layers with a trace by backward passes, as a state of two tensors."""

    def __init__(self, layers: Sequence[nn.Module]):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        training = torch.is_grad_enabled()
        with torch.enable_grad():
            z = state[0].requires_grad_(True)
            h, clock = z, t.expand(len(z), 1)
            for i, layer in enumerate(self.layers):
                h = layer(torch.cat([torch.tanh(h) if i else h, clock], 1))
            trace = torch.zeros(len(z), dtype=z.dtype)
            for i in range(z.shape[1]):
                (row,) = torch.autograd.grad(h[:, i].sum(), z, create_graph=training, retain_graph=True)
                trace = trace + row[:, i]
        return (h, trace) if training else (h.detach(), trace)


def _peer(field: pf.nn.VelocityMLP, odeint: Callable[..., tuple[Tensor, Tensor]]) -> LogProb:
    own = _PeerField(list(field.layers))

    def log_prob(x: Tensor) -> Tensor:
        times = torch.tensor([1.0, 0.0], dtype=x.dtype)
        start = x, x.new_zeros(len(x))
        z, change = odeint(own, start, times, method="dopri5", rtol=TOLERANCE, atol=TOLERANCE)
        return _base(z[-1]) + change[-1]

    return log_prob


def _trained(x: Tensor) -> pf.nn.VelocityMLP:
    torch.manual_seed(0)
    field = pf.nn.VelocityMLP(2, HIDDEN)
    log_prob, optimiser = _ours(field), torch.optim.Adam(field.parameters(), 5e-3)
    for _ in range(150):
        loss = -log_prob(x).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return field


def _truth(field: pf.nn.VelocityMLP, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    exact = pf.nn.VelocityMLP(2, HIDDEN).double()
    exact.load_state_dict({key: value.double() for key, value in field.state_dict().items()})
    z, log_det = pf.bijections.Continuous(exact, "exact", rtol=1e-10, atol=1e-10).inverse(x.double())
    log_prob = _base(z) + log_det
    return log_prob.detach(), list(torch.autograd.grad(-log_prob.mean(), list(exact.parameters())))


def _size(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors]).norm()


def _step(field: pf.nn.VelocityMLP, log_prob: LogProb, x: Tensor) -> Callable[[], object]:
    """A training step that leaves the weights where they are: a rate of 0 costs as much as any other."""
    optimiser = torch.optim.Adam(field.parameters(), 0.0)

    def call() -> None:
        optimiser.zero_grad()
        (-log_prob(x).mean()).backward()
        optimiser.step()

    return call


def _density(log_prob: LogProb, x: Tensor) -> Callable[[], object]:
    def call() -> Tensor:
        with torch.no_grad():
            return log_prob(x)

    return call
