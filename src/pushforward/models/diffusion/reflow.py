r"""Reflow: make a flow straight by training it again, on the pairs that it makes itself.

    z ~ N(0, I),  x = flow(z),   new = argmin E |v(x_t, t) - (z - x)|^2  on  x_t = (1 - t) x + t z

The pairs (x, z) have the marginals of the model, so the new flow draws from the same distribution; their lines cross less, so it costs
no more for any convex cost, and few steps are enough. `straightness` is zero for a flow of straight lines.
Liu, Gong and Liu 2023, https://arxiv.org/abs/2209.03003.
"""

import copy
import itertools
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.core.batching import chunks
from pushforward.core.errors import ConfigError
from pushforward.core.random import RowGenerator
from pushforward.core.registry import device_of, dtype_of
from pushforward.parts.diffeq import solve
from pushforward.parts.paths import Linear

from .diffusion import Diffusion
from .field import flow_field
from .transport import angle_range
from .velocity_matching import FlowMatching, PairBatch


@dataclass(frozen=True, eq=False)
class Pairs:
    """Data and noise `(n, *event)`, in model units, joined by a flow: what `fit` takes to straighten it."""

    data: Float[Tensor, "n *event"]
    noise: Float[Tensor, "n *event"]
    condition: Tensor | None = None

    def __len__(self) -> int:
        return len(self.data)

    def take(self, index: Tensor) -> PairBatch:
        """The pairs of these numbers."""
        index = index.to(self.data.device)
        return PairBatch(self.data[index], self.noise[index], None if self.condition is None else self.condition[index])

    def to(self, device: torch.device | str) -> "Pairs":
        """Move to a device."""
        condition = None if self.condition is None else self.condition.to(device)
        return replace(self, data=self.data.to(device), noise=self.noise.to(device), condition=condition)

    def split(self, fractions: tuple[float, ...], seed: int = 0) -> "tuple[Pairs, ...]":
        """Divide the pairs at random."""
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed)).to(self.data.device)
        ends = [0, *(round(sum(fractions[: k + 1]) * len(self)) for k in range(len(fractions)))]
        taken = [self.take(order[a:b]) for a, b in pairwise(ends)]
        return tuple(Pairs(part.data, part.noise, part.condition) for part in taken)


def reflow(model: Diffusion, condition: Tensor | None = None, *, pairs: int = 10_000, tolerance: float = 1e-4,
           generator: torch.Generator | None = None) -> tuple[Diffusion, Pairs]:  # fmt: skip
    """A copy of the model and the pairs to fit it on: `student, pairs = reflow(model); pf.fit(student, pairs)`.

    Args:
        model: a trained `flow_matching`.
        condition: for a conditional model, `(n, ...)`; the pairs take its rows in turn.
        pairs: how many.
        tolerance: of the solver that makes them.

    Raises `ConfigError` for a model that predicts no velocity, or not on straight lines.

    >>> import pushforward as pf
    >>> student, made = reflow(pf.diffusion.flow_matching(event_shape=2, width=16), pairs=8)
    >>> made.data.shape, student.objective
    (torch.Size([8, 2]), FlowMatching(coupling='given', drop_condition=0.1))
    """
    if model.predict != "velocity" or not isinstance(model.path, Linear):
        raise ConfigError(f"expected a model that predicts the velocity on Linear(), got {model.predict} on {model.path}; begin with "
                          "pf.diffusion.flow_matching")  # fmt: skip
    if condition is not None:
        condition = condition[torch.arange(pairs, device=condition.device) % len(condition)]
    source = RowGenerator.of(generator, pairs, device=device_of(model))
    least, most = angle_range(model)
    made, noises = [], []
    with torch.no_grad():
        for a, b in chunks(pairs, model._rows(pairs, condition)):
            noise = source.slice(a, b).normal(*model.event_shape, dtype=dtype_of(model))
            field = flow_field(model, None if condition is None else condition[a:b])
            # From pure noise to clean data, which the angles of the path miss by a thousandth at both ends.
            y = solve(field, noise, [most, least], rtol=tolerance, atol=tolerance).y[-1]
            made.append(y / torch.cos(torch.tensor(least, dtype=y.dtype)))
            noises.append(noise)
    parts = {**model._arguments, "network": copy.deepcopy(model.network), "loss": FlowMatching("given")}  # type: ignore[attr-defined]
    return Diffusion(**parts), Pairs(torch.cat(made), torch.cat(noises), condition)


@torch.no_grad()
def straightness(model: Diffusion, condition: Tensor | None = None, *, rows: int = 1000, steps: int = 50,
                 generator: torch.Generator | None = None) -> float:  # fmt: skip
    """int E |(z_1 - z_0) - v(z_t, t)|^2 dt / E |z_1 - z_0|^2 along the model's flow z: 0 for straight lines at constant speed.

    The integral is a sum over `steps` steps of Heun's method in the time of the straight path. `condition` has one row, or `rows`.
    """
    if condition is not None:
        condition = condition.expand(rows, *condition.shape[1:])
    z = RowGenerator.of(generator, rows, device=device_of(model)).normal(*model.event_shape, dtype=dtype_of(model))
    ends = torch.linspace(model.path.t_max, model.path.t_min, steps + 1, dtype=torch.float64).tolist()
    start, velocities = z, []
    for t, s in itertools.pairwise(ends):
        v = model.predicted(z, z.new_full((rows,), t), condition, target="velocity")
        ahead = model.predicted(z + (s - t) * v, z.new_full((rows,), s), condition, target="velocity")
        velocities.append((v + ahead) / 2)
        z = z + (s - t) * velocities[-1]
    chord = (start - z) / (ends[0] - ends[-1])
    bend = torch.stack([(chord - v).flatten(1).square().sum(1).mean() for v in velocities]).mean()
    return float(bend / chord.flatten(1).square().sum(1).mean())
