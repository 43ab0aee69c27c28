"""A model of a score alone: a network, one of four losses, and Langevin dynamics to draw from it.

It has no density and one scale of noise at most; for several scales see `pf.diffusion.ncsn`.
Song et al. 2019, https://arxiv.org/abs/1905.07088; Song and Ermon 2019, https://arxiv.org/abs/1907.05600.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from pushforward.core.distribution import Distribution
from pushforward.core.errors import ConfigError
from pushforward.core.objective import Loss, Objective
from pushforward.core.random import RowGenerator
from pushforward.core.registry import dtype_of, register
from pushforward.core.shapes import as_size, flatten_batch, match_dtype

from .denoising import denoising_score_matching
from .energy import score_of
from .implicit import implicit_score_matching
from .langevin import ScoreLangevin
from .sliced import sliced_score_matching, sliced_score_matching_vr

Kind = Literal["implicit", "sliced", "sliced_vr", "denoising"]


@register
class ScoreNetwork(Distribution):
    """s(x) = network(x), or -grad of it where it is an energy.

    Args:
        event_shape: of x.
        network: maps z `(n, *event)` to the same shape; an energy to `(n,)`, or to `(n, 1)`.
        energy: whether the network is an energy.
        loss: "implicit", "sliced", "sliced_vr" or "denoising".
        sigma: of the blur, for "denoising", in model units.
        loc, scale: z = (x - loc) / scale; numbers, or tensors that broadcast to an event.
        steps, step_size: of the Langevin dynamics of `sample`, from standard normal noise in model units.

    `sample` is Langevin dynamics without rejection: it is biased by O(step_size), and forgets its beginning only as fast as the chain
    mixes. There is no `log_prob`. Raises `ConfigError` for impossible arguments.

    >>> model = ScoreNetwork(2, nn.Linear(2, 2))
    >>> model.score(torch.zeros(5, 2)).shape, model.sample(3).shape
    (torch.Size([5, 2]), torch.Size([3, 2]))
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, event_shape: int | Sequence[int], network: nn.Module, *, energy: bool = False, loss: Kind = "sliced_vr",
                 sigma: float = 0.1, loc: Tensor | float = 0.0, scale: Tensor | float = 1.0, steps: int = 500,
                 step_size: float = 0.01):  # fmt: skip
        super().__init__()
        self.event_shape, self.network, self.energy = as_size(event_shape), network, energy
        self.log_prob_kind, self.reparameterised = "none", False
        self.loss, self.steps, self.step_size = ScoreMatching(loss, sigma), steps, step_size
        if steps < 1 or step_size <= 0:
            raise ConfigError(f"expected at least one step and a positive step_size, got {steps} and {step_size}")
        dtype = dtype_of(network)
        self.loc = nn.Buffer(torch.as_tensor(loc, dtype=dtype).detach().expand(self.event_shape).clone())
        self.scale = nn.Buffer(torch.as_tensor(scale, dtype=dtype).detach().expand(self.event_shape).clone())
        if not (self.scale > 0).all() or not (torch.isfinite(self.loc) & torch.isfinite(self.scale)).all():
            raise ConfigError("expected finite loc and scale, the scale positive; give means and standard deviations")

    def score(self, x: Tensor) -> Tensor:
        """grad log p(x) as the network has it, `(*batch, *event)`, in the units of x."""
        flat, _ = flatten_batch(x, self.event_shape)
        z = (match_dtype(flat, dtype_of(self)) - self.loc) / self.scale
        return (self.standard_score(z) / self.scale).reshape(x.shape)

    def standard_score(self, z: Tensor) -> Tensor:
        """The score in model units, `(n, *event)` to the same shape."""
        return score_of(self._energy)(z) if self.energy else self.network(z)

    @property
    def objective(self) -> Objective:
        """Score matching, of the kind the model was built with."""
        return self.loss

    def _energy(self, z: Tensor) -> Tensor:
        value = self.network(z)
        return value[:, 0] if value.ndim == 2 and value.shape[1] == 1 else value

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        z = generator.normal(*self.event_shape, dtype=dtype_of(self))
        chains = ScoreLangevin(self.standard_score, self.step_size)
        return chains.run(z, self.steps, generator).x * self.scale + self.loc


@dataclass(frozen=True)
class ScoreMatching:
    """(model, batch, generator) -> `Loss`, for a `ScoreNetwork`: a mean over rows, in model units.

    `kind`: "implicit" (exact trace), "sliced", "sliced_vr" (one random direction of signs a row) or "denoising" (at blur `sigma`).
    Raises `ConfigError` for another.

    >>> ScoreMatching("implicit")
    ScoreMatching(kind='implicit', sigma=0.1)
    """

    kind: Kind = "sliced_vr"
    sigma: float = 0.1

    def __post_init__(self):
        if self.kind not in get_args(Kind) or not self.sigma > 0:
            raise ConfigError(
                f"expected a loss among {', '.join(get_args(Kind))} and a positive sigma, got {self.kind!r} and {self.sigma}"
            )

    def __call__(self, model: ScoreNetwork, batch: Any, generator: RowGenerator) -> Loss:
        z = (match_dtype(batch.x, dtype_of(model)) - model.loc) / model.scale
        score, event = model.standard_score, model.event_shape
        if self.kind == "implicit":
            rows = implicit_score_matching(score, z)
        elif self.kind == "denoising":
            rows = denoising_score_matching(score, z, generator.normal(*event, dtype=z.dtype), self.sigma)
        else:
            slice_ = sliced_score_matching if self.kind == "sliced" else sliced_score_matching_vr
            rows = slice_(score, z, generator.rademacher(*event, dtype=z.dtype))
        return Loss(rows.mean())
