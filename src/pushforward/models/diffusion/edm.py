"""EDM: the data predicted by a preconditioned network, at lognormal levels of noise.

E (1 / sigma^2 + 1 / sigma_data^2) |data - D(x; sigma)|^2, log sigma ~ N(-1.2 + log(2 sigma_data), 1.2^2).
Karras et al. 2022, https://arxiv.org/abs/2206.00364, table 1.
"""

from collections.abc import Sequence

import torch

from pushforward.parts.data import Images
from pushforward.parts.paths import EDM

from .assemble import Source, assemble
from .diffusion import Diffusion
from .objective import Denoising
from .preconditioned import Preconditioned


def edm(data: Source = None, *, event_shape: int | Sequence[int] | None = None, classes: int | None = None,
        levels: int | None = None, width: int | None = None, sigma_data: float | None = None) -> Diffusion:  # fmt: skip
    """Data prediction by `Preconditioned` on `pf.paths.EDM()`, with the lognormal times and the weights of the paper.

    `sigma_data` is the standard deviation of the data in model units: measured, if there are data, else 0.5 for pixels and 1
    for numbers. The other arguments are those of `ddpm`. `pf.diffusion.samplers.ChurnedHeun()` is the sampler of the paper.

    >>> model = edm(event_shape=(1, 8, 8), levels=17)
    >>> model.predict, model.objective
    ('data', Denoising(weighting='edm', drop_condition=0.1, sigma_data=0.5))
    """
    own = sigma_data or measured(data, levels)
    return assemble(EDM(), "data", data, event_shape, classes, levels, width, loss=Denoising("edm", sigma_data=own),
                    wrap=lambda network, path: Preconditioned(network, path, own))  # fmt: skip


def measured(data: Source, levels: int | None) -> float:
    """The standard deviation of the data in model units: pixels' from up to 1,000 images."""
    if not isinstance(data, Images):
        return 0.5 if levels is not None else 1.0  # the columns of a table are standardised
    chosen = torch.linspace(0, len(data) - 1, min(len(data), 1000)).long()
    pixels = data.take(chosen).x.double() * (2 / data.levels)
    return max(float(pixels.std()), 0.05)
