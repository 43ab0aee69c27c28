"""DDPM: predict the noise, on the variance-preserving path with a linear rate.

E |noise - noise_theta(x_t, t)|^2. Ho, Jain and Abbeel 2020, https://arxiv.org/abs/2006.11239. With learned variances the bound
of a step is added to it: Nichol and Dhariwal 2021, https://arxiv.org/abs/2102.09672.
"""

from collections.abc import Sequence
from typing import Literal, get_args

from pushforward.core.errors import ConfigError
from pushforward.core.path import Path
from pushforward.parts.paths import VP, DiscreteVP

from .assemble import Source, assemble
from .diffusion import Diffusion

Clock = Literal["continuous", "linear", "cosine"]


def ddpm(data: Source = None, *, event_shape: int | Sequence[int] | None = None, classes: int | None = None,
         levels: int | None = None, width: int | None = None, schedule: Clock = "continuous",
         learned_variance: bool = False) -> Diffusion:  # fmt: skip
    """Noise prediction on `VP()`: q(x_t | x_0) = N(sqrt(abar) x_0, (1 - abar) I), abar = alpha(t)^2, and the simple
    loss.

    Args:
        data: images, a table, or a tensor `(n, features)`, from which the model takes its size, units and condition.
        event_shape: instead of data: (features,) or (channels, height, width), already of unit scale unless `levels`
        is given.
        classes: labels 0 .. classes - 1 as the condition. levels: pixels are whole numbers 0 .. levels - 1.
        width: of the network: channels of the U-Net (32), or hidden units of the multilayer perceptron (256).
        schedule: "continuous" time, or the 1,000 steps of "linear" or "cosine" betas.
        learned_variance: learn where between the posterior's variance and beta that of a step lies.

    `pf.diffusion.samplers.Ancestral(steps=1000, spacing="time")` is the sampler of the paper.

    >>> model = ddpm(event_shape=(1, 8, 8), classes=10, levels=17)
    >>> model.predict, model.path
    ('noise', VP(beta_min=0.1, beta_max=20.0))
    """
    if schedule not in get_args(Clock):
        raise ConfigError(f"expected a schedule among {', '.join(get_args(Clock))}, got {schedule!r}")
    path: Path = VP() if schedule == "continuous" else DiscreteVP(schedule)
    return assemble(path, "noise", data, event_shape, classes, levels, width, learned_variance=learned_variance)
