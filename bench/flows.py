"""RealNVP and the neural spline coupling flow against zuko, normflows and nflows; RealNVP against torchflows and FrEIA too.

Features 16, batch 1,024, eight couplings, conditioners 8 -> 128 -> 128 -> parameters with ReLU, 8 bins on [-5, 5]; a
training step (forward, backward, fused Adam) and sampling 10,000 rows. Checked first, in float64: with the same weights
in every library the couplings give the same map and the same log abs det.
"""

import copy
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ._flow_parties import BATCH, BINS, FEATURES, HIDDEN, LAYERS, Party, affine_parties, spline_parties
from .harness import OURS, Agreement, Comparison, Report, compare

ROWS = 10_000
TOLERANCE = 1e-8
NOTES = (
    "The same in all: features, couplings, their order, which half passes, linear layers of the conditioner, activation, bins, "
    "bound, base, optimiser (Adam, fused), data; hence the equal counts of parameters above.",
    "Affine scale: ours exp(3 tanh(a/3)); zuko exp(a / (1 + |a| / 6.9)); normflows exp(a), unbounded; nflows sigmoid(a + 2) + 0.001, "
    "which cannot scale up; torchflows exp(a / 2), unbounded; FrEIA exp(1.27 atan(a)). Training evaluates ours and normflows' from data to "
    "noise as (x - t) exp(-s), the others' as x exp(s) + t.",
    "Spline: all evaluate it from data to noise when training and solve the quadratic when sampling. Smallest bin 0.001 of the box in "
    "ours, normflows and nflows, about 0.001 in zuko by another formula; slopes exp(bounded) in ours and zuko, 0.001 + softplus in the other two.",
    "normflows' and FrEIA's affine couplings always map the second half, so they have a permutation of the features between couplings. "
    "FrEIA's is AffineCouplingOneSided; it has no class for the density, which is its map's log det and a standard Gaussian. torchflows' "
    "couplings stand alone, without the normalising layers of its own RealNVP. "
    "Neither of these two is in the comparison of splines. "
    "normflows' spline coupling uses a residual network; here it is given the same conditioner as the others, in its own class.",
    "Ours draws each row from a stream of its own, so that a sample does not depend on the batch; the others draw from one stream.",
    "All run eagerly, as their users run them: no torch.compile anywhere.",
)


def run(rounds: int = 40) -> Report:
    """Both flows, both tasks."""
    warnings.filterwarnings("ignore", module="(nflows|normflows|zuko|torchflows|FrEIA)")
    report = Report(
        "flows", "Coupling flows", packages=("zuko", "normflows", "nflows", "torchflows", "FrEIA"), notes=NOTES
    )
    for title, parties, check in (
        ("RealNVP", affine_parties(), check_affine),
        ("Neural spline", spline_parties(), check_spline),
    ):
        counts = {party.name: sum(p.numel() for p in party.model.parameters() if p.requires_grad) for party in parties}
        report.figures += [(f"{title}: parameters in {name}", f"{count:,}") for name, count in counts.items()]
        agreements = check(parties)
        for what, task in ((f"training step, batch {BATCH:,}", _training_step), (f"{ROWS:,} samples", _sampling)):
            report.comparisons.append(_compare(f"{title}: {what}", parties, task, agreements, rounds))
    return report


def _compare(name: str, parties: Sequence[Party], task: Callable[[Party], Callable[[], object]],
             agreements: Sequence[Agreement], rounds: int) -> Comparison:  # fmt: skip
    calls = {party.name: task(party) for party in parties}
    return compare(name, calls.pop(OURS), calls, check=lambda: agreements, repeats=rounds, warmup=5)


def _training_step(party: Party) -> Callable[[], object]:
    x = torch.randn(BATCH, FEATURES, generator=torch.Generator().manual_seed(0))
    party.model.train()
    optimiser = torch.optim.Adam([p for p in party.model.parameters() if p.requires_grad], lr=1e-4, fused=True)

    def step() -> None:
        optimiser.zero_grad()
        loss = -party.log_prob(x).mean()
        loss.backward()
        optimiser.step()

    return step


