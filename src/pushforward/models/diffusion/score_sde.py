"""Score-based models of an SDE: one of three ways to add noise, and the noise predicted.

VE   dx = sqrt(d sigma^2/dt) dw        VP   dx = -1/2 beta x dt + sqrt(beta) dw
sub-VP   the drift of VP, with sigma = 1 - alpha^2 in the place of its root.
Song et al. 2021, https://arxiv.org/abs/2011.13456; weighted to bound the likelihood as in Song et al. 2021,
https://arxiv.org/abs/2101.09258.
"""

from collections.abc import Sequence
from typing import Literal, get_args

from pushforward.core.errors import ConfigError
from pushforward.core.path import Path
from pushforward.parts.paths import VE, VP, SubVP

from .assemble import Source, assemble
from .diffusion import Diffusion
from .objective import Denoising

SDE = Literal["vp", "subvp", "ve"]


def score_sde(data: Source = None, *, sde: SDE = "vp", likelihood: bool = False, event_shape: int | Sequence[int] | None = None,
              classes: int | None = None, levels: int | None = None, width: int | None = None) -> Diffusion:  # fmt: skip
    """A model of the score on the path of an SDE; the score is minus the noise predicted over sigma.

    `likelihood` weighs times by what they contribute to log p, for the best likelihood instead of the best samples. The other
    arguments are those of `ddpm`. Samplers of the paper are `ReverseDiffusion`, `PredictorCorrector` and `ProbabilityFlow`.

    Raises `ConfigError` for another SDE.

    >>> score_sde(event_shape=2, sde="subvp", likelihood=True).objective.weighting
    'likelihood'
    """
    if sde not in get_args(SDE):
        raise ConfigError(f"expected an sde among {', '.join(get_args(SDE))}, got {sde!r}")
    paths: dict[SDE, Path] = {"vp": VP(), "subvp": SubVP(), "ve": VE()}
    loss = Denoising("likelihood") if likelihood else None
    return assemble(paths[sde], "noise", data, event_shape, classes, levels, width, loss=loss)
