"""Glow on 3 x 32 x 32 images against normflows: a training step and sampling.

Three levels of eight steps, networks of 128 channels, batch 32. Checked first: that both maps are inverted, and that both log
dets are those of the map's Jacobian by automatic differentiation, on a model of 3 x 8 x 8 in float64.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import normflows
import torch
from torch import Tensor, nn

import pushforward as pf

from .harness import OURS, Agreement, Report, compare

LEVELS, STEPS, WIDTH, BATCH = 3, 8, 128, 32
TOLERANCE = 1e-8
NOTES = (
    "The same in both: levels, steps, activation normalisation, 1x1 convolutions by PLU, convolutions 3-1-3 with ReLU of 128 channels, half of "
    "the channels leave after a level, standard Gaussians, continuous pixels, optimiser (Adam, fused).",
    "Our scale is exp(3 tanh(a / 3)), normflows' is sigmoid(a + 2). Ours fuses normalisation and 1x1 convolution into one matrix; normflows "
    "applies them one after the other. normflows inverts its triangular factors in double precision when sampling.",
    "Equal counts of parameters, the unused halves of the triangular factors among them. normflows' flow is given a standard Gaussian without "
    'parameters in place of its GlowBase, as ours has with `prior="standard"`; ours reads pixels of 0 to 256, normflows\' of 0 to 1.',
    "The weights are not copied from one to the other: each is checked against its own Jacobian and its own inverse, the zero last layers "
    "filled at random, and normflows' normalisation set by a first batch.",
    "Ours draws each row from a stream of its own. Log densities come with normflows' samples; its sampling cannot leave them out.",
)


@dataclass(frozen=True)
class ImageParty:
    """A library's model, and its map between images and noise as one flat vector."""

    name: str
    model: nn.Module
    log_prob: Callable[[Tensor], Tensor]
    sample: Callable[[int], Tensor]
    to_noise: Callable[[Tensor], tuple[Tensor, Tensor]]
    round_trip: Callable[[Tensor], Tensor]


def run(rounds: int = 15) -> Report:
    """Both tasks."""
    warnings.filterwarnings("ignore", module="normflows")
    warnings.filterwarnings("ignore", message="torch.lu is deprecated")
    report = Report("image_flows", "Glow", packages=("normflows",), notes=list(NOTES))
    found = parties(32, LEVELS, STEPS, WIDTH)
    report.figures = [
        (f"parameters in {p.name}", f"{sum(q.numel() for q in p.model.parameters() if q.requires_grad):,}")
        for p in found
    ]
    agreements = check()
    for title, task in ((f"training step, batch {BATCH}", _step), (f"{BATCH} samples", _sampling)):
        calls = {party.name: task(party) for party in found}
        report.comparisons.append(
            compare(title, calls.pop(OURS), calls, check=lambda: agreements, repeats=rounds, warmup=2)
        )
    return report


def parties(side: int, levels: int, steps: int, width: int) -> list[ImageParty]:
    """Ours, and normflows'."""
    torch.manual_seed(0)
    whole = pf.flows.glow(event_shape=(3, side, side), scales=levels, steps=steps, width=width, prior="standard")
    flow = whole.model  # without dequantisation
    ours = ImageParty(OURS, flow, flow.log_prob, flow.sample, flow.bijection.inverse,
                      lambda x: flow.bijection.forward(flow.bijection.inverse(x)[0])[0])  # fmt: skip
    return [ours, _normflows(side, levels, steps, width)]


def _normflows(side: int, levels: int, steps: int, width: int) -> ImageParty:
    bases, merges, flows = [], [], []
    for i in range(levels):  # the level next to the noise first
        channels, rest = 3 * 2 ** (levels + 1 - i), side // 2 ** (levels - i)
        block = normflows.flows.GlowBlock
        flows.append([*(block(channels, width) for _ in range(steps)), normflows.flows.Squeeze()])
        if i:
            merges.append(normflows.flows.Merge())
        bases.append(normflows.distributions.DiagGaussian((channels // (2 if i else 1), rest, rest), trainable=False))
    flow = normflows.MultiscaleFlow(bases, flows, merges, class_cond=False)

    def to_noise(x: Tensor) -> tuple[Tensor, Tensor]:
        z, log_det = flow.inverse_and_log_det(x)
        return torch.cat([part.flatten(1) for part in z], 1), log_det

    return ImageParty("normflows", flow, lambda x: flow.log_prob(x, None), lambda n: flow.sample(n)[0], to_noise,
                      lambda x: flow.forward_and_log_det(flow.inverse_and_log_det(x)[0])[0])  # fmt: skip


def _step(party: ImageParty) -> Callable[[], object]:
    random = torch.Generator().manual_seed(0)
    x = 256 * torch.rand(BATCH, 3, 32, 32, generator=random) if party.name == OURS else torch.rand(BATCH, 3, 32, 32, generator=random)  # fmt: skip
    party.model.train()
    optimiser = torch.optim.Adam([p for p in party.model.parameters() if p.requires_grad], lr=1e-4, fused=True)

    def step() -> None:
        optimiser.zero_grad()
        (-party.log_prob(x).mean()).backward()
        optimiser.step()

    return step


def _sampling(party: ImageParty) -> Callable[[], object]:
    def draw() -> Tensor:
        with torch.no_grad():
            return party.sample(BATCH)

    party.model.eval()
    return draw


def check() -> list[Agreement]:
    """Round trip and log det of both, each against its own Jacobian. What is ours is reported beside normflows'."""
    found = []
    random = torch.Generator().manual_seed(0)
    for party in parties(8, 2, 2, 16):
        party.model.double()
        torch.set_default_dtype(torch.float64)
        x = torch.rand(4, 3, 8, 8, generator=random, dtype=torch.float64) * (256 if party.name == OURS else 1)
        with torch.no_grad():
            for parameter in party.model.parameters():
                parameter += 0.05 * torch.randn(parameter.shape, generator=random, dtype=torch.float64)
            party.to_noise(x)  # normflows' normalisation takes its state from the first batch
            error = (party.round_trip(x) - x).abs().amax() / x.abs().amax()
        jacobian = torch.func.jacrev(lambda row, p=party: p.to_noise(row[None])[0].flatten())(x[0]).flatten(1)
        gap = party.to_noise(x[:1])[1] - torch.linalg.slogdet(jacobian).logabsdet
        torch.set_default_dtype(torch.float32)
        found += [Agreement(party.name, "own round trip, relative, float64", float(error), TOLERANCE),
                  Agreement(party.name, "own log abs det against its Jacobian, float64", float(gap.detach().abs().max()), TOLERANCE)]  # fmt: skip
    return found