def _sampling(party: Party) -> Callable[[], object]:
    def draw() -> Tensor:
        with torch.no_grad():
            return party.sample(ROWS)

    party.model.eval()
    return draw


def check_affine(parties: Sequence[Party]) -> list[Agreement]:
    """v exp(s) + t in every coupling: t a network with the same weights in all libraries, s the same constants.

    The libraries bound the scale by different formulas, so s itself is given, and each formula is solved for it. nflows
    cannot scale by more than 1.001, so s is negative.
    """
    random = torch.Generator().manual_seed(0)
    half = FEATURES // 2
    s = -0.5 + 0.45 * torch.rand(LAYERS, half, generator=random, dtype=torch.float64)
    weights = [_random_layers(random, (half, HIDDEN, HIDDEN, half)) for _ in range(LAYERS)]
    v = torch.randn(256, FEATURES, generator=random, dtype=torch.float64)

    def fill(party: Party, layer: int, linears: Sequence[nn.Linear]) -> None:
        *hidden, (w, b) = weights[layer]
        for linear, (own_w, own_b) in zip(linears, hidden):
            _set(linear, own_w, own_b)
        rows = torch.stack([w, torch.zeros_like(w)], 1)  # (features, parameters, inputs): t, then the scale
        _set(linears[-1], party.arrange(rows), party.arrange(torch.stack([b, party.raw(s[layer])], 1)))

    return _agreements(parties, fill, v)


def check_spline(parties: Sequence[Party]) -> list[Agreement]:
    """The same knots in every library, constant in the data: sizes of the bins and slopes; a tenth of v is in the tails."""
    random = torch.Generator().manual_seed(0)
    half = FEATURES // 2

    def shares() -> Tensor:
        raw = torch.rand(LAYERS, half, BINS, generator=random, dtype=torch.float64) + 0.7
        return raw / raw.sum(-1, keepdim=True)

    widths, heights = shares(), shares()
    slopes = torch.exp(0.5 * torch.randn(LAYERS, half, BINS - 1, generator=random, dtype=torch.float64))
    v = 3 * torch.randn(256, FEATURES, generator=random, dtype=torch.float64)

    def fill(party: Party, layer: int, linears: Sequence[nn.Linear]) -> None:
        head = linears[-1]
        raw = party.raw(widths[layer], heights[layer], slopes[layer])
        _set(head, torch.zeros_like(head.weight), party.arrange(raw))

    return _agreements(parties, fill, v)


def _agreements(
    parties: Sequence[Party], fill: Callable[[Party, int, Sequence[nn.Linear]], None], v: Tensor
) -> list[Agreement]:
    """Fill every model with the same weights, compare the maps in double precision, and put the old weights back."""
    results = {}
    for party in parties:
        before = copy.deepcopy(party.model.state_dict())
        party.model.double()
        with torch.no_grad():
            for layer, linears in enumerate(party.conditioners):
                fill(party, layer, linears)
            torch.set_default_dtype(torch.float64)  # normflows adds log dets up in the default
            results[party.name] = party.map(v)
            torch.set_default_dtype(torch.float32)
        party.model.float().load_state_dict(before)
    value, log_det = results.pop(OURS)
    assert (value - v).abs().amax() > 0.1, "the weights did not arrive: our map is the identity"
    found = []
    for name, (theirs, their_log_det) in results.items():
        found.append(
            Agreement(name, "map with the same weights, float64", float((theirs - value).abs().amax()), TOLERANCE)
        )
        found.append(Agreement(name, "its log abs det", float((their_log_det - log_det).abs().amax()), TOLERANCE))
    return found


def _random_layers(random: torch.Generator, sizes: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    pairs = pairwise(sizes)
    draw = [
        (
            torch.randn(m, n, generator=random, dtype=torch.float64),
            torch.randn(m, generator=random, dtype=torch.float64),
        )
        for n, m in pairs
    ]
    return [(w / w.shape[1] ** 0.5, b / 10) for w, b in draw]


def _set(linear: nn.Linear, weight: Tensor, bias: Tensor) -> None:
    linear.weight.copy_(weight)
    linear.bias.copy_(bias)
