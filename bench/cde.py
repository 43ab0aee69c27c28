"""Neural CDE against torchcde with torchdiffeq: a training step on 32 series of 200 points and 4 channels.

Hidden state of 32 numbers, a field of two hidden layers of 64 units with a tanh behind it, RK4 with one step from point to point,
cubic Hermite path. Checked first: with the same weights and the same method (torchdiffeq's "rk4" is Kutta's 3/8 rule) the states
at the end agree, for the Hermite path and for the natural spline with missing values, and so do the gradients.
"""

import copy
from collections.abc import Callable
from functools import partial

import torch
import torchcde
from torch import Tensor, nn

import pushforward as pf
from pushforward.models.dynamics.control_field import fixed_path
from pushforward.parts.diffeq.interpolation import hermite, natural_cubic
from pushforward.parts.diffeq.solvers.rk4 import TABLEAU as CLASSICAL
from pushforward.parts.diffeq.solvers.runge_kutta import Tableau

from .harness import Agreement, Report, compare

ROWS, INSTANTS, CHANNELS, HIDDEN, WIDTH, LAYERS = 32, 200, 4, 32, 64, 2
TOLERANCE = 1e-5
THREE_EIGHTHS = Tableau(
    a=((), (1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0)), b=(1 / 8, 3 / 8, 3 / 8, 1 / 8), c=(0.0, 1 / 3, 2 / 3, 1.0)
)
NOTES = (
    "The same in all: series, weights, network, path, steps, float32, loss, fused Adam. Each party makes the path of the batch anew in every "
    "step, from complete data; with missing values torchcde does it series by series in Python, which no step should have to wait for.",
    "torchcde's two rows are its two ways to a gradient: through the steps (`adjoint=False`), and by solving backwards (its default), "
    "which gives other gradients, by the error of that solve.",
    "Gradients are compared in float64.",
    "Ours takes the classical method of Runge and Kutta, torchdiffeq the 3/8 rule: four evaluations a step in both. Agreement is "
    "measured with the 3/8 rule in both; how far the two rules differ stands above.",
)  # fmt: skip


class PeerField(nn.Module):
    """The same field in torchcde's layout: unit by unit, not channel by channel."""

    def __init__(self, field: pf.dynamics.ControlField):
        super().__init__()
        shape = (field.channels, field.hidden)
        *inner, last = field.layers
        self.layers = nn.ModuleList(nn.Linear(layer.in_features, layer.out_features) for layer in field.layers)
        with torch.no_grad():
            for own, layer in zip(self.layers, inner):
                own.weight.copy_(layer.weight)
                own.bias.copy_(layer.bias)
            self.layers[-1].weight.copy_(last.weight.unflatten(0, shape).transpose(0, 1).flatten(0, 1))
            self.layers[-1].bias.copy_(last.bias.view(shape).t().flatten())
        self.shape = shape[::-1]

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        *inner, last = self.layers
        for layer in inner:
            z = layer(z).relu()
        return last(z).tanh().unflatten(1, self.shape)


