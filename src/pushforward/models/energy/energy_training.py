r"""How an energy is fitted: persistent contrastive divergence with Langevin chains, or score matching, which needs no chains.

The gradient of -log p over the data is E_data grad_theta E - E_model grad_theta E; the second mean is over chains that are carried on
from step to step, some of them begun afresh (Tieleman 2008, https://doi.org/10.1145/1390156.1390290; Du and Mordatch 2019,
https://arxiv.org/abs/1903.08689, with its penalty on the size of energies). Energies of chains that leave those of the data behind say
that the training diverges. Score matching: Vincent 2011, https://doi.org/10.1162/NECO_a_00142; Song et al. 2019,
https://arxiv.org/abs/1905.07088
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError
from pushforward.core.objective import Loss
from pushforward.core.random import RowGenerator, mix
from pushforward.core.registry import register
from pushforward.core.shapes import expand_right
from pushforward.models.diffusion.score_matching import denoising_score_matching, score_of, sliced_score_matching_vr

from .chains import langevin_walk

if TYPE_CHECKING:
    from .energy_model import EnergyModel

Kind = Literal["pcd", "denoising", "sliced"]


@register
@dataclass(frozen=True)
class EnergyTraining:
    """(model, batch, generator) -> `Loss` for an `EnergyModel`.

    Args:
        kind: "pcd" (chains from the model's replay buffer), "denoising" or "sliced" score matching.
        steps, step_size: of Langevin dynamics, in model units; a rescue from divergence doubles the steps.
        adjusted: whether Langevin steps are corrected (MALA).
        fresh: the share of chains that begin anew from the base at each step.
        blur: standard deviation of noise on the data, in model units: the one of "denoising", and 0 or more for "pcd". The model is one
            of blurred data.
        penalty: of the squared network outputs, which keeps them near 0.
        largest_gap: in nats; chains whose energy is further from that of the data than this, on average, have diverged. The loss is
            then infinite, and `pf.fit` goes back to the last good weights at half the rate.

    In evaluation mode (held-out rows) "pcd" is scored by denoising score matching, which has the same minimum and needs no chains.

    Raises `ConfigError` for impossible settings.
    """

    kind: Kind = "pcd"
    steps: int = 20
    step_size: float = 0.005
    adjusted: bool = False
    fresh: float = 0.05
    blur: float = 0.1
    penalty: float = 1e-3
    largest_gap: float = 100.0

    def __post_init__(self):
        if self.kind not in get_args(Kind):
            raise ConfigError(f"expected a training among {', '.join(get_args(Kind))}, got {self.kind!r}")
        if self.steps < 1 or not (
            self.step_size > 0
            and 0 <= self.fresh <= 1
            and self.blur >= 0
            and self.penalty >= 0
            and self.largest_gap > 0
        ):
            raise ConfigError("expected at least 1 step, a positive step_size and largest_gap, fresh in [0, 1], and no negative blur or penalty, got "
                              f"{self.steps}, {self.step_size}, {self.largest_gap}, {self.fresh}, {self.blur} and {self.penalty}")  # fmt: skip
        if self.kind == "denoising" and self.blur == 0:
            raise ConfigError(
                "expected a positive blur for denoising score matching, got 0; take 0.1, in standard deviations of the data"
            )

    def __call__(self, model: "EnergyModel", batch: Any, generator: RowGenerator) -> Loss:
        y = model.to_model(batch.x, generator)
        if model.training:
            model.partition.forget()
        if self.kind == "pcd" and model.training:
            return self.contrast(model, y, generator)
        score, event = score_of(model.standard_energy), model.event_shape
        if self.kind == "sliced":
            return Loss(sliced_score_matching_vr(score, y, generator.rademacher(*event, dtype=y.dtype)).mean())
        noise = generator.normal(*event, dtype=y.dtype)
        return Loss(denoising_score_matching(score, y, noise, self.blur or 0.1).mean())

    def contrast(self, model: "EnergyModel", y: Tensor, generator: RowGenerator) -> Loss:
        """Energy of the data minus that of the chains, whose gradient is that of -log p; y are rows in model units."""
        if self.blur:
            y = y + self.blur * generator.normal(*model.event_shape, dtype=y.dtype)
        chains = self.advance(model, generator)
        of_data, of_chains = model.network_energy(y), model.network_energy(chains)
        gap = (model.base_energy(y) + of_data).mean() - (model.base_energy(chains) + of_chains).mean()
        value = of_data.mean() - of_chains.mean() + self.penalty * (of_data.square().mean() + of_chains.square().mean())
        # Infinite without a gradient: the loop sees it at its next look, and nothing waits for the device here.
        alarm = torch.where(gap.detach().abs() > self.largest_gap, torch.inf, 0.0)
        return Loss(value + alarm, {"energy gap": gap.detach()})

    def advance(self, model: "EnergyModel", generator: RowGenerator) -> Tensor:
        """Move as many chains as the generator has rows, from the replay buffer and back into it."""
        buffer, rows = model.replay_buffer, generator.rows
        # A stretch of the buffer that begins anywhere: no chain is taken twice, and every process has a stretch of its own.
        first = mix(generator.seed, 6) + generator.start
        index = (torch.arange(rows, device=buffer.device) + first % len(buffer)) % len(buffer)
        y = buffer[index]
        anew = model.base_draws(generator)
        y = torch.where(expand_right(generator.uniform(dtype=y.dtype) < self.fresh, y), anew, y)
        steps = self.steps * 2**model.rescues
        y, _ = langevin_walk(model.standard_energy, y, steps, self.step_size, generator.fork(4), self.adjusted)
        buffer[index] = y
        return y
