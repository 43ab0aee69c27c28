"""Masked autoregressive flows against zuko, nflows and normflows: draws of an affine one, training of a spline one.

MAF of 64 features, five layers, conditioners of 128 and 128 units with ReLU: 1,024 draws. Neural spline of 16 features, five
layers, the same conditioners, 8 bins on [-5, 5]: a training step on 1,024 rows (forward, backward, fused Adam). Checked
first, in float64: with the same weights in every library the flows give the same map and the same log abs det.
"""

import copy
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ._autoregressive_parties import BINS, LAYERS, MaskedParty, Weights, fill, fill_knots, parties
from .harness import OURS, Agreement, Report, compare

FEATURES_MAF, FEATURES_SPLINE, ROWS = 64, 16, 1024
TOLERANCE = 1e-8
NOTES = (
    "The same in all: features, layers, orders of the features, sizes of the masked layers, activation, bins, bound, base, optimiser "
    "(Adam, fused), data. The order turns from layer to layer: ours and zuko by masks, nflows and normflows by permutations between layers.",
    "Hidden units have degrees 1 .. features - 1, spread evenly in all, but the units left over (2 of 128 with 64 features, 8 with 16) get "
    "other degrees in ours than in the others. The check writes equal weights into the units that all have, and zeros into those.",
    "Affine scale, data to noise: ours exp(-3 tanh(a / 3)); zuko exp(a / (1 + |a| / 6.9)); nflows softplus(a) + 0.001; normflows "
    "sigmoid(a + 2) + 0.001. The check solves each for the same constants; the shift is a network with the same weights.",
    "normflows' affine transform is written for the other direction and stands in its own `Reverse`. Its MADE has residual blocks or no "
    "activation after the first layer; here it holds the feed-forward one of nflows, which has the same layers as ours.",
    "zuko, nflows and normflows draw by evaluating the whole network once for each feature; ours walks along the features and computes "
    "each hidden unit once. Ours also draws each row from a stream of its own.",
    "Spline: smallest bin 0.001 of the box in ours, nflows and normflows, about 0.001 in zuko by another formula; slopes exp(bounded) in "
    "ours and zuko, 0.001 + softplus in the other two. The check gives all the same knots, constant in the data.",
    "All run eagerly: no torch.compile anywhere.",
)


def run(rounds: int = 20) -> Report:
    """Draws of the affine flow, training of the spline flow."""
    warnings.filterwarnings("ignore", module="(nflows|normflows|zuko)")
    report = Report(
        "autoregressive", "Autoregressive flows", packages=("zuko", "nflows", "normflows"), notes=list(NOTES)
    )
    for title, task, features, affine in (
        (f"MAF, {FEATURES_MAF} features: {ROWS:,} samples", _sampling, FEATURES_MAF, True),
        (
            f"Autoregressive spline, {FEATURES_SPLINE} features: training step, batch {ROWS:,}",
            _step,
            FEATURES_SPLINE,
            False,
        ),
    ):
        found = parties(features, affine=affine)
        kind = title.partition(":")[0]
        report.figures += [
            (
                f"{kind}: parameters in {party.name}",
                f"{sum(p.numel() for p in party.model.parameters() if p.requires_grad):,}",
            )
            for party in found
        ]
        calls = {party.name: task(party, features) for party in found}
        report.comparisons.append(
            compare(
                title,
                calls.pop(OURS),
                calls,
                check=lambda f=found, d=features, a=affine: check(f, d, a),
                repeats=rounds,
                warmup=2,
            )
        )
    return report


def _sampling(party: MaskedParty, features: int) -> Callable[[], object]:
    def draw() -> Tensor:
        with torch.no_grad():
            return party.sample(ROWS)

    party.model.eval()
    return draw


def _step(party: MaskedParty, features: int) -> Callable[[], object]:
    x = torch.randn(ROWS, features, generator=torch.Generator().manual_seed(0))
    party.model.train()
    optimiser = torch.optim.Adam([p for p in party.model.parameters() if p.requires_grad], lr=1e-4, fused=True)

    def step() -> None:
        optimiser.zero_grad()
        (-party.log_prob(x).mean()).backward()
        optimiser.step()

    return step


def check(found: Sequence[MaskedParty], features: int, affine: bool) -> list[Agreement]:
    """Both directions, with the same weights in all libraries, in double precision; the old weights come back."""
    random = torch.Generator().manual_seed(0)
    weights = [Weights.draw(features, random) for _ in range(LAYERS)]
    knots = [_knots(features, random) for _ in range(LAYERS)]
    v = (1 if affine else 3) * torch.randn(64, features, generator=random, dtype=torch.float64)
    results = {}
    for party in found:
        before = copy.deepcopy(party.model.state_dict())
        party.model.double()
        with torch.no_grad():
            for layer in range(LAYERS):
                fill(party, layer, weights[layer]) if affine else fill_knots(party, layer, *knots[layer])
            torch.set_default_dtype(torch.float64)  # normflows adds log dets up in the default
            results[party.name] = *party.to_noise(v), *party.to_data(v)
            torch.set_default_dtype(torch.float32)
        party.model.float().load_state_dict(before)
    own = results.pop(OURS)
    assert (own[0] - v).abs().amax() > 0.1, "the weights did not arrive: our map is the identity"
    names = ("density direction", "its log abs det", "sampling direction", "its log abs det")
    return [
        Agreement(name, f"{what}, same weights, float64", float((a - b).abs().amax()), TOLERANCE)
        for name, theirs in results.items()
        for what, a, b in zip(names, theirs, own)
    ]


def _knots(features: int, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    def shares() -> Tensor:
        raw = torch.rand(features, BINS, generator=random, dtype=torch.float64) + 0.7
        return raw / raw.sum(-1, keepdim=True)

    slopes = torch.exp(0.5 * torch.randn(features, BINS - 1, generator=random, dtype=torch.float64))
    return shares(), shares(), slopes