def run(rounds: int = 20) -> Report:
    """A training step, with torchcde's two ways to a gradient."""
    torch.manual_seed(0)
    field, start, read_out = pf.dynamics.ControlField(HIDDEN, CHANNELS, WIDTH, LAYERS), nn.Linear(CHANNELS, HIDDEN), nn.Linear(HIDDEN, 4)  # fmt: skip
    t = torch.arange(float(INSTANTS))
    random = torch.Generator().manual_seed(1)
    walk = torch.randn(ROWS, INSTANTS, CHANNELS - 1, generator=random).cumsum(1) / 10
    x = torch.cat([(t / 100).expand(ROWS, -1)[..., None], walk], -1)
    labels = torch.arange(ROWS) % 4
    peer = PeerField(field)
    agreements, figures = check(field, peer, t, x, start(x[:, 0]).detach())
    report = Report("cde", "Neural CDE", packages=("torchcde", "torchdiffeq"), notes=list(NOTES))
    report.figures += figures
    own = partial(_ours, field, t, x, CLASSICAL)
    ours = _training(own, field, start, read_out, x, labels)
    title = f"training step, {ROWS} series of {INSTANTS} points, {CHANNELS} channels"
    for name, adjoint in (("torchcde", False), ("torchcde, adjoint", True)):
        theirs = PeerField(field)
        solve = partial(_theirs, theirs, t, x, torchcde.hermite_cubic_coefficients_with_backward_differences, adjoint)
        step = _training(solve, theirs, nn.Linear(CHANNELS, HIDDEN), nn.Linear(HIDDEN, 4), x, labels)
        # The adjoint takes ten times as long, and so would its profile.
        report.comparisons.append(
            compare(
                title + (", adjoint" if adjoint else ""),
                ours,
                {name: step},
                warmup=1,
                profiled=not adjoint,
                check=lambda who=name: [a for a in agreements if a.peer == who],
                repeats=max(3, rounds // 4) if adjoint else rounds,
            )
        )
    return report


def check(field: pf.dynamics.ControlField, peer: PeerField, t: Tensor, x: Tensor,
          z0: Tensor) -> tuple[list[Agreement], list[tuple[str, str]]]:  # fmt: skip
    """Ends and gradients with the same weights; how far the classical rule is from the 3/8 rule."""
    gaps = x[:4].clone()
    gaps[..., 1:][torch.rand(gaps[..., 1:].shape, generator=torch.Generator().manual_seed(2)) < 0.3] = torch.nan
    found = []
    for what, path, coefficients, data in (
        ("Hermite path", hermite, torchcde.hermite_cubic_coefficients_with_backward_differences, x),
        ("natural spline with gaps", natural_cubic, torchcde.natural_cubic_coeffs, gaps),
    ):
        begin = z0[: len(data)]
        end = fixed_path(field, path(t, data), begin, THREE_EIGHTHS)[-1]
        other = _theirs(peer, t, data, coefficients, False, begin)
        found.append(
            (f"states at the end, {what}", float((end - other).detach().abs().max() / other.detach().abs().max()))
        )
    end = fixed_path(field, hermite(t, x), z0, THREE_EIGHTHS)[-1]
    found.append(
        (
            "gradient by the first weights, in float64",
            _gradients_apart(field, peer, t.double(), x.double(), z0.double()),
        )
    )
    classical = fixed_path(field, hermite(t, x), z0, CLASSICAL)[-1]
    apart = float((classical - end).detach().abs().max() / end.detach().abs().max())
    agreements = [Agreement(name, what, difference, TOLERANCE if "states" in what else 1e-9)
                  for name in ("torchcde", "torchcde, adjoint") for what, difference in found]  # fmt: skip
    return agreements, [("classical rule and 3/8 rule differ at the end by, of the largest state", f"{apart:.2g}")]


def _gradients_apart(field: pf.dynamics.ControlField, peer: PeerField, t: Tensor, x: Tensor, z0: Tensor) -> float:
    """In float64, since in float32 rounding alone turns a ReLU on here and there, and the gradient jumps by 1e-4."""
    field, peer = copy.deepcopy(field).double(), copy.deepcopy(peer).double()
    end = fixed_path(field, hermite(t, x), z0, THREE_EIGHTHS)[-1]
    other = _theirs(peer, t, x, torchcde.hermite_cubic_coefficients_with_backward_differences, False, z0)
    ours, theirs = (torch.autograd.grad(e.square().mean(), f.layers[0].weight)[0] for e, f in ((end, field), (other, peer)))  # fmt: skip
    return float((ours - theirs).abs().max() / theirs.abs().max())


def _ours(field: pf.dynamics.ControlField, t: Tensor, x: Tensor, tableau: Tableau, z0: Tensor) -> Tensor:
    return fixed_path(field, hermite(t, x), z0, tableau)[-1]


def _theirs(field: PeerField, t: Tensor, x: Tensor, coefficients: Callable[..., Tensor], adjoint: bool,
            z0: Tensor) -> Tensor:  # fmt: skip
    path = torchcde.CubicSpline(coefficients(x, t), t)
    return torchcde.cdeint(path, field, z0, t[[0, -1]], adjoint=adjoint, method="rk4", options={"step_size": 1.0})[:, 1]


def _training(solve: Callable[[Tensor], Tensor], field: nn.Module, start: nn.Linear, read_out: nn.Linear, x: Tensor,
              labels: Tensor) -> Callable[[], object]:  # fmt: skip
    parameters = [*field.parameters(), *start.parameters(), *read_out.parameters()]
    optimiser = torch.optim.Adam(parameters, fused=True)

    def step() -> None:
        loss = nn.functional.cross_entropy(read_out(solve(start(x[:, 0]))), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step
