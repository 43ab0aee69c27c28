"""Flow matching with optimal pairs: a training step beside torchcfm's, with the same network, batch and precision.

`make bench BENCHES=flow_matching`
"""

import copy
import warnings
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

import pushforward as pf
from pushforward.core.data import Batch
from pushforward.core.random import RowGenerator
from pushforward.models.diffusion import Diffusion, FlowMatching
from pushforward.models.diffusion.coupling import couple, squared_distances
from pushforward.parts.paths import Linear

from .harness import OURS, Agreement, Report, compare

with warnings.catch_warnings():  # it uses what its own dependencies have deprecated
    warnings.simplefilter("ignore")
    from torchcfm.conditional_flow_matching import ExactOptimalTransportConditionalFlowMatcher

BATCH, STEPS, TRAINED = 512, 20, 300

NOTES = [
    f"The network of torchcfm's own examples: three hidden layers of 64 and SELU, on (x, t). Batches of {BATCH}, Adam, float32.",
    "Both solve the assignment problem of each batch exactly, checked by their cost. torchcfm then draws pairs from the plan with "
    "replacement, which leaves out more than a third of the rows; ours uses each row once.",
    f"W2 is exact, between {STEPS} Euler steps from 2,000 draws of noise and 2,000 fresh draws, after {TRAINED} steps of training; the floor "
    "is what two fresh sets of real draws have. Equal means: ours exceeds theirs by no more than the floor.",
]


class Field(nn.Module):
    """v(x, t); the noise is at t = 1 for us and at t = 0 for them."""

    def __init__(self):
        super().__init__()
        sizes = (3, 64, 64, 64)
        layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.SELU())]
        self.net = nn.Sequential(*layers, nn.Linear(64, 2))

    def forward(self, y: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.net(torch.cat([y, t[:, None]], 1))


def run(rounds: int) -> Report:
    """Cost of the pairs and W2 first, then seconds of a step."""
    report = Report(
        "flow_matching", "Flow matching with optimal pairs", packages=("torchcfm", "POT"), notes=list(NOTES)
    )
    for toy in ("eight_gaussians", "two_moons"):
        data = pf.data.toy(toy, 20_000, seed=0)
        data = (data - data.mean(0)) / data.std(0)
        torch.manual_seed(0)
        field = Field()
        ours, theirs = _our_step(copy.deepcopy(field), data), _their_step(copy.deepcopy(field), data)
        checks = [_cost_agreement(data), _trained_agreement(report, toy, field, data)]
        report.comparisons.append(
            compare(
                f"{toy}: training step, batch {BATCH}",
                ours,
                {"torchcfm": theirs},
                check=lambda c=checks: c,
                repeats=rounds,
            )
        )
    return report


def _our_step(field: nn.Module, data: Tensor) -> Callable[[], object]:
    model = Diffusion(field, Linear(), 2, "velocity").train()
    objective, optimiser, number = (
        FlowMatching("optimal"),
        torch.optim.Adam(field.parameters(), 1e-3),
        iter(range(1 << 30)),
    )

    def step() -> None:
        k = next(number)
        rows = torch.randint(len(data), (BATCH,))
        optimiser.zero_grad()
        objective(model, Batch(data[rows]), RowGenerator(k, BATCH)).value.backward()
        optimiser.step()

    return step


def _their_step(field: nn.Module, data: Tensor) -> Callable[[], object]:
    matcher = ExactOptimalTransportConditionalFlowMatcher(sigma=0.0)
    optimiser = torch.optim.Adam(field.parameters(), 1e-3)

    def step() -> None:
        x1 = data[torch.randint(len(data), (BATCH,))]
        optimiser.zero_grad()
        t, x_t, u = matcher.sample_location_and_conditional_flow(torch.randn_like(x1), x1)
        (field(x_t, t) - u).square().mean().backward()
        optimiser.step()

    return step


def _cost_agreement(data: Tensor) -> Agreement:
    noise, x = torch.randn(BATCH, 2, generator=torch.Generator().manual_seed(1)), data[:BATCH]
    plan = torch.as_tensor(ExactOptimalTransportConditionalFlowMatcher(sigma=0.0).ot_sampler.get_map(noise, x))
    theirs = float((plan * squared_distances(noise, x)).sum())
    ours = float((couple(x, noise, "optimal") - x).square().sum(1).mean())
    return Agreement("torchcfm", "relative difference in the cost of the pairs", ours / theirs - 1, 1e-4)


def _trained_agreement(report: Report, toy: str, field: nn.Module, data: Tensor) -> Agreement:
    fresh = data[-2000:]
    floor = pf.metrics.wasserstein(fresh, data[-4000:-2000])
    found = {}
    for name, make, way in ((OURS, _our_step, -1), ("torchcfm", _their_step, 1)):
        torch.manual_seed(1)
        own = copy.deepcopy(field)
        step = make(own, data[:-4000])
        for _ in range(TRAINED):
            step()
        found[name] = pf.metrics.wasserstein(_euler(own, way), fresh)
    report.figures += [(f"{toy}: W2, {name}", f"{value:.3f}") for name, value in (*found.items(), ("floor", floor))]
    return Agreement("torchcfm", "how much our W2 exceeds theirs", max(0.0, found[OURS] - found["torchcfm"]), floor)


@torch.no_grad()
def _euler(field: nn.Module, way: int) -> Tensor:
    """Noise to data; ours runs from t = 1 to 0 and sees y = x / sqrt((1 - t)^2 + t^2), as `Diffusion` shows it."""
    x = torch.randn(2000, 2, generator=torch.Generator().manual_seed(2))
    for k in range(STEPS):
        t = torch.full((2000,), k / STEPS if way > 0 else 1 - k / STEPS)
        seen = x if way > 0 else x / torch.hypot(1 - t, t)[:, None]
        x = x + way / STEPS * field(seen, t)
    return x
