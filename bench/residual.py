"""Residual flow against normflows in 2 and 16 dimensions: log density and inverse, at no greater error than theirs.

Eight maps x + g(x), g with two hidden layers of 64 units and Lipschitz constants of 0.9 a layer, a scale and shift after each,
256 rows, evaluation mode. Checked first: our error of the log density, against the exact Jacobian of the whole map, and our
residual |f(f^-1(z)) - z| are at most normflows', each on its own model.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import normflows
import torch
from torch import Tensor, nn

import pushforward as pf

from .harness import OURS, Agreement, Report, compare

LAYERS, HIDDEN, COEFFICIENT, ROWS = 8, 64, 0.9, 256
ROUNDING, CLOSE = 1e-4, 1e-11  # nats that rounding may cost a log density; normflows' squared change, to stop at
NOTES = (
    "The same in both: number of maps, hidden widths, Lipschitz constant of a layer, dimensions, rows, float32, standard Gaussian base.",
    "normflows' LipschitzMLP has an activation in front of the first layer too, and one with a learned slope; so the weights are not copied. Both "
    "have orthogonal ones, scaled until the bound is in force, with the singular vectors found anew.",
    "Log det: ours from the Jacobian (`log_det=\"auto\"` in evaluation mode). normflows' is exact in two dimensions only, and beyond a power "
    "series of 20 terms and a random number more with one random vector. Errors are root mean squares over the rows, in nats.",
    "Inverse: both iterate to a fixed point and give the log det too. normflows stops where the squared change is below 1e-5 (1 + |z|), a change of 0.003; "
    "here at 1e-11, where the residuals are those of ours up to rounding (they stand above).",
)  # fmt: skip


@dataclass(frozen=True)
class ResidualParty:
    """A library's model and both directions of its map."""

    name: str
    model: nn.Module
    log_prob: Callable[[Tensor], Tensor]
    to_noise: Callable[[Tensor], tuple[Tensor, Tensor]]
    to_data: Callable[[Tensor], tuple[Tensor, Tensor]]


def run(rounds: int = 20) -> Report:
    """Both tasks in both dimensions."""
    warnings.filterwarnings("ignore", module="normflows")
    report = Report("residual", "Residual flows", packages=("normflows",), notes=list(NOTES))
    for features in (2, 16):
        found = [_ours(features), _normflows(features)]
        x = torch.randn(ROWS, features, generator=torch.Generator().manual_seed(0))
        errors = {party.name: log_det_error(party, x) for party in found}
        residuals = {party.name: residual(party, x) for party in found}
        for what, sizes, allowed in (("error of the log density", errors, ROUNDING), ("residual of the inverse", residuals, 1e-5)):  # fmt: skip
            report.figures += [(f"{features}-d: {what}, {name}", f"{size:.2g}") for name, size in sizes.items()]
            # Ours may exceed theirs by rounding, where both are exact.
            excess = [Agreement("normflows", f"how much our {what} exceeds theirs", max(0.0, sizes[OURS] - sizes["normflows"]), allowed)]  # fmt: skip
            calls = {party.name: (_density if sizes is errors else _inverse)(party, x) for party in found}
            title = f"{features}-d: {'log density' if sizes is errors else 'inverse'}, {ROWS} rows"
            report.comparisons.append(
                compare(title, calls.pop(OURS), calls, check=lambda a=excess: a, repeats=rounds, warmup=2)
            )
    return report


def _ours(features: int) -> ResidualParty:
    flow = pf.flows.residual(features=features, layers=LAYERS, hidden=(HIDDEN, HIDDEN), coefficient=COEFFICIENT, log_det="auto")  # fmt: skip
    _enlarge(flow)
    return ResidualParty(OURS, flow.eval(), flow.log_prob, flow.bijection.inverse, flow.bijection.forward)


def _normflows(features: int) -> ResidualParty:
    layers = []
    for _ in range(LAYERS):
        net = normflows.nets.LipschitzMLP([features, HIDDEN, HIDDEN, features], lipschitz_const=COEFFICIENT)
        block = normflows.flows.Residual(net, reverse=True)
        inside = block.iresblock
        inside._inverse_fixed_point = partial(inside._inverse_fixed_point, atol=CLOSE, rtol=CLOSE)
        layers += [block, normflows.flows.AffineConstFlow((features,))]
    flow = normflows.NormalizingFlow(normflows.distributions.DiagGaussian(features, trainable=False), layers)
    _enlarge(flow)
    for part in flow.modules():
        if hasattr(part, "compute_weight"):
            part.compute_weight(update=True, n_iterations=200)
    return ResidualParty("normflows", flow.eval(), flow.log_prob, flow.inverse_and_log_det, flow.forward_and_log_det)


def _enlarge(model: nn.Module) -> None:
    """Twice a random orthogonal matrix for every weight, which the bound cuts to 0.9: as strong as the maps can be."""
    random = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if name.endswith("weight") and parameter.ndim == 2:
            nn.init.orthogonal_(parameter, gain=2.0, generator=random)


def log_det_error(party: ResidualParty, x: Tensor) -> float:
    """Root mean square of the log det's error over 64 rows, against slogdet of the map's own Jacobian."""
    x = x[:64]
    d = x.shape[1]
    copies = x.repeat_interleave(d, 0).requires_grad_()  # one backward pass gives all rows of all Jacobians
    with torch.enable_grad():
        value = party.to_noise(copies)[0]
    (rows,) = torch.autograd.grad(value, copies, torch.eye(d).repeat(len(x), 1))
    exact = torch.linalg.slogdet(rows.reshape(len(x), d, d).double()).logabsdet
    with torch.no_grad():
        return float((party.to_noise(x.clone())[1] - exact).square().mean().sqrt())


def residual(party: ResidualParty, z: Tensor) -> float:
    """Largest |f(f^-1(z)) - z|."""
    with torch.no_grad():
        return float((party.to_noise(party.to_data(z.clone())[0])[0] - z).abs().max())


def _density(party: ResidualParty, x: Tensor) -> Callable[[], object]:
    def evaluate() -> Tensor:
        with torch.no_grad():
            return party.log_prob(x.clone())  # normflows asks for gradients of what it is given

    return evaluate


def _inverse(party: ResidualParty, z: Tensor) -> Callable[[], object]:
    def solve() -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            return party.to_data(z.clone())

    return solve
